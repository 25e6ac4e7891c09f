"""Pieces of an array, entries at integers, and entries that are added there (docs/math.md, R19 and R28)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck.graphs.shapes import along_axis_shape, check_indices, one_axis
from gradcheck.oracle.operations.base import IndexOf, Operation, Shape, Variable, apply, constant
from gradcheck.oracle.operations.places import WHOLE, Index
from gradcheck.oracle.operations.reductions import broadcast_to
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.scattering import picking, scattering, taken
from gradcheck.oracle.operations.structure import bound_later
from gradcheck.oracle.operations.terms import Array


def pick(a: Variable, index: Index) -> Variable:
    """A piece of an array."""
    return apply(picking(index), a)


def _along(shape: Shape, axis: int, integers: tuple[Variable, ...]) -> IndexOf:
    """The index of integers for one axis, or for several that follow each other."""

    def index(*given: Array) -> Index:
        for each, size in zip(given, shape[axis:], strict=False):
            check_indices(each, size)
        return (*[slice(None)] * axis, *given)

    return IndexOf(integers, index)


@rule(worst="exact", typical="0", name="index")
def item(a: Variable, index: Index) -> Variable:
    """A piece of an array."""
    return pick(a, index)


@rule(worst="exact", typical="0")
def gather(a: Variable, *indices: Variable, axis: int = 0) -> Variable:
    """The entries at integers, which are broadcast together, along axes that follow each other."""
    together = np.broadcast_shapes(*(each.shape for each in indices))
    shape = (*a.shape[:axis], *together, *a.shape[axis + len(indices) :])
    return taken(a, _along(a.shape, axis, indices), shape)


@rule(worst="exact", typical="0")
def take(a: Variable, indices: Variable, axis: int = 0) -> Variable:
    """The entries at integers along an axis."""
    place = one_axis(axis, a.ndim)
    shape = (*a.shape[:place], *indices.shape, *a.shape[place + 1 :])
    return taken(a, _along(a.shape, place, (indices,)), shape)


@rule(worst="exact", typical="0")
def take_along_axis(a: Variable, indices: Variable, axis: int = -1) -> Variable:
    """The entries at integers along an axis, of each row at its own."""
    place = one_axis(axis, a.ndim)
    shape = along_axis_shape(a.shape, indices.shape, place)

    def index(given: Array) -> Index:
        check_indices(given, a.shape[place])
        grids: list[Any] = list(np.ogrid[tuple(slice(size) for size in shape)])
        grids[place] = given
        return tuple(grids)

    return taken(a, IndexOf((indices,), index), shape)


@rule(worst="exact", typical="0")
def one_hot(indices: Variable, num_classes: int) -> Variable:
    """Rows of zeros with 1 at each integer."""

    def bind(given: Array) -> Operation:
        check_indices(given, num_classes)
        return constant((given[..., None] == np.arange(num_classes)).astype(np.float64))

    shape = (*indices.shape, num_classes)
    return apply(bound_later("one_hot", bind, lambda *_: (), lambda *_: shape, 1, moves=False), indices)


@rule(worst=r"θ(c, u) of Σ|terms|, c what is added", typical="√c")
def at_add(a: Variable, *operands: Variable) -> Variable:
    """The array a, to which the last operand is added at integers along its first axes."""
    *indices, b = operands
    place = _along(a.shape, 0, tuple(indices))
    together = np.broadcast_shapes(*(each.shape for each in indices))
    shape = (*together, *a.shape[len(indices) :])
    return apply(scattering([WHOLE, place], a.shape), a, broadcast_to(b, shape), *indices)
