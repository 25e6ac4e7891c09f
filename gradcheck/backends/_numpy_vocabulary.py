"""The vocabulary in NumPy, for real and complex arrays of any precision: what numerical witnesses evaluate a loss with.

Choices (relu, abs, max, where) look at the real part alone, so that a complex step passes through the branch that the
real numbers take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def primitives(numpy: Any) -> dict[str, Callable[..., Any]]:
    """Each word but `stop_gradient`, which is the witness's own, in NumPy's functions."""
    same = [
        *("matmul", "transpose", "outer", "sum", "mean", "reshape", "where", "concatenate", "max"),
        *("exp", "log", "expm1", "sqrt", "tanh", "sin", "cos"),
    ]

    def magnitude(a: Any) -> Any:
        return numpy.where(numpy.real(a) < 0, -a, a)

    def maximum(a: Any, b: Any) -> Any:
        return numpy.where(numpy.real(a) > numpy.real(b), a, b)

    def relu(a: Any) -> Any:
        return maximum(a, 0.0)

    def log1p(a: Any) -> Any:
        """NumPy's own has no digits of the real part of small complex numbers."""
        if not numpy.iscomplexobj(a):
            return numpy.log1p(a)
        x, y = numpy.real(a), numpy.imag(a)
        return numpy.log1p(x * (2 + x) + y * y) / 2 + 1j * numpy.arctan2(y, 1 + x)

    def sigmoid(a: Any) -> Any:
        decay = numpy.exp(-magnitude(a))
        return numpy.where(numpy.real(a) < 0, decay, 1) / (1 + decay)

    def softplus(a: Any) -> Any:
        positive = numpy.real(a) > 0  # one branch for both terms, at 0 too
        return numpy.where(positive, a, 0) + log1p(numpy.exp(numpy.where(positive, -a, a)))

    def shifted(a: Any, axis: Any) -> tuple[Any, Any]:
        """The largest real parts along an axis, and the exponentials of what is left."""
        largest = numpy.max(numpy.real(a), axis=axis, keepdims=True)
        return largest, numpy.exp(a - largest)

    def softmax(a: Any, axis: int = -1) -> Any:
        exponentials = shifted(a, axis)[1]
        return exponentials / numpy.sum(exponentials, axis=axis, keepdims=True)

    def logsumexp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
        largest, exponentials = shifted(a, axis)
        result = largest + numpy.log(numpy.sum(exponentials, axis=axis, keepdims=True))
        return result if keepdims else numpy.squeeze(result, axis=axis)

    return {
        **{name: getattr(numpy, name) for name in same},
        "log1p": log1p,
        "abs": magnitude,
        "maximum": maximum,
        "relu": relu,
        "sigmoid": sigmoid,
        "softplus": softplus,
        "softmax": softmax,
        "logsumexp": logsumexp,
    }
