"""Words that order entries: sorted entries, and the places of entries, which are integers."""

from __future__ import annotations

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.shapes import normalise_axes, one_axis, reduced_shape
from gradcheck.graphs.values import Value
from gradcheck.graphs.words.declaration import word

Comparable = Value
"""Integers, or else floats."""
ShapeOfIntegers = Shape


@word
def sort(a: Value, axis: int = -1, descending: bool = False) -> Shape:
    """The entries in order along an axis."""
    one_axis(axis, a.ndim)
    return a.shape


@word
def argsort(a: Comparable, axis: int = -1, descending: bool = False) -> ShapeOfIntegers:
    """The places of the entries in order along an axis; equal entries keep their order."""
    one_axis(axis, a.ndim)
    return a.shape


@word
def argmax(a: Comparable, axis: int | None = None, keepdims: bool = False) -> ShapeOfIntegers:
    """The place of the largest entry along an axis, or in the flattened array; of equal ones the first.

    Raises:
        ValueError: there are no entries along the axis.
    """
    return _place(a, axis, keepdims)


@word
def argmin(a: Comparable, axis: int | None = None, keepdims: bool = False) -> ShapeOfIntegers:
    """The place of the smallest entry along an axis, or in the flattened array; of equal ones the first.

    Raises:
        ValueError: there are no entries along the axis.
    """
    return _place(a, axis, keepdims)


def _place(a: Value, axis: int | None, keepdims: bool) -> Shape:
    axes = normalise_axes(None if axis is None else one_axis(axis, a.ndim), a.ndim)
    if any(a.shape[each] == 0 for each in axes):
        raise ValueError(f"shape {a.shape} has no entries along axis {axis}: expected one or more")
    return reduced_shape(a.shape, axes, keepdims)
