"""Words that reduce an array along axes, or work along one."""

from __future__ import annotations

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.shapes import Axes, normalise_axes, one_axis, reduced_shape
from gradcheck.graphs.values import Value
from gradcheck.graphs.words.declaration import word


@word
def sum_(a: Value, axis: Axes = None, keepdims: bool = False) -> Shape:
    """The sum over an axis, several, or all."""
    return reduced_shape(a.shape, normalise_axes(axis, a.ndim), keepdims)


@word
def mean(a: Value, axis: Axes = None, keepdims: bool = False) -> Shape:
    """The sum divided by the number of its terms."""
    return reduced_shape(a.shape, normalise_axes(axis, a.ndim), keepdims)


@word
def prod(a: Value, axis: Axes = None, keepdims: bool = False) -> Shape:
    """The product over an axis, several, or all."""
    return reduced_shape(a.shape, normalise_axes(axis, a.ndim), keepdims)


@word
def logsumexp(a: Value, axis: Axes = None, keepdims: bool = False) -> Shape:
    """The logarithm of the sum of eᵃ over an axis, several, or all."""
    return reduced_shape(a.shape, normalise_axes(axis, a.ndim), keepdims)


@word
def softmax(a: Value, axis: int = -1) -> Shape:
    """The shares of eᵃ in their sum over an axis."""
    one_axis(axis, a.ndim)
    return a.shape


@word
def log_softmax(a: Value, axis: int = -1) -> Shape:
    """The logarithms of the shares of eᵃ in their sum over an axis."""
    one_axis(axis, a.ndim)
    return a.shape


@word
def cumulative_sum(a: Value, axis: int | None = None) -> Shape:
    """The sums of the entries up to each one along an axis; a vector has only one.

    Raises:
        ValueError: there are several axes and none is named.
    """
    return _along_one(a, axis, "sums")


@word
def cumulative_prod(a: Value, axis: int | None = None) -> Shape:
    """The products of the entries up to each one along an axis; a vector has only one.

    Raises:
        ValueError: there are several axes and none is named.
    """
    return _along_one(a, axis, "multiplies")


def _along_one(a: Value, axis: int | None, does: str) -> Shape:
    if axis is None and a.ndim != 1:
        raise ValueError(f"shape {a.shape} has {a.ndim} axes: expected axis=, which it {does} along")
    one_axis(0 if axis is None else axis, a.ndim)
    return a.shape
