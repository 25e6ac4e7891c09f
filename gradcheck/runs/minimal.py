"""The smallest inputs for which something holds: the size, the entries that are not zero, the digits of the numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Holds = Callable[[Arrays, int | None], bool]
"""(inputs, size) -> whether it still holds; false for inputs that are none of the problem."""
Shapes = Callable[[int], Mapping[str, tuple[int, ...]]]

SIMPLE = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 10.0, -10.0, 100.0, -100.0)
LARGER = (10.0, -10.0)
FEW = 4
"""The largest number of entries that are changed in pairs."""
MOST_ROUNDS = 4


def measure(arrays: Arrays, k: int | None) -> tuple[int, int, int]:
    """The size, the number of non-zero entries, and the digits that write them: smaller is simpler."""
    entries = np.concatenate([np.zeros(0), *(np.asarray(array, np.float64).ravel() for array in arrays.values())])
    left = entries[entries != 0]
    return k or 0, len(left), sum(length(each) for each in left.tolist())


def length(value: float) -> int:
    """The number of characters that write a number in the shortest way."""
    return len(f"{value:.17g}" if float(f"{value:.6g}") != value else f"{value:g}")


def minimal(
    arrays: Arrays, k: int | None, holds: Holds, shapes: Shapes, free: tuple[str, ...]
) -> tuple[Arrays, int | None]:
    """The smallest inputs that steps of one kind reach: without an index, with a zero, or with a simpler number.

    Args:
        arrays: for which it holds.
        k: their size, or None.
        holds: whether it still does.
        shapes: a size -> the shapes of all inputs.
        free: the inputs whose entries may be any numbers; of others only the size changes.
    """
    for _ in range(MOST_ROUNDS):
        before = measure(arrays, k)
        if k is not None:
            arrays, k = shorter(arrays, k, holds, shapes)
        arrays = sparser(arrays, k, holds, free)
        arrays = simpler(arrays, k, holds, free)
        if measure(arrays, k) == before:
            break
    return arrays, k


def shorter(arrays: Arrays, k: int, holds: Holds, shapes: Shapes) -> tuple[Arrays, int]:
    """Inputs of a smaller size: each step removes one index from all axes of length `k`."""
    while k > 1:
        wanted = shapes(k - 1)
        for index in reversed(range(k)):
            tried = {name: without(array, k, index, wanted[name]) for name, array in arrays.items()}
            if any(each is None for each in tried.values()):
                return arrays, k
            smaller = {name: each for name, each in tried.items() if each is not None}
            if holds(smaller, k - 1):
                arrays, k = smaller, k - 1
                break
        else:
            return arrays, k
    return arrays, k


def without(array: Array, k: int, index: int, shape: tuple[int, ...]) -> Array | None:
    """An array of another shape, without an index of axes of length `k`; None if the shapes do not fit."""
    if array.ndim != len(shape):
        return None
    for axis, wanted in enumerate(shape):
        if wanted > array.shape[axis]:
            return None
        if array.shape[axis] == k and wanted == k - 1:
            array = np.delete(array, index, axis)
        array = array[(slice(None),) * axis + (slice(wanted),)]
    if array.dtype.kind in "iu" and array.size and array.max() == k - 1:  # an index into an axis that is shorter now
        array = np.where(array > index, array - 1, array)
        array = np.minimum(array, max(k - 2, 0))
    return array


def sparser(arrays: Arrays, k: int | None, holds: Holds, free: tuple[str, ...]) -> Arrays:
    """Inputs with more zeros: each step makes several entries zero, at first all, at last one."""
    entries = [(name, place) for name in free for place in np.flatnonzero(arrays[name])]
    chunk = len(entries)
    while chunk:
        for start in range(0, len(entries), chunk):
            tried = {name: array.copy() for name, array in arrays.items()}
            for name, place in entries[start : start + chunk]:
                tried[name].flat[place] = 0
            if holds(tried, k):
                arrays = tried
        left = [(name, place) for name, place in entries if arrays[name].flat[place]]
        chunk = min(chunk, len(left) + 1) // 2
        entries = left
    return fewer(arrays, k, holds, entries) if len(entries) <= FEW else arrays


def fewer(arrays: Arrays, k: int | None, holds: Holds, entries: Sequence[tuple[str, Any]]) -> Arrays:
    """Inputs in which one entry is zero, and another makes up for it with a larger number."""
    for (zero, there), (name, place) in itertools.permutations(entries, 2):
        for value in LARGER:
            tried = {each: array.copy() for each, array in arrays.items()}
            tried[zero].flat[there] = 0
            tried[name].flat[place] = value
            if holds(tried, k):
                left = [each for each in entries if each != (zero, there)]
                return fewer(tried, k, holds, left)
    return arrays


def simpler(arrays: Arrays, k: int | None, holds: Holds, free: tuple[str, ...]) -> Arrays:
    """Inputs with simpler numbers: at first all entries together, then one by one."""
    for change in (
        np.ones_like,
        np.sign,
        np.rint,
        lambda array: one_digit(array, 1),
        lambda array: one_digit(array, 2),
    ):
        tried = {
            name: np.where(array != 0, change(array), 0.0) if name in free else array for name, array in arrays.items()
        }
        if measure(tried, k)[1:] < measure(arrays, k)[1:] and holds(tried, k):
            arrays = tried
            break
    for name in free:
        for place in np.flatnonzero(arrays[name]):
            value = float(arrays[name].flat[place])
            for candidate in candidates(value):
                tried = {each: array.copy() for each, array in arrays.items()}
                tried[name].flat[place] = candidate
                if holds(tried, k):
                    arrays = tried
                    break
    return arrays


def candidates(value: float) -> Iterator[float]:
    """Simpler numbers in the place of one, the simplest first."""
    with np.errstate(all="ignore"):
        near = [float(np.trunc(value)), float(np.rint(value)), float(np.trunc(value) + np.sign(value))]
        near += [float(one_digit(np.array(value), digits)) for digits in (1, 2, 3)]
    found = dict.fromkeys(each for each in itertools.chain(SIMPLE, near, [abs(value)]) if np.isfinite(each) and each)
    own = order(value)
    yield from (each for each in sorted(found, key=order) if order(each) < own)


def order(value: float) -> tuple[int, bool, float]:
    """The order of numbers by simplicity."""
    return length(abs(value)), value < 0, abs(np.log(abs(value)))


def one_digit(array: Array, digits: int) -> Array:
    """Numbers rounded to some significant digits."""
    rounded: Array = np.vectorize(lambda each: float(f"{each:.{digits - 1}e}"), otypes=[np.float64])(array)
    return rounded
