"""Indices for engines without negative steps: they flip the axis first, with a function of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Flip = Callable[[Any, "list[int]"], Any]
"""(array, axes) -> the array with these axes reversed."""


def piece(a: Any, index: Sequence[Any], flip: Flip) -> Any:
    """A piece of an array: a[index], whose slices may have negative steps."""
    flipped, positive = [], list(index)
    places = places_of(index, a.ndim)
    for number, axis in places.items():
        if isinstance(index[number], slice) and (index[number].step or 1) < 0:
            flipped.append(axis)
            positive[number] = reversed_slice(index[number], a.shape[axis])
    return (flip(a, flipped) if flipped else a)[tuple(positive)]


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
