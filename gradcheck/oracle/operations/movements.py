"""Operations that only move entries: pieces of an array, concatenation, and a value through which no gradient flows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradcheck.graphs.shapes import concatenated_shape, indexed_shape, one_axis
from gradcheck.oracle.operations.base import CONVERSION, Operation, Placed, Shape, Variable, apply, structural
from gradcheck.oracle.operations.branches import where
from gradcheck.oracle.operations.places import Index, Part
from gradcheck.oracle.operations.rules import rule

STOP_GRADIENT = structural("stop_gradient", lambda a: a, lambda _g, _a: (None,), lambda shape: shape)


def _picking(index: Index) -> Operation:
    return structural(
        "index",
        lambda a: np.asarray(a[index]),
        lambda g, _a: (Placed(index, g),),
        lambda shape: indexed_shape(shape, index),
    )


def _concatenation(axis: int) -> Operation:
    def shape(*shapes: Shape) -> Shape:
        return concatenated_shape(list(shapes), axis)

    def back(g: Variable, *operands: Variable) -> tuple[Variable, ...]:
        ends = np.cumsum([operand.shape[axis] for operand in operands]).tolist()
        before: tuple[Part, ...] = (slice(None),) * axis
        return tuple(_pick(g, (*before, slice(start, end))) for start, end in zip([0, *ends], ends, strict=False))

    return structural(
        "concatenate",
        lambda *arrays: np.concatenate(arrays, axis),
        back,
        lambda *shapes: concatenated_shape(list(shapes), axis),
    )


def _pick(a: Variable, index: Index) -> Variable:
    return apply(_picking(index), a)


@rule(worst="exact", typical="0", name="index")
def item(a: Variable, index: Index) -> Variable:
    """A piece of an array."""
    return _pick(a, index)


@rule(worst="exact", typical="0")
def concatenate(arrays: Sequence[Variable], axis: int = 0) -> Variable:
    """Several arrays, one behind the other along an axis."""
    return apply(_concatenation(one_axis(axis, arrays[0].ndim)), *arrays)


@rule(worst="u where the dtype lacks the integer", typical="0")
def astype(a: Variable) -> Variable:
    """Integers, or a condition as 1 and 0, as floats of the run's dtype."""
    return where(a, 1.0, 0.0) if a.is_condition else apply(CONVERSION, a)


@rule(worst="exact", typical="0")
def stop_gradient(a: Variable) -> Variable:
    """The value itself, as a constant: no gradient flows back through it."""
    return apply(STOP_GRADIENT, a)
