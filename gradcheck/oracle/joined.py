"""Small arrays, joined to one: NumPy's calls cost more than their entries.

What is computed entry by entry is the same, bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.oracle.operations import Array, Errors, Shape
from gradcheck.oracle.quantities import Quantity

SMALL = 1 << 10
"""The largest number of entries of an array that is joined to others."""


class Joined:
    """Arrays of given shapes, in one with a single axis.

    Args:
        shapes: of the arrays, in their order.
    """

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self._places: list[tuple[slice, Shape]] = []
        self._size = 0
        for shape in shapes:
            end = self._size + math.prod(shape)
            self._places.append((slice(self._size, end), shape))
            self._size = end

    def arrays(self, arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """The arrays as one."""
        return np.concatenate([array.ravel() for array in arrays])

    def errors(self, several: Sequence[Errors]) -> Errors:
        """Errors as one; None, which means exact, is zero beside others."""
        if all(errors is None for errors in several):
            return None
        joined = np.zeros(self._size)
        for (place, _), errors in zip(self._places, several, strict=True):
            if errors is not None:
                joined[place] = errors.ravel()
        return joined

    def quantity(self, several: Sequence[Quantity]) -> Quantity:
        """Quantities as one, without the factors of which they are products."""
        return Quantity(
            self.arrays([each.middle for each in several]),
            self.errors([each.radius for each in several]),
            self.errors([each.worst for each in several]),
            self.errors([each.variance for each in several]),
            self.errors([each.coherent for each in several]),
        )

    def pieces(self, joined: Array) -> Iterator[Array]:
        """What was computed entry by entry, in arrays of the given shapes."""
        return (joined[place].reshape(shape) for place, shape in self._places)

    def piece(self, joined: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
        """One of these arrays."""
        place, shape = self._places[number]
        return joined[place].reshape(shape)

    def largest(self, joined: npt.NDArray[Any]) -> list[Any]:
        """The largest entry of each array, or of booleans whether one is true; each has one entry at least."""
        found: list[Any] = np.maximum.reduceat(joined, [place.start for place, _ in self._places]).tolist()
        return found
