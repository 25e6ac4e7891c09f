"""The errors of all entries of an array, reduced block by block to a small picture."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.findings import BOUND_EDGES, SPREAD_EDGES, ErrorMap

Array = npt.NDArray[np.floating[Any]]
MOST_CELLS = 32
"""The largest number of cells along an axis of a picture."""


class Picture:
    """The largest error of each cell, and the counts of errors in classes.

    Args:
        shape: of the array; one of more than two axes is seen as a matrix whose columns are its last axis.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._is_row = len(shape) == 1  # its blocks are pieces of its only axis: rows, until the end
        self._columns = 1 if len(shape) < 2 else shape[-1]
        self._rows = max(math.prod(shape) // max(self._columns, 1), 1)
        self._rows_of_block = math.prod(shape[1:]) // max(self._columns, 1) if shape else 1
        self._high = min(self._rows, MOST_CELLS)
        self._starts = _starts(self._rows, self._high)
        wide = min(self._columns, MOST_CELLS)
        self._starts_of_columns = _starts(self._columns, wide)
        self._cells = np.zeros((self._high, wide))
        self._of_bound = np.zeros(len(BOUND_EDGES) + 1, np.int64)
        self._of_spread = np.zeros(len(SPREAD_EDGES) + 1, np.int64)

    def add(self, row: int, of_bound: Array, of_spread: Array) -> None:
        """Add a block.

        Args:
            row: the place of the block along the first axis.
            of_bound: the errors of its entries in units of their bounds.
            of_spread: the same in standard deviations of rounding.
        """
        self._of_bound += _counts(of_bound, BOUND_EDGES)
        self._of_spread += _counts(of_spread, SPREAD_EDGES)
        matrix = np.ascontiguousarray(of_bound).reshape(-1, self._columns)
        first = row * self._rows_of_block
        cells = slice(
            int(np.searchsorted(self._starts, first, side="right")) - 1,
            int(np.searchsorted(self._starts, first + len(matrix))),
        )
        starts = np.maximum(self._starts[cells] - first, 0)
        one = len(starts) == 1  # that is seven times as fast
        low = matrix.max(axis=0, keepdims=True) if one else np.maximum.reduceat(matrix, starts, axis=0)
        largest = np.maximum.reduceat(low, self._starts_of_columns, axis=1)
        self._cells[cells] = np.maximum(self._cells[cells], largest)

    def record(self) -> ErrorMap:
        """Its record in a report."""
        cells = self._cells.T if self._is_row else self._cells
        return ErrorMap(
            cells=tuple(tuple(float(f"{value:.1e}") for value in row) for row in cells.tolist()),
            of_bound=tuple(self._of_bound.tolist()),
            of_spread=tuple(self._of_spread.tolist()),
        )


@functools.cache
def _starts(entries: int, cells: int) -> npt.NDArray[np.int64]:
    """Where the cells along an axis begin: the cell c at the place ⌊c · entries / cells⌋."""
    return np.arange(cells) * entries // cells


def _counts(ratios: Array, edges: tuple[float, ...]) -> npt.NDArray[np.int64]:
    """How many ratios are in each class; one that is not a number is in the last.

    A comparison with each edge below the largest ratio is ten times as fast as a search for each ratio.
    """
    largest = ratios.max(initial=0.0)
    below = [ratios.size if largest <= edge else np.count_nonzero(ratios <= edge) for edge in edges]
    return np.array([most - least for least, most in itertools.pairwise([0, *below, ratios.size])])
