"""Words that only move entries: shapes, axes, pieces, concatenation, and a value through which no gradient flows."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck.graphs.graph import Piece, Shape, Slice, python_index
from gradcheck.graphs.instead import described
from gradcheck.graphs.shapes import (
    Axes,
    broadcasted_shape,
    checked_shape,
    concatenated_shape,
    indexed_shape,
    moved_axes,
    one_axis,
    permuted_shape,
    squeezed_shape,
    stacked_shape,
)
from gradcheck.graphs.values import Value
from gradcheck.graphs.vocabulary import VOCABULARY
from gradcheck.graphs.words.declaration import Word, operation, word

ONE_HOT = "let sample give one-hot labels y, and write ops.sum(a * y, axis=1)"
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


@operation("[]")
def index(a: Entries, index: tuple[Piece, ...]) -> Shape:
    """A piece of an array: integers and slices, negative ones too, `...`, and `None` for a new axis."""
    for place, piece in enumerate(index):
        if fault := _fault(piece):
            raise TypeError(f"{fault}{_other_index(a, index, place)}")
    return indexed_shape(a.shape, python_index(index))


def _fault(piece: Any) -> str:
    """Why some engine lacks an index, if one does; all have integers, slices, an ellipsis and new axes."""
    if piece is None or isinstance(piece, Slice):
        return ""
    if not isinstance(piece, bool) and (isinstance(piece, int) or (isinstance(piece, str) and piece == "...")):
        return ""
    return f"an index is made of integers and slices, got {described(piece)}"


def _other_index(a: Value, index: tuple[Any, ...], place: int) -> str:
    """What to write instead of an index that engines lack."""
    piece = index[place]
    if isinstance(piece, Value):
        return "; write ops.where(condition, a, b)" if piece.is_condition else f"; {ONE_HOT}"
    if isinstance(piece, np.ndarray) and piece.dtype == np.bool_ and piece.ndim > 1:
        return "; write ops.where(mask, a, 0.0), and sum it"
    if sum(isinstance(each, (list, np.ndarray, Value)) for each in index) > 1:
        columns = a.shape[-1]
        return f"; for a[np.arange(n), i] write ops.sum(a * np.eye({columns})[i], axis=1)"
    if a.ndim <= 2 and place < a.ndim:
        rows = a.shape[place]
        form = f"np.eye({rows})[i] @ a" if place == 0 else f"a @ np.eye({rows})[:, i]"
        return f"; write {form}"
    return "; write ops.concat of pieces"


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
