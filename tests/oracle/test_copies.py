"""Words that move, repeat and cut out entries have NumPy's values, and the derivatives of NumPy's functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import Format, analyse, record

CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "flip": (lambda ops, a: ops.flip(a, axis=(0, -1)), lambda a: np.flip(a, (0, -1))),
    "flip of all": (lambda ops, a: ops.flip(a), np.flip),
    "roll": (lambda ops, a: ops.roll(a, (1, -7), axis=(0, 2)), lambda a: np.roll(a, (1, -7), (0, 2))),
    "roll by rows": (lambda ops, a: ops.roll(a, 5), lambda a: np.roll(a, 5)),
    "one roll of two axes": (lambda ops, a: ops.roll(a, 1, (0, 1)), lambda a: np.roll(a, 1, (0, 1))),
    "tile": (lambda ops, a: ops.tile(a, (2, 1, 1, 3)), lambda a: np.tile(a, (2, 1, 1, 3))),
    "tile the last axis": (lambda ops, a: ops.tile(a, (2,)), lambda a: np.tile(a, (2,))),
    "repeat": (lambda ops, a: ops.repeat(a, 2, axis=-2), lambda a: np.repeat(a, 2, axis=-2)),
    "repeat by rows": (lambda ops, a: ops.repeat(a, 3), lambda a: np.repeat(a, 3)),
    "pad": (
        lambda ops, a: ops.pad(a, ((1, 0), (0, 0), (2, 3)), 0.5),
        lambda a: np.pad(a, ((1, 0), (0, 0), (2, 3)), constant_values=0.5),
    ),
    "moveaxis": (lambda ops, a: ops.moveaxis(a, (0, -1), (1, 0)), lambda a: np.moveaxis(a, (0, -1), (1, 0))),
    "permute_dims": (lambda ops, a: ops.permute_dims(a, (-1, 0, 1)), lambda a: np.transpose(a, (2, 0, 1))),
    "matrix_transpose": (lambda ops, a: ops.matrix_transpose(a), lambda a: np.swapaxes(a, -1, -2)),
    "stack": (lambda ops, a: ops.stack([a, 2 * a], axis=-2), lambda a: np.stack([a, 2 * a], axis=-2)),
    "unstack": (lambda ops, a: ops.unstack(a, axis=1)[1] * 3, lambda a: a[:, 1] * 3),
    **{
        f"tril {k}": (lambda ops, a, k=k: ops.tril(a, k=k), lambda a, k=k: np.tril(a, k))  # type: ignore[misc]
        for k in range(-3, 4)
    },
    **{
        f"triu {k}": (lambda ops, a, k=k: ops.triu(a, k=k), lambda a, k=k: np.triu(a, k))  # type: ignore[misc]
        for k in range(-3, 4)
    },
    **{
        f"diagonal {k}": (
            lambda ops, a, k=k: ops.diagonal(a, offset=k) * 2,  # type: ignore[misc]
            lambda a, k=k: np.diagonal(a, k, -2, -1) * 2,  # type: ignore[misc]
        )
        for k in range(-4, 5)
    },
}


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 4, 3), (1, 1, 1), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_it_moves_entries_as_numpy_does_and_gradients_back(name: str, shape: tuple[int, ...]) -> None:
    word, function = CASES[name]
    if name == "unstack" and shape[1] < 2:
        pytest.skip("there is no second piece")
    generator = np.random.default_rng(0)
    array = generator.normal(size=shape)
    expected = function(array)
    weights = generator.normal(size=expected.shape)
    tape = record(lambda ops, a: ops.sum(weights * ops.watch("moved", word(ops, a))), {"a": shape}, ("a",))
    analysis = analyse(tape, {"a": array}, Format.of("float64"))
    assert np.array_equal(analysis["value", "moved"].enclosure.high, expected)
    zero = np.sum(weights * function(np.zeros(shape)))  # of a constant beside the entries
    units = np.eye(array.size).reshape(array.size, *shape)
    slopes = np.array([np.sum(weights * function(unit)) - zero for unit in units]).reshape(shape)
    assert np.allclose(analysis["gradient", "a"].enclosure.high, slopes, rtol=1e-13, atol=1e-13)
