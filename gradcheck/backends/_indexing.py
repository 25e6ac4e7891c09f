"""Indices and axes of engines: without negative steps or axes, and with NumPy's index arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Flip = Callable[[Any, "list[int]"], Any]
"""(array, axes) -> the array with these axes reversed."""


def piece(a: Any, index: Sequence[Any], flip: Flip) -> Any:
    """A piece of an array: a[index], whose slices may have negative steps: these flip the axis first."""
    flipped, positive = [], list(index)
    places = places_of(index, a.ndim)
    for number, axis in places.items():
        if isinstance(index[number], slice) and (index[number].step or 1) < 0:
            flipped.append(axis)
            positive[number] = reversed_slice(index[number], a.shape[axis])
    return (flip(a, flipped) if flipped else a)[tuple(positive)]


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """An axis, several, or None for all, as a tuple without negative numbers."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(each % ndim for each in axes)


def places_of(index: Sequence[Any], ndim: int) -> dict[int, int]:
    """The numbers of the integers and slices in an index -> their axes."""
    numbers = [number for number, each in enumerate(index) if each is not None]
    places: dict[int, int] = {}
    for position, number in enumerate(numbers):
        if index[number] is ...:
            rest = numbers[position + 1 :]
            return {**places, **{each: ndim - len(rest) + behind for behind, each in enumerate(rest)}}
        places[number] = position
    return places


def reversed_slice(piece: slice, length: int) -> slice:
    """The slice with a positive step that has the same entries in a flipped axis of that length."""
    taken = range(length)[piece]
    start = length - 1 - taken.start
    return slice(start, start - taken.step * len(taken), -taken.step) if taken else slice(0, 0)


def gathered(a: Any, *indices: Any, axis: int = 0) -> Any:
    """The word `gather` where a framework has NumPy's index arrays: a[i], a[:, i, j]."""
    return a[(slice(None),) * axis + indices]


def along_axis(np: Any, a: Any, indices: Any, axis: int) -> Any:
    """Entries along an axis, of each row at its own, by index arrays."""
    grids = [
        np.arange(size, dtype="int64").reshape((-1,) + (1,) * (a.ndim - each - 1)) for each, size in enumerate(a.shape)
    ]
    grids[axis] = indices
    return a[tuple(grids)]


def ordered(np: Any, a: Any, axis: int, descending: bool) -> Any:
    """The places of the entries in order along an axis, where a framework has NumPy's function for that."""
    return np.argsort(-a if descending else a, axis, kind="stable")
