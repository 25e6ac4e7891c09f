"""Sorted entries and their gradients: the rule R33 of docs/math.md is attained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import Format, analyse, record
from gradcheck.oracle.balls import walk
from gradcheck.oracle.operations.sorting import RETURNED, SORTED
from tests.oracle.attaining import share, step
from tests.oracle.test_enclosures import outside


def test_a_sorted_entry_moves_as_far_as_an_entry_that_may_have_its_rank() -> None:
    found = step(SORTED, [[5.0, 1.0, 1.25]], errors=[[0.5, 0.75, 0.125]])
    assert found.worst is not None
    assert found.worst.tolist() == [0.75, 0.75, 0.5]
    assert 0.999 < share([1.0 - 0.75, 1.25, 5.5], found) <= 1
    assert step(SORTED, [[5.0, 1.0]]).worst is None


def test_a_gradient_may_be_that_of_every_possible_rank() -> None:
    found = step(RETURNED, [[0.0, 0.25, 3.0], [1.0, 3.0, 7.0]], errors=[[0.125, 0.25, 0.0], [0.0, 0.0, 0.5]])
    assert found.float64.tolist() == [1.0, 3.0, 7.0]
    assert 0.999 < share([3.0, 1.0, 7.5], found) <= 1
    assert share([1.0, 3.0, 6.5], found) <= 1


def test_equal_entries_may_have_each_others_gradients() -> None:
    found = step(RETURNED, [[2.0, 1.0, 2.0], [1.0, 3.0, 7.0]])
    assert found.worst is not None
    assert found.float64.tolist() == [3.0, 1.0, 7.0]
    assert found.worst.tolist() == [4.0, 0.0, 4.0]


@pytest.mark.parametrize("seed", range(50))
def test_no_errors_of_entries_move_sorted_ones_or_gradients_further(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, errors, g = rng.integers(6, size=(3, 8)) / 4.0, rng.integers(3, size=(3, 8)) / 8.0, rng.normal(size=(3, 8))
    found, back = step(SORTED, [a], errors=[errors]), step(RETURNED, [a, g], errors=[errors, None])
    assert found.worst is not None
    assert back.worst is not None
    for _ in range(20):
        moved = a + errors * rng.choice([-1.0, 0.0, 1.0], a.shape)
        assert np.all(np.abs(np.sort(moved) - found.float64) <= found.worst)
        order = np.argsort(moved + rng.normal(size=a.shape) * 1e-9)
        answer = np.empty_like(g)
        np.put_along_axis(answer, order, g, -1)
        assert np.all(np.abs(answer - back.float64) <= back.worst)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("descending", [False, True])
def test_gradients_are_those_by_hand_and_enclosed_by_balls(dtype: str, descending: bool) -> None:
    def loss(ops: Any, a: Any, c: Any) -> Any:
        return ops.sum(ops.sort(a * a, axis=0, descending=descending) * c)

    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=(4, 3)).astype(dtype) for name in "ac"}
    inputs["a"][:2, 0] = 0.5  # a tie
    tape = record(loss, {"a": (4, 3), "c": (4, 3)}, ("a", "c"))
    analysis, balls = analyse(tape, inputs, Format.of(dtype)), walk(tape, inputs, 200)
    order = np.argsort(inputs["a"].astype(float) ** 2, 0)
    order, right = (order[::-1] if descending else order), np.zeros((4, 3))
    np.put_along_axis(right, order, inputs["c"].astype(float), 0)
    assert np.allclose(analysis["gradient", "a"].enclosure.high[:, 1:], (2 * inputs["a"] * right)[:, 1:], rtol=1e-5)
    for key, output in analysis.items():
        assert not outside(output.enclosure, balls[key]), key
