"""Indices with negative steps for engines that flip an axis first: they take what NumPy takes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gradcheck.backends._indexing import piece

ARRAY = np.arange(2 * 5 * 4).reshape(2, 5, 4)
BOUNDS = (None, 0, 1, 3, 4, 9, -1, -2, -5, -9)


@pytest.mark.parametrize("step", [-1, -2, -3, -9, 1, 2])
def test_a_slice_takes_the_entries_that_numpy_takes(step: int) -> None:
    for start, stop in itertools.product(BOUNDS, BOUNDS):
        index = (slice(None), slice(start, stop, step))
        assert np.array_equal(piece(ARRAY, index, np.flip), ARRAY[index]), index


@pytest.mark.parametrize(
    "index",
    [
        (..., slice(None, None, -1)),
        (0, ..., slice(None, None, -2)),
        (slice(None, None, -1), None, ..., None, 2),
        (None, slice(None, None, -1), slice(3, None, -1), slice(None, 0, -1)),
        (-1, slice(None, None, -1)),
        (slice(None, None, -1), ...),
    ],
)
def test_other_parts_of_an_index_stay(index: tuple[object, ...]) -> None:
    assert np.array_equal(piece(ARRAY, index, np.flip), ARRAY[index])
