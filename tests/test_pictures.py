"""The picture of an array's errors: cells, classes and shapes, however the array comes in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck.findings import BOUND_EDGES
from gradcheck.judging.pictures import Picture


@pytest.mark.parametrize(
    "shape", [(), (1,), (5,), (100,), (3, 3), (40, 70), (33, 32), (2, 3, 50), (64, 1), (1, 64), (2, 2, 2, 2)]
)
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_each_cell_has_the_largest_ratio_of_its_entries(shape: tuple[int, ...], rows: int) -> None:
    ratios = np.random.default_rng(0).random(shape) * 100
    picture = Picture(shape)
    for row in range(0, shape[0] if shape else 1, rows):
        block = ratios[row : row + rows] if shape else ratios
        picture.add(row, block, block)
    record = picture.record()
    matrix = ratios.reshape(1, -1) if len(shape) < 2 else ratios.reshape(-1, shape[-1])
    high, wide = (min(each, 32) for each in matrix.shape)
    expected = np.zeros((high, wide))
    for row, column in np.ndindex(*matrix.shape):
        starts = [
            np.flatnonzero(np.arange(n) * size // n <= at)[-1]
            for n, size, at in ((high, matrix.shape[0], row), (wide, matrix.shape[1], column))
        ]
        expected[starts[0], starts[1]] = max(expected[starts[0], starts[1]], matrix[row, column])
    np.testing.assert_allclose(record.cells, expected, rtol=0.06)
    assert sum(record.of_bound) == sum(record.of_spread) == ratios.size


def test_what_is_not_a_number_is_seen_and_counted_with_the_worst() -> None:
    picture = Picture((2, 2))
    ratios = np.array([[0.0, np.nan], [np.inf, 0.5]])
    picture.add(0, ratios, ratios)
    record = picture.record()
    assert np.isnan(record.cells[0][1])
    assert record.cells[1] == (np.inf, 0.5)
    assert record.of_bound[0] == 1
    assert record.of_bound[-1] == 2
    assert record.of_bound[BOUND_EDGES.index(1.0)] == 1, "at most the bound"
