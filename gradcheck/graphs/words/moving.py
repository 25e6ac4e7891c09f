"""Words that move entries, shapes, axes and concatenation, one through which no gradient flows, and `astype`."""

from __future__ import annotations

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.instead import described
from gradcheck.graphs.shapes import (
    Axes,
    broadcasted_shape,
    checked_shape,
    concatenated_shape,
    moved_axes,
    one_axis,
    permuted_shape,
    squeezed_shape,
    stacked_shape,
)
from gradcheck.graphs.values import Value
from gradcheck.graphs.vocabulary import VOCABULARY
from gradcheck.graphs.words.declaration import Word, word

Values = list[Value]
Entries = Value
"""A value of any kind: what is made of it is of that kind."""


@word
def reshape(a: Entries, shape: Shape) -> Shape:
    """The entries in another shape of the same size; one length may be −1, for the rest."""
    return checked_shape(a.shape, shape)


@word
def permute_dims(a: Entries, axes: Shape) -> Shape:
    """The axes in another order."""
    return permuted_shape(a.shape, axes)


@word
def matrix_transpose(a: Entries) -> Shape:
    """The transposes of matrices, along the last two axes."""
    if a.ndim < 2:
        raise ValueError(f"got {described(a)}: expected two axes or more")
    return (*a.shape[:-2], a.shape[-1], a.shape[-2])


@word
def moveaxis(a: Entries, source: Axes, destination: Axes) -> Shape:
    """Some axes at other places, the others in their order."""
    return permuted_shape(a.shape, moved_axes(source, destination, a.ndim))


@word
def expand_dims(a: Entries, axis: int = 0) -> Shape:
    """A new axis of length one, at a place of the result."""
    place = one_axis(axis, a.ndim + 1)
    return (*a.shape[:place], 1, *a.shape[place:])


@word
def squeeze(a: Entries, axis: Axes) -> Shape:
    """Without an axis of length one, or several."""
    return squeezed_shape(a.shape, axis)


@word
def broadcast_to(a: Entries, shape: Shape) -> Shape:
    """Copies along new axes, and along those of length one."""
    return broadcasted_shape(a.shape, shape)


@word
def concat(arrays: Values, axis: int = 0) -> Shape:
    """Several arrays, one behind the other along an axis."""
    return concatenated_shape([array.shape for array in arrays], one_axis(axis, arrays[0].ndim))


def astype(a: Entries, dtype: type = float) -> Shape:
    """Integers, or a condition as 1 and 0, as floats of the run's dtype.

    Raises:
        TypeError: the dtype is not Python's `float`, or the value is made of floats already.
    """
    if dtype is not float or a.kind == "floating":
        expected = "expected integers or a condition, and float: --dtype says in which dtype a run computes"
        raise TypeError(f"got {described(a)} and {described(dtype)}: {expected}")
    return a.shape


VOCABULARY["astype"] = Word("astype", "ops.astype", astype, "floating")


@word
def stack(arrays: Values, axis: int = 0) -> Shape:
    """Several arrays of one shape, beside each other along a new axis."""
    return stacked_shape([array.shape for array in arrays], axis)


def unstack(a: Value, axis: int = 0) -> tuple[Value, ...]:
    """The pieces along an axis, without it."""
    place = one_axis(axis, a.ndim)
    return tuple(a[(*(slice(None),) * place, number)] for number in range(a.shape[place]))


@word
def stop_gradient(a: Value) -> Shape:
    """The value itself, as a constant: no gradient flows back through it."""
    return a.shape
