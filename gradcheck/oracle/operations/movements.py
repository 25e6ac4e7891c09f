"""What only moves entries: pieces of an array, arrays put together, and a value behind which no gradient flows."""

from __future__ import annotations

import operator as operators
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcheck.oracle.operations.base import Operation, Placed, Shape, Variable, apply, structural
from gradcheck.oracle.operations.instead import RESHAPE, described
from gradcheck.oracle.operations.places import Index, Part
from gradcheck.oracle.operations.reductions import one_axis
from gradcheck.oracle.operations.words import operator, word

STOP_GRADIENT = structural("stop_gradient", lambda a: a, lambda _g, _a: (None,), lambda shape: shape)


def _indexed(shape: Shape, index: Index) -> Shape:
    return np.broadcast_to(np.empty(()), shape)[index].shape


def _picking(index: Index) -> Operation:
    return structural(
        "index",
        lambda a: np.asarray(a[index]),
        lambda g, _a: (Placed(index, g),),
        lambda shape: _indexed(shape, index),
    )


def _concatenation(axis: int) -> Operation:
    def shape(*shapes: Shape) -> Shape:
        return np.concatenate([np.broadcast_to(np.empty(()), each) for each in shapes], axis).shape

    def back(g: Variable, *operands: Variable) -> tuple[Variable, ...]:
        ends = np.cumsum([operand.shape[axis] for operand in operands]).tolist()
        before: tuple[Part, ...] = (slice(None),) * axis
        return tuple(_pick(g, (*before, slice(start, end))) for start, end in zip([0, *ends], ends, strict=False))

    return structural("concatenate", lambda *arrays: np.concatenate(arrays, axis), back, shape)


def _checked(index: Any) -> Index:
    """An index that every engine has: integers, slices with positive steps, and an ellipsis."""
    if isinstance(index, tuple):
        return tuple(_checked_piece(piece) for piece in index)
    return _checked_piece(index)


def _checked_piece(piece: Any) -> Part:
    if isinstance(piece, slice):
        if piece.step is not None and operators.index(piece.step) < 1:
            raise ValueError(f"a step of {piece.step}: engines have positive ones")
        return piece
    if piece is Ellipsis:
        return ...
    if isinstance(piece, (bool, np.bool_)) or not hasattr(piece, "__index__"):
        hints = {"None": f"; write {RESHAPE}", "a comparison": "; write ops.where(condition, a, b)"}
        found = described(piece)
        raise TypeError(f"an index is made of integers and slices, got {found}{hints.get(found, '')}")
    return operators.index(piece)


def _pick(a: Variable, index: Index) -> Variable:
    return apply(_picking(index), a)


@operator("[]", worst="exact", typical="0")
def item(a: Variable, index: Index) -> Variable:
    """A piece of an array: integers, negative ones too, and slices with positive steps."""
    return _pick(a, _checked(index))


@word(worst="exact", typical="0")
def concatenate(arrays: Sequence[Variable], axis: int = 0) -> Variable:
    """Several arrays, one behind the other along an axis."""
    if not isinstance(arrays, (list, tuple)) or not all(isinstance(array, Variable) for array in arrays) or not arrays:
        raise TypeError(f"got {described(arrays)}: expected a list of values of the problem, such as [a, b]")
    return apply(_concatenation(one_axis(axis, arrays[0].ndim)), *arrays)


@word(worst="exact", typical="0")
def stop_gradient(a: Variable) -> Variable:
    """The value itself, as a constant: no gradient flows back through it."""
    return apply(STOP_GRADIENT, a)
