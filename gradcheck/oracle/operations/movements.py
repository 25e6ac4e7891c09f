"""Operations that only move entries: axes, concatenation, and values through which no gradient flows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradcheck.graphs.shapes import Axes, concatenated_shape, moved_axes, one_axis, squeezed_shape
from gradcheck.oracle.operations.base import CONVERSION, Operation, Shape, Variable, apply
from gradcheck.oracle.operations.branches import where
from gradcheck.oracle.operations.indexing import pick
from gradcheck.oracle.operations.places import Part
from gradcheck.oracle.operations.reductions import reshape
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.structure import structural

STOP_GRADIENT = structural("stop_gradient", lambda a: a, lambda _g, _a: (None,), lambda shape: shape)


def _concatenation(axis: int) -> Operation:
    def shape(*shapes: Shape) -> Shape:
        return concatenated_shape(list(shapes), axis)

    def back(g: Variable, *operands: Variable) -> tuple[Variable, ...]:
        ends = np.cumsum([operand.shape[axis] for operand in operands]).tolist()
        before: tuple[Part, ...] = (slice(None),) * axis
        return tuple(pick(g, (*before, slice(start, end))) for start, end in zip([0, *ends], ends, strict=False))

    return structural(
        "concat",
        lambda *arrays: np.concatenate(arrays, axis),
        back,
        lambda *shapes: concatenated_shape(list(shapes), axis),
    )


@rule(worst="exact", typical="0")
def permute_dims(a: Variable, axes: Sequence[int]) -> Variable:
    """The axes in another order."""
    order = tuple(axis % a.ndim for axis in axes)
    if order == tuple(range(a.ndim)):
        return a
    back = tuple(np.argsort(order).tolist())
    return apply(
        structural(
            "permute_dims",
            lambda a: np.transpose(a, order),
            lambda g, _a: (permute_dims(g, back),),
            lambda shape: tuple(shape[axis] for axis in order),
        ),
        a,
    )


@rule(worst="exact", typical="0")
def matrix_transpose(a: Variable) -> Variable:
    """The transposes of matrices, along the last two axes."""
    return permute_dims(a, (*range(a.ndim - 2), a.ndim - 1, a.ndim - 2))


@rule(worst="exact", typical="0")
def moveaxis(a: Variable, source: Axes, destination: Axes) -> Variable:
    """Some axes at other places, the others in their order."""
    return permute_dims(a, moved_axes(source, destination, a.ndim))


@rule(worst="exact", typical="0")
def expand_dims(a: Variable, axis: int = 0) -> Variable:
    """A new axis of length one, at a place of the result."""
    place = axis % (a.ndim + 1)
    return reshape(a, (*a.shape[:place], 1, *a.shape[place:]))


@rule(worst="exact", typical="0")
def squeeze(a: Variable, axis: Axes) -> Variable:
    """Without an axis of length one, or several."""
    return reshape(a, squeezed_shape(a.shape, axis))


@rule(worst="exact", typical="0")
def concat(arrays: Sequence[Variable], axis: int = 0) -> Variable:
    """Several arrays, one behind the other along an axis."""
    return apply(_concatenation(one_axis(axis, arrays[0].ndim)), *arrays)


@rule(worst="u where the dtype lacks the integer", typical="0")
def astype(a: Variable) -> Variable:
    """Integers, or a condition as 1 and 0, as floats of the run's dtype."""
    return where(a, 1.0, 0.0) if a.is_condition else apply(CONVERSION, a)


@rule(worst="exact", typical="0")
def stack(arrays: Sequence[Variable], axis: int = 0) -> Variable:
    """Several arrays of one shape, beside each other along a new axis."""
    place = axis % (arrays[0].ndim + 1)
    return concat([expand_dims(array, place) for array in arrays], place)


@rule(worst="exact", typical="0")
def stop_gradient(a: Variable) -> Variable:
    """The value itself, as a constant: no gradient flows back through it."""
    return apply(STOP_GRADIENT, a)
