"""Words that reverse, shift, repeat and cut out entries, and put zeros or constants beside them."""

from __future__ import annotations

import math
from typing import Any

from gradcheck.graphs.graph import Piece, Shape
from gradcheck.graphs.instead import described
from gradcheck.graphs.shapes import Axes, normalise_axes, one_axis
from gradcheck.graphs.values import Value
from gradcheck.graphs.words.declaration import word
from gradcheck.graphs.words.moving import Entries


@word
def flip(a: Entries, axis: Axes = None) -> Shape:
    """The entries in reverse along an axis, several, or all."""
    normalise_axes(axis, a.ndim)
    return a.shape


@word
def roll(a: Entries, shift: Axes, axis: Axes = None) -> Shape:
    """The entries moved on by a number of places along an axis, the last ones to the front.

    Several axes have a shift each; without an axis, the entries row by row are shifted.
    """
    shifts = shift if isinstance(shift, tuple) else (shift,)
    if not all(hasattr(each, "__index__") for each in shifts):
        raise TypeError(f"shift={shift!r}: expected a whole number, or a tuple of them")
    axes = (0,) if axis is None else normalise_axes(axis, a.ndim)
    if len(shifts) not in (1, len(axes)):
        raise ValueError(f"shift={shift!r} and axis={axis!r}: expected a shift for each axis")
    return a.shape


@word
def tile(a: Entries, repetitions: Shape) -> Shape:
    """The whole array repeated along each axis, as often as a tuple says; it counts from the last axis."""
    counts = counts_of("repetitions", repetitions)
    longest = max(a.ndim, len(counts))
    shape, counts = ((1,) * (longest - len(each)) + each for each in (a.shape, counts))
    return tuple(size * count for size, count in zip(shape, counts, strict=True))


@word
def repeat(a: Entries, repeats: int, axis: int | None = None) -> Shape:
    """Each entry repeated some times along an axis, or without one row by row."""
    (count,) = counts_of("repeats", (repeats,))
    if axis is None:
        return (math.prod(a.shape) * count,)
    place = one_axis(axis, a.ndim)
    return (*a.shape[:place], a.shape[place] * count, *a.shape[place + 1 :])


@word
def pad(a: Value, pad_width: tuple[Piece, ...], constant_values: float = 0.0) -> Shape:
    """A number before and after the entries along each axis, as often as a pair for each axis says."""
    pairs = pad_width if isinstance(pad_width, (tuple, list)) else ()
    if len(pairs) != a.ndim or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
        expected = f"expected a pair (before, after) for each axis, such as {((1, 1),) * max(a.ndim, 1)}"
        raise ValueError(f"pad_width={pad_width!r} for shape {a.shape}: {expected}")
    if not isinstance(constant_values, (int, float)) or not abs(constant_values) < float("inf"):
        raise TypeError(f"constant_values is {described(constant_values)}: expected a finite number")
    counts = [counts_of("pad_width", pair) for pair in pairs]
    return tuple(before + size + after for size, (before, after) in zip(a.shape, counts, strict=True))


@word
def tril(a: Value, k: int = 0) -> Shape:
    """The lower triangles of matrices, up to the k-th diagonal above the main one, and zeros."""
    return _of_matrices(a)


@word
def triu(a: Value, k: int = 0) -> Shape:
    """The upper triangles of matrices, from the k-th diagonal above the main one on, and zeros."""
    return _of_matrices(a)


@word
def diagonal(a: Entries, offset: int = 0) -> Shape:
    """The diagonals of matrices, or those beside the main one, along the last two axes."""
    rows, columns = _of_matrices(a)[-2:]
    return (*a.shape[:-2], max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0))


def _of_matrices(a: Value) -> Shape:
    if a.ndim < 2:
        raise ValueError(f"got {described(a)}: expected two axes or more")
    return a.shape


def counts_of(name: str, counts: Any) -> tuple[int, ...]:
    """Numbers of copies.

    Raises:
        TypeError: they are not a tuple of whole numbers.
        ValueError: one is negative.
    """
    if not isinstance(counts, (tuple, list)) or not all(hasattr(each, "__index__") for each in counts):
        raise TypeError(f"{name}={counts!r}: expected whole numbers")
    if any(count < 0 for count in counts):
        raise ValueError(f"{name}={tuple(counts)}: expected no negative number")
    return tuple(counts)
