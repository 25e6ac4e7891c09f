"""Words that engines compute in one kernel: attention and normalisation."""

from __future__ import annotations

from gradcheck.graphs.attention import attended_shape
from gradcheck.graphs.graph import Shape
from gradcheck.graphs.instead import described
from gradcheck.graphs.shapes import one_axis
from gradcheck.graphs.values import Value
from gradcheck.graphs.words.choices import Condition
from gradcheck.graphs.words.declaration import word
from gradcheck.graphs.words.entries import is_number


@word
def scaled_dot_product_attention(
    q: Value,
    k: Value,
    v: Value,
    mask: Condition | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Shape:
    """softmax(scale·q kᵀ)v of queries (…, L, E), keys (…, S, E) and values (…, S, F); a mask is true where to attend.

    With ``is_causal`` a query attends to keys up to its own place. The scale left out is 1/√E. A query that attends to
    no key has no value.

    Raises:
        TypeError: the scale is not a number.
        ValueError: the shapes do not fit, or the scale is zero or not finite.
    """
    if scale is not None:
        if not is_number(scale):
            raise TypeError(f"scale is {described(scale)}: expected a number, such as 0.125")
        if not 0 < abs(scale) < float("inf"):
            raise ValueError(f"scale is {described(scale)}: expected a finite number other than zero")
    return attended_shape(q.shape, k.shape, v.shape, None if mask is None else mask.shape)


@word
def layer_norm(
    x: Value, weight: Value | None = None, bias: Value | None = None, epsilon: float = 1e-5, axis: int = -1
) -> Shape:
    """(x − mean)/√(variance + epsilon) along an axis, times a weight and plus a bias, vectors of its length.

    Raises:
        TypeError: epsilon is not a number.
        ValueError: the shapes do not fit, there is a bias without a weight, or epsilon is below zero or not finite.
    """
    return normalised_shape(x, one_axis(axis, x.ndim), weight, bias, epsilon)


@word
def rms_norm(x: Value, weight: Value | None = None, epsilon: float = 1e-5, axis: int = -1) -> Shape:
    """x/√(mean square + epsilon) along an axis, times a weight, a vector of its length.

    Raises:
        TypeError: epsilon is not a number.
        ValueError: the shapes do not fit, or epsilon is below zero or not finite.
    """
    return normalised_shape(x, one_axis(axis, x.ndim), weight, None, epsilon)


def normalised_shape(x: Value, axis: int, weight: Value | None, bias: Value | None, epsilon: float) -> Shape:
    """The shape of x, whose weight and bias are vectors of the length of an axis.

    Raises:
        TypeError: epsilon is not a number.
        ValueError: anything else does not fit.
    """
    if not is_number(epsilon):
        raise TypeError(f"epsilon is {described(epsilon)}: expected a number, such as 1e-5")
    if not 0 <= epsilon < float("inf"):
        raise ValueError(f"epsilon is {described(epsilon)}: expected a finite number that is not below zero")
    if bias is not None and weight is None:
        raise ValueError("a bias without a weight: expected both; or add the bias to the result")
    if 0 in x.shape:
        raise ValueError(f"x has shape {x.shape}: expected entries")
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and vector.shape != (x.shape[axis],):
            found = f"{name} of shape {vector.shape} for x of shape {x.shape}"
            raise ValueError(f"{found}: expected ({x.shape[axis]},), the length of axis {axis}")
    return x.shape


@word
def batch_norm(x: Value, weight: Value | None = None, bias: Value | None = None, epsilon: float = 1e-5) -> Shape:
    """(x − mean)/√(variance + epsilon) of each channel of x (batch, channels, …), times a weight and plus a bias.

    Mean and variance are those of the batch, as in training.

    Raises:
        TypeError: epsilon is not a number.
        ValueError: the shapes do not fit, there is a bias without a weight, or epsilon is below zero or not finite.
    """
    if x.ndim < 2:
        raise ValueError(f"x has shape {x.shape}: expected (batch, channels, ...)")
    return normalised_shape(x, 1, weight, bias, epsilon)
