"""The places of pieces in an array, and sums of such pieces, each of which takes only its own memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck.oracle.formats import Format
from gradcheck.oracle.lazy import lazy

Part = int | slice | EllipsisType | NDArray[np.int64] | None
Index = Part | tuple[Part, ...]
"""Integers, slices, an ellipsis, new axes, and arrays of integers, as in NumPy: an entry may come several times."""

WHOLE: Index = ...
"""The piece that is the whole array."""


@dataclass(frozen=True, eq=False)
class Places:
    """The places of n pieces in one array, which may overlap, each also with itself.

    Attributes:
        indices: of the pieces.
        shape: of the array.
    """

    indices: tuple[Index, ...]
    shape: tuple[int, ...]

    @lazy
    def counts(self) -> NDArray[np.intp]:
        """How many times pieces have each entry of the array."""
        counts = np.zeros(self.shape, np.intp)
        for index in self.indices:
            _add(counts, index, 1)
        return counts

    @lazy
    def overlap(self) -> int:
        """The largest of the counts."""
        return int(self.counts.max(initial=0))

    def by_count(self, value: Callable[[int], float]) -> NDArray[np.float64]:
        """A function of the count, at each entry."""
        return np.array([value(count) for count in range(self.overlap + 1)])[self.counts]

    def sum_error(self, format: Format) -> NDArray[np.float64]:
        """The relative error θ(c − 1, u) of sums in any order, c the count of their terms (docs/math.md, R10)."""
        return self.by_count(lambda count: format.sum_error(max(count - 1, 0)))

    def total(self, pieces: Sequence[NDArray[Any] | None]) -> NDArray[Any]:
        """The sum of the pieces, each with zeros around it; None is a piece of zeros."""
        dtype = np.result_type(*(piece for piece in pieces if piece is not None))
        result = filled(self.shape, dtype)
        for index, piece in zip(self.indices, pieces, strict=True):
            if piece is not None:
                _add(result, index, piece)
        return result

    @lazy
    def are_slices(self) -> bool:
        """Whether no piece is made of arrays of integers."""
        return not any(map(has_arrays, self.indices))

    @lazy
    def targets(self) -> NDArray[np.intp]:
        """The place in the flat array of each entry of all pieces."""
        places = np.arange(self.counts.size).reshape(self.shape)
        return np.concatenate([np.ravel(places[index]) for index in self.indices])


def has_arrays(index: Index) -> bool:
    """Whether an index has arrays of integers."""
    return any(isinstance(part, np.ndarray) for part in (index if isinstance(index, tuple) else (index,)))


def _add(result: NDArray[Any], index: Index, piece: Any) -> None:
    """Add a piece in place."""
    if has_arrays(index):
        np.add.at(result, index, piece)  # type: ignore[arg-type]
    else:
        result[index] += piece


def filled(shape: tuple[int, ...], dtype: np.dtype[Any], value: float = 0.0) -> NDArray[Any]:
    """Equal numbers; of objects, as Arb balls."""
    if dtype.kind != "O":
        return np.full(shape, value, dtype)
    from flint import arb

    return np.full(shape, arb(value), dtype=object)
