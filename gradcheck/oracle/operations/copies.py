"""Entries that are reversed, shifted, repeated and cut out, with zeros or constants beside them (docs/math.md, R19)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gradcheck.graphs.shapes import Axes, normalise_axes, one_axis
from gradcheck.oracle.operations.base import Operation, Variable, apply, constant
from gradcheck.oracle.operations.indexing import pick
from gradcheck.oracle.operations.movements import concat
from gradcheck.oracle.operations.places import filled
from gradcheck.oracle.operations.reductions import broadcast_to, reshape
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.structure import structural
from gradcheck.oracle.operations.terms import Array


@rule(worst="exact", typical="0")
def flip(a: Variable, axis: Axes = None) -> Variable:
    """The entries in reverse along an axis, several, or all."""
    axes = normalise_axes(axis, a.ndim)
    return apply(structural("flip", lambda a: np.flip(a, axes), lambda g, _a: (flip(g, axes),), lambda shape: shape), a)


@rule(worst="exact", typical="0")
def roll(a: Variable, shift: Axes, axis: Axes = None) -> Variable:
    """The entries moved on by a number of places along an axis, the last ones to the front."""
    back = tuple(-each for each in shift) if isinstance(shift, tuple) else -shift  # type: ignore[operator]
    return apply(
        structural(
            "roll",
            lambda a: np.roll(a, shift, axis),  # type: ignore[arg-type]
            lambda g, _a: (roll(g, back, axis),),
            lambda shape: shape,
        ),
        a,
    )


@rule(worst="exact", typical="0")
def tile(a: Variable, repetitions: Sequence[int]) -> Variable:
    """The whole array repeated along each axis, as often as a tuple says; it counts from the last axis."""
    longest = max(a.ndim, len(repetitions))
    shape = (1,) * (longest - a.ndim) + a.shape
    counts = (1,) * (longest - len(repetitions)) + tuple(repetitions)
    apart = reshape(a, tuple(size for each in shape for size in (1, each)))
    copies = broadcast_to(apart, tuple(size for pair in zip(counts, shape, strict=True) for size in pair))
    return reshape(copies, tuple(size * count for size, count in zip(shape, counts, strict=True)))


@rule(worst="exact", typical="0")
def repeat(a: Variable, repeats: int, axis: int | None = None) -> Variable:
    """Each entry repeated some times along an axis, or without one row by row."""
    if axis is None:
        return repeat(reshape(a, (math.prod(a.shape),)), repeats, 0)
    place = one_axis(axis, a.ndim)
    before, size, after = a.shape[:place], a.shape[place], a.shape[place + 1 :]
    copies = broadcast_to(reshape(a, (*before, size, 1, *after)), (*before, size, repeats, *after))
    return reshape(copies, (*before, size * repeats, *after))


@rule(worst="exact", typical="0")
def pad(a: Variable, pad_width: Sequence[Sequence[int]], constant_values: float = 0.0) -> Variable:
    """A number before and after the entries along each axis, as often as a pair for each axis says."""
    number = a.recorder.append(constant(float(constant_values)), ())
    for axis, counts in enumerate(pad_width):
        sides = [broadcast_to(number, (*a.shape[:axis], count, *a.shape[axis + 1 :])) for count in counts]
        a = concat([sides[0], a, sides[1]], axis)
    return a


@rule(worst="exact", typical="0")
def tril(a: Variable, k: int = 0) -> Variable:
    """The lower triangles of matrices, up to the k-th diagonal above the main one, and zeros."""
    return apply(_kept(_lower(a, k)), a)


@rule(worst="exact", typical="0")
def triu(a: Variable, k: int = 0) -> Variable:
    """The upper triangles of matrices, from the k-th diagonal above the main one on, and zeros."""
    return apply(_kept(~_lower(a, k - 1)), a)


def _lower(a: Variable, k: int) -> Array:
    rows, columns = a.shape[-2:]
    return np.tri(rows, columns, k, dtype=bool)


def _kept(mask: Array) -> Operation:
    """The entries of matrices where a mask holds, and zeros."""

    def move(a: Array) -> Array:
        result = filled(a.shape, a.dtype)
        np.copyto(result, a, where=mask)
        return result

    return structural("triangle", move, lambda g, _a: (apply(_kept(mask), g),), lambda shape: shape)


@rule(worst="exact", typical="0")
def diagonal(a: Variable, offset: int = 0) -> Variable:
    """The diagonals of matrices, or those beside the main one, along the last two axes."""
    rows, columns = a.shape[-2:]
    count = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    start = offset if offset >= 0 else -offset * columns
    taken = slice(start, start + count * (columns + 1) - columns, columns + 1) if count else slice(0, 0)
    return pick(reshape(a, (*a.shape[:-2], rows * columns)), (..., taken))
