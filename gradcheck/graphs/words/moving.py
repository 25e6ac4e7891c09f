"""Words that only move entries: shapes, pieces, concatenation, and a value through which no gradient flows."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck.graphs.graph import Piece, Shape, Slice, python_index
from gradcheck.graphs.instead import RESHAPE, described
from gradcheck.graphs.shapes import checked_shape, concatenated_shape, indexed_shape, one_axis
from gradcheck.graphs.values import Value
from gradcheck.graphs.vocabulary import VOCABULARY
from gradcheck.graphs.words.declaration import Word, operation, word

ONE_HOT = "let sample give one-hot labels y, and write ops.sum(a * y, axis=1)"
Values = list[Value]
Entries = Value
"""A value of any kind: what is made of it is of that kind."""


@word
def reshape(a: Entries, shape: Shape) -> Shape:
    """The entries in another shape of the same size."""
    return checked_shape(a.shape, shape)


@operation("[]")
def index(a: Entries, index: tuple[Piece, ...]) -> Shape:
    """A piece of an array: integers, negative ones too, and slices with positive steps."""
    for place, piece in enumerate(index):
        if fault := _fault(piece):
            raise TypeError(f"{fault}{_other_index(a, index, place)}")
    return indexed_shape(a.shape, python_index(index))


def _fault(piece: Any) -> str:
    """Why some engine lacks an index, if one does; all have integers, slices with positive steps, and an ellipsis."""
    if isinstance(piece, Slice):
        return f"a step of {piece.step}: engines have positive ones" if (piece.step or 1) < 1 else ""
    if not isinstance(piece, bool) and (isinstance(piece, int) or (isinstance(piece, str) and piece == "...")):
        return ""
    return f"an index is made of integers and slices, got {described(piece)}"


def _other_index(a: Value, index: tuple[Any, ...], place: int) -> str:
    """What to write instead of an index that engines lack."""
    piece = index[place]
    if piece is None:
        return f"; write {RESHAPE}"
    if isinstance(piece, Value):
        return "; write ops.where(condition, a, b)" if piece.is_condition else f"; {ONE_HOT}"
    if isinstance(piece, np.ndarray) and piece.dtype == np.bool_ and piece.ndim > 1:
        return "; write ops.where(mask, a, 0.0), and sum it"
    if sum(isinstance(each, (list, np.ndarray, Value)) for each in index) > 1:
        columns = a.shape[-1]
        return f"; for a[np.arange(n), i] write ops.sum(a * np.eye({columns})[i], axis=1)"
    if a.ndim <= 2 and place < a.ndim:
        rows = a.shape[place]
        shown = "::-1" if isinstance(piece, Slice) else "i"
        form = f"np.eye({rows})[{shown}] @ a" if place == 0 else f"a @ np.eye({rows})[:, {shown}]"
        return f"; write {form}"
    return "; write ops.concatenate of pieces"


@word
def concatenate(arrays: Values, axis: int = 0) -> Shape:
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
def stop_gradient(a: Value) -> Shape:
    """The value itself, as a constant: no gradient flows back through it."""
    return a.shape
