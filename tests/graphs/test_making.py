"""Words that make constants: a loss has NumPy's numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck.graphs import record
from gradcheck.graphs.words.making import MAKING

MADE: dict[str, tuple[Callable[..., Any], Any]] = {
    "zeros": (lambda ops, a: ops.zeros((2, 3)), np.zeros((2, 3))),
    "ones": (lambda ops, a: ops.ones(3), np.ones(3)),
    "full": (lambda ops, a: ops.full((2, 1), -0.1), np.full((2, 1), -0.1)),
    "eye": (lambda ops, a: ops.eye(2, 3, k=1), np.eye(2, 3, 1)),
    "arange": (lambda ops, a: ops.arange(1, 2, 0.25), np.arange(1, 2, 0.25)),
    "arange from 0": (lambda ops, a: ops.arange(3), np.arange(3.0)),
    "linspace": (lambda ops, a: ops.linspace(0, 1, 5, endpoint=False), np.linspace(0, 1, 5, endpoint=False)),
    "zeros_like": (lambda ops, a: ops.zeros_like(a), np.zeros((4, 2))),
    "ones_like": (lambda ops, a: ops.ones_like(a), np.ones((4, 2))),
    "full_like": (lambda ops, a: ops.full_like(a, 3), np.full((4, 2), 3.0)),
}


@pytest.mark.parametrize("name", MADE)
def test_a_constant_has_numpys_numbers(name: str) -> None:
    make, expected = MADE[name]
    graph = record(lambda ops, a: ops.sum(a) * ops.sum(make(ops, a)), {"a": (4, 2)})
    (array,) = graph.constants.values()
    assert np.array_equal(array, expected)


def test_every_such_word_is_tried() -> None:
    assert {name.partition(" ")[0] for name in MADE} == set(MAKING)
