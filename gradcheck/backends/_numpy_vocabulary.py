"""The vocabulary in NumPy, for real and complex arrays of any precision: numerical witnesses evaluate a loss with it.

Choices (relu, abs, max, where) look at the real part alone, so that a complex step takes the same branch as the
real numbers. Only workers import it: gradcheck reads engines' files without loading NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def magnitude(a: Any) -> Any:
    """|a|, as a choice of sign."""
    return np.where(np.real(a) < 0, -a, a)


def maximum(a: Any, b: Any) -> Any:
    """The one with the larger real part."""
    return np.where(np.real(a) > np.real(b), a, b)


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


def sigmoid(a: Any) -> Any:
    """1/(1 + exp(−a)) without overflow."""
    decay = np.exp(-magnitude(a))
    return np.where(np.real(a) < 0, decay, 1) / (1 + decay)


def softplus(a: Any) -> Any:
    """log(1 + exp(a)) without overflow."""
    positive = np.real(a) > 0  # one branch for both terms, at 0 too
    return np.where(positive, a, 0) + log1p(np.exp(np.where(positive, -a, a)))


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


SAME = [
    *("matmul", "transpose", "outer", "sum", "mean", "reshape", "where", "concatenate", "max"),
    *("exp", "log", "expm1", "sqrt", "tanh", "sin", "cos"),
]
PRIMITIVES: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in SAME},
    **{each.__name__: each for each in (astype, log1p, logsumexp, maximum, relu)},
    **{each.__name__: each for each in (log_softmax, sigmoid, softmax, softplus)},
    "abs": magnitude,
}
"""Each word but `stop_gradient`, which is the witness's own."""
