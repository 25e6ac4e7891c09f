"""Words that only move entries: shapes, pieces, concatenation, and a value through which no gradient flows."""

from __future__ import annotations

from typing import Any

from gradcheck.graphs.graph import Piece, Shape, Slice, python_index
from gradcheck.graphs.instead import RESHAPE, described
from gradcheck.graphs.shapes import checked_shape, concatenated_shape, indexed_shape, one_axis
from gradcheck.graphs.values import Value
from gradcheck.graphs.words.declaration import operation, word

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
    for piece in index:
        _check(piece)
    return indexed_shape(a.shape, python_index(index))


def _check(piece: Any) -> None:
    """Refuse an index that some engine lacks; all have integers, slices with positive steps, and an ellipsis."""
    if isinstance(piece, Slice):
        if piece.step is not None and piece.step < 1:
            raise ValueError(f"a step of {piece.step}: engines have positive ones")
    elif isinstance(piece, bool) or not (isinstance(piece, int) or (isinstance(piece, str) and piece == "...")):
        hints = {"None": f"; write {RESHAPE}", "a condition": "; write ops.where(condition, a, b)"}
        found = described(piece)
        raise TypeError(f"an index is made of integers and slices, got {found}{hints.get(found, '')}")


@word
def concatenate(arrays: Values, axis: int = 0) -> Shape:
    """Several arrays, one behind the other along an axis."""
    return concatenated_shape([array.shape for array in arrays], one_axis(axis, arrays[0].ndim))


@word
def stop_gradient(a: Value) -> Shape:
    """The value itself, as a constant: no gradient flows back through it."""
    return a.shape
