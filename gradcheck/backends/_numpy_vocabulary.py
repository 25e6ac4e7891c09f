"""The vocabulary in NumPy, for real and complex arrays of any precision: numerical witnesses evaluate a loss with it.

Choices (relu, abs, max, where) look at the real part alone, so that a complex step takes the same branch as the
real numbers. Only workers import it: gradcheck reads engines' files without loading NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck.backends._arguments import each_axis
from gradcheck.backends._indexing import ordered
from gradcheck.backends._numpy_algebra import cholesky, inv, slogdet, solve, solve_triangular
from gradcheck.backends._numpy_fused import batch_norm, layer_norm, rms_norm, scaled_dot_product_attention

TWO_OVER_ROOT_PI = np.longdouble("1.12837916709551257389615890312154517")
TWO_OVER_PI = np.longdouble("0.636619772367581343075535053490057448")


LOG_2 = np.longdouble("0.693147180559945309417232121458176568")
LOG_10 = np.longdouble("2.302585092994045684017991454684364208")


LOG_ROOT_TWO_PI = np.longdouble("0.918938533204672741780329736405617640")
SHIFT = 20
BERNOULLI = {
    order: np.longdouble(numerator) / denominator
    for order, (numerator, denominator) in enumerate(
        [(1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510)], 1
    )
}
"""Bernoulli's numbers of even order 2n, by n."""


def flat(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of the real part that is flat between its steps."""
    return lambda a: step(np.real(a)) + (0j if np.iscomplexobj(a) else 0)


def magnitude(a: Any) -> Any:
    """|a|, as a choice of sign."""
    return np.where(np.real(a) < 0, -a, a)


def maximum(a: Any, b: Any) -> Any:
    """The one with the larger real part."""
    return np.where(np.real(a) > np.real(b), a, b)


def minimum(a: Any, b: Any) -> Any:
    """The one with the smaller real part."""
    return np.where(np.real(a) < np.real(b), a, b)


def clip(a: Any, min: Any = None, max: Any = None) -> Any:
    """The nearest number of an interval."""
    above = a if min is None else maximum(a, min)
    return above if max is None else minimum(above, max)


def relu(a: Any) -> Any:
    """max(a, 0)."""
    return maximum(a, 0.0)


def log1p(a: Any) -> Any:
    """log(1 + a); NumPy's own has no digits of the real part of small complex numbers."""
    if not np.iscomplexobj(a):
        return np.log1p(a)
    x, y = np.real(a), np.imag(a)
    return np.log1p(x * (2 + x) + y * y) / 2 + 1j * np.arctan2(y, 1 + x)


def astype(a: Any) -> Any:
    """Integers or conditions as floats."""
    return np.asarray(a, np.float64)


def gather(a: Any, *indices: Any, axis: int = 0) -> Any:
    """a[i, j], along axes that follow each other."""
    return a[(slice(None),) * axis + indices]


def sort(a: Any, axis: int = -1, descending: bool = False) -> Any:
    """The entries in order of their real parts."""
    order = np.argsort(np.real(a), axis, kind="stable")
    return np.take_along_axis(a, np.flip(order, axis) if descending else order, axis)


def one_hot(indices: Any, num_classes: int) -> Any:
    """Rows of zeros with 1 at each integer."""
    return np.eye(num_classes)[indices]


def at_add(a: Any, *operands: Any) -> Any:
    """a, to which the last operand is added at integers."""
    *indices, b = operands
    result = np.array(a, np.result_type(a, b))
    np.add.at(result, tuple(indices), b)
    return result


def sigmoid(a: Any) -> Any:
    """1/(1 + exp(−a)) without overflow."""
    decay = np.exp(-magnitude(a))
    return np.where(np.real(a) < 0, decay, 1) / (1 + decay)


def softplus(a: Any) -> Any:
    """log(1 + exp(a)) without overflow."""
    positive = np.real(a) > 0  # one branch for both terms, at 0 too
    return np.where(positive, a, 0) + log1p(np.exp(np.where(positive, -a, a)))


def erf(a: Any) -> Any:
    """The error function, of which NumPy has none."""
    x = np.real(a)
    size = np.abs(x)
    real = np.copysign(np.where(size < 3, _erf_series(np.minimum(size, 3)), 1 - _erfc_fraction(np.maximum(size, 3))), x)
    return beside(a, real, TWO_OVER_ROOT_PI * np.exp(-x * x))


def erfc(a: Any) -> Any:
    """1 − erf."""
    x = np.real(a)
    size = np.abs(x)
    tail = np.where(size < 2, 1 - _erf_series(np.minimum(size, 2)), _erfc_fraction(np.maximum(size, 2)))
    return beside(a, np.where(x < 0, 2 - tail, tail), -TWO_OVER_ROOT_PI * np.exp(-x * x))


def lgamma(a: Any) -> Any:
    """log Γ above zero, by Stirling's series above 20 and the recurrence below (Abramowitz and Stegun 1964, 6.1.41)."""
    x = np.real(a)
    y = x + SHIFT
    series = sum(term / (2 * order * (2 * order - 1)) * y ** (1 - 2 * order) for order, term in BERNOULLI.items())
    real = (y - 0.5) * np.log(y) - y + LOG_ROOT_TWO_PI + series - sum(np.log(x + step) for step in range(SHIFT))
    return beside(a, real, np.real(digamma(x)))


def digamma(a: Any) -> Any:
    """Its derivative (6.3.18 there)."""
    x = np.real(a)
    y = x + SHIFT
    series = sum(term / (2 * order) * y ** (-2 * order) for order, term in BERNOULLI.items())
    slope = sum(term * y ** (-2 * order - 1) for order, term in BERNOULLI.items())
    slope = 1 / y + 1 / (2 * y * y) + slope + sum((x + step) ** -2 for step in range(SHIFT))
    return beside(a, np.log(y) - 1 / (2 * y) - series - sum(1 / (x + step) for step in range(SHIFT)), slope)


def logaddexp(a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b)) without overflow."""
    return np.where(np.real(a) > np.real(b), a + log1p(np.exp(b - a)), b + log1p(np.exp(a - b)))


def hypot(a: Any, b: Any) -> Any:
    """√(a² + b²)."""
    return np.sqrt(a * a + b * b)


def atan2(a: Any, b: Any) -> Any:
    """The angle of the point (b, a)."""
    y, x = np.real(a), np.real(b)
    turned = (x * np.imag(a) - y * np.imag(b)) / (x * x + y * y)
    return np.arctan2(y, x) + (1j * turned if np.iscomplexobj(a) or np.iscomplexobj(b) else 0)


def beside(a: Any, real: Any, slope: Any) -> Any:
    """A function of a + ih by its value and its slope at a: a complex step's h² is below a rounding error."""
    return real + 1j * (np.imag(a) * slope) if np.iscomplexobj(a) else real


def _erf_series(a: Any) -> Any:
    """2/√π·exp(−a²)·Σ 2ⁿa²ⁿ⁺¹/(2n + 1)!!, all terms of one sign (Abramowitz and Stegun 1964, 7.1.6)."""
    term = total = TWO_OVER_ROOT_PI * a * np.exp(-a * a)
    for order in range(1, 80):
        term = term * (2 * a * a) / (2 * order + 1)
        total = total + term
    return total


def _erfc_fraction(a: Any) -> Any:
    """exp(−a²)/√π times the continued fraction 1/(a + ½/(a + 1/(a + …))) (Abramowitz and Stegun 1964, 7.1.14)."""
    tail = a
    for order in range(80, 0, -1):
        tail = a + order / (2 * tail)
    return TWO_OVER_ROOT_PI / 2 * np.exp(-a * a) / tail


def silu(a: Any) -> Any:
    """a·σ(a)."""
    return a * sigmoid(a)


def gelu(a: Any, approximate: bool = False) -> Any:
    """a·Φ(a), or its form with tanh."""
    if approximate:
        return a / 2 * (1 + np.tanh(np.sqrt(TWO_OVER_PI) * (a + 0.044715 * a**3)))
    return a / 2 * (1 + erf(a * np.sqrt(np.longdouble(0.5))))


def log_sigmoid(a: Any) -> Any:
    """−log(1 + exp(−a))."""
    return -softplus(-a)


def leaky_relu(a: Any, negative_slope: float = 0.01) -> Any:
    """The value where it is above zero, else a multiple of it."""
    return np.where(np.real(a) > 0, a, negative_slope * a)


def elu(a: Any, alpha: float = 1.0) -> Any:
    """The value where it is above zero, else α(exp(a) − 1)."""
    return np.where(np.real(a) > 0, a, alpha * np.expm1(np.where(np.real(a) > 0, 0, a)))


def softmax(a: Any, axis: int = -1) -> Any:
    """The shares of exp(a) in their sum over an axis."""
    _, exponentials = _shifted(a, axis)
    return exponentials / np.sum(exponentials, axis=axis, keepdims=True)


def log_softmax(a: Any, axis: int = -1) -> Any:
    """The logarithms of these shares."""
    largest, exponentials = _shifted(a, axis)
    return a - largest - np.log(np.sum(exponentials, axis=axis, keepdims=True))


def logsumexp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log Σ exp(a) over an axis, several, or all."""
    largest, exponentials = _shifted(a, axis)
    result = largest + np.log(np.sum(exponentials, axis=axis, keepdims=True))
    return result if keepdims else np.squeeze(result, axis=axis)


def _shifted(a: Any, axis: Any) -> tuple[Any, Any]:
    """The largest real parts along an axis, and the exponentials of the distances from them."""
    largest = np.max(np.real(a), axis=axis, keepdims=True)
    return largest, np.exp(a - largest)


def var(a: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The mean square of the distances from the mean; NumPy's own takes their magnitudes."""
    centred = a - np.mean(a, axis=axis, keepdims=True)
    squares = np.sum(centred * centred, axis=axis, keepdims=keepdims)
    return squares / (np.size(a) // np.size(squares) - correction)


def std(a: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The square root of that."""
    return np.sqrt(var(a, axis, correction, keepdims))


def vector_norm(a: Any, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Any:
    """√Σa², or Σ|a|."""
    if ord == 1:
        return np.sum(magnitude(a), axis=axis, keepdims=keepdims)
    return np.sqrt(np.sum(a * a, axis=axis, keepdims=keepdims))


def conv(x: Any, w: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
    """The cross-correlation of x with filters w."""
    x = _padded(x, padding, 0.0)
    seen = _windows(x, w.shape[2:], stride, dilation)
    grouped = seen.reshape(len(x), groups, -1, *seen.shape[2:])
    filters = w.reshape(groups, -1, *w.shape[1:])
    taps = "uvw"[: x.ndim - 2]
    result = np.einsum(f"bgc...{taps},gfc{taps}->bgf...", grouped, filters)
    return result.reshape(len(x), len(w), *result.shape[3:])


def max_pool(x: Any, window: Any, stride: Any = None, padding: Any = 0) -> Any:
    """The largest entry of each window."""
    lengths = each_axis(window, x.ndim - 2)
    seen = _windows(_padded(x, padding, -np.inf), lengths, stride or lengths)
    return np.max(seen, axis=tuple(range(x.ndim, seen.ndim)))


def avg_pool(x: Any, window: Any, stride: Any = None) -> Any:
    """The mean of each window."""
    lengths = each_axis(window, x.ndim - 2)
    seen = _windows(x, lengths, stride or lengths)
    return np.mean(seen, axis=tuple(range(x.ndim, seen.ndim)))


def _padded(x: Any, padding: Any, value: float) -> Any:
    pads = [(pad, pad) for pad in each_axis(padding, x.ndim - 2)]
    return np.pad(x, [(0, 0), (0, 0), *pads], constant_values=value)


def _windows(x: Any, lengths: Any, stride: Any, dilation: Any = 1) -> Any:
    """(batch, channels, windows …, entries of a window …)."""
    axes = x.ndim - 2
    gaps = each_axis(dilation, axes)
    spans = [gap * (length - 1) + 1 for gap, length in zip(gaps, lengths)]
    seen = np.lib.stride_tricks.sliding_window_view(x, spans, tuple(range(2, x.ndim)))
    steps = [slice(None, None, step) for step in (*each_axis(stride, axes), *gaps)]
    return seen[(slice(None), slice(None), *steps)]


SAME = [
    *("exp", "log", "expm1", "sqrt", "square", "tanh", "sin", "cos"),
    *("matmul", "outer", "sum", "mean", "where", "max", "min"),
    *("reshape", "moveaxis", "squeeze", "broadcast_to", "stack"),
]
ENTRIES: dict[str, Callable[..., Any]] = {
    **{each.__name__: each for each in (clip, digamma, elu, erf, erfc, gelu, leaky_relu)},
    **{each.__name__: each for each in (atan2, hypot, lgamma, log_sigmoid, logaddexp, minimum, silu)},
    **{name: getattr(np, f"arc{name[1:]}") for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
    **{name: getattr(np, name) for name in ("tan", "sinh", "cosh")},
    **{name: flat(getattr(np, name)) for name in ("sign", "floor", "ceil", "round")},
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "exp2": lambda a: np.exp(a * LOG_2),
    "log2": lambda a: np.log(a) / LOG_2,
    "log10": lambda a: np.log(a) / LOG_10,
}
"""Further words that work entry by entry."""
PRIMITIVES: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in SAME},
    **{each.__name__: each for each in (astype, at_add, gather, log1p, logsumexp, maximum, one_hot, relu, sort)},
    **ENTRIES,
    **{each.__name__: each for each in (log_softmax, sigmoid, softmax, softplus, std, var, vector_norm)},
    "abs": magnitude,
    "argsort": lambda a, axis=-1, descending=False: ordered(np, np.real(a), axis, descending),
    "argmax": lambda a, axis=None, keepdims=False: np.argmax(np.real(a), axis, keepdims=keepdims),
    "argmin": lambda a, axis=None, keepdims=False: np.argmin(np.real(a), axis, keepdims=keepdims),
    "any": np.any,
    "all": np.all,
    "take": lambda a, indices, axis=0: np.take(a, indices, axis),
    "take_along_axis": lambda a, indices, axis=-1: np.take_along_axis(a, indices, axis),
    **{each.__name__: each for each in (conv, max_pool, avg_pool)},
    **{each.__name__: each for each in (cholesky, inv, slogdet, solve, solve_triangular)},
    **{each.__name__: each for each in (batch_norm, layer_norm, rms_norm, scaled_dot_product_attention)},
    "prod": np.prod,
    "cumulative_sum": lambda a, axis=0: np.cumsum(a, axis),
    "cumulative_prod": lambda a, axis=0: np.cumprod(a, axis),
    **{name: getattr(np, name) for name in ("flip", "roll", "tile", "repeat", "tril", "triu")},
    "pad": lambda a, pad_width, constant_values=0.0: np.pad(a, pad_width, constant_values=constant_values),
    "vecdot": lambda a, b, axis=-1: np.sum(a * b, axis=axis),  # NumPy's own takes the conjugate of a
    "tensordot": lambda a, b, axes=2: np.tensordot(a, b, axes),
    "einsum": lambda operands, subscripts: np.einsum(subscripts, *operands),
    "diagonal": lambda a, offset=0: np.diagonal(a, offset, -2, -1),
    "permute_dims": np.transpose,
    "matrix_transpose": lambda a: np.swapaxes(a, -1, -2),
    "expand_dims": lambda a, axis=0: np.expand_dims(a, axis),
    "concat": np.concatenate,
}
"""Each word but `stop_gradient`, which is the witness's own."""
