"""Arithmetic of integers that `sample` gives: it makes integers, as in NumPy, and is exact."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck.errors import RequestError
from gradcheck.graphs import record
from gradcheck.oracle import Format, analyse, tape_of

SHAPES = {"x": (4,), "t": (4,), "m": (4,)}
KINDS = {"t": "integer", "m": "boolean"}
INPUTS = {"x": np.array([0.5, -0.25, 1.0, 2.0]), "t": np.array([0, 2, 2, 1]), "m": np.array([True, False, True, True])}


def kind_of(expression: str) -> str:
    found = []

    def loss(x, t, m):
        found.append(eval(expression, {"x": x, "t": t, "m": m, "np": np}))
        return np.sum(x)

    record(loss, SHAPES, KINDS)
    return found[0].kind


@pytest.mark.parametrize(
    "expression",
    [
        *("t + 1", "1 - t", "t * 2", "-t", "t + t", "t * [1, 2, 3, 4]", "np.arange(4) - t", "t - np.int64(1)"),
        *("np.add(t, 1)", "np.negative(t[1:])", "(t + 1)[None] * t"),
    ],
)
def test_arithmetic_of_integers_makes_integers(expression):
    assert kind_of(expression) == "integer"
    assert eval(expression, {"t": INPUTS["t"], "np": np}).dtype == np.int64


@pytest.mark.parametrize(
    "expression", ["t + 1.0", "t / 2", "t * x", "t - 0.5", "t + m", "t**2", "np.float32(1) * t", "t + [1.0, 2, 3, 4]"]
)
def test_arithmetic_with_anything_else_makes_floats(expression):
    assert kind_of(expression) == "floating"


def analysed(loss, inputs=INPUTS, dtype="float64"):
    given = {name: np.asarray(array) for name, array in inputs.items()}
    return analyse(tape_of(record(loss, SHAPES, KINDS), ("x",)), given, Format.of(dtype))


def test_computed_integers_are_indices_and_can_be_compared():
    def loss(x, t, m):
        return np.sum(x[3 - t] * x[2 * t - t] * np.where(t + 1 == 3, 2.0, m))

    found = analysed(loss)
    assert found["loss", None].enclosure.high == loss(**INPUTS)
    places, factors = INPUTS["t"], np.where(INPUTS["t"] == 2, 2.0, INPUTS["m"])
    expected = np.zeros(4)
    np.add.at(expected, 3 - places, INPUTS["x"][places] * factors)
    np.add.at(expected, places, INPUTS["x"][3 - places] * factors)
    assert np.array_equal(found["gradient", "x"].enclosure.high, expected)


def test_integers_are_exact_where_the_dtype_lacks_them():
    """Of 2¹¹ + 1 less 2¹¹ float16 makes 0 or 2."""
    large = INPUTS | {"t": np.full(4, 2**11)}
    found = analysed(lambda x, t, m: np.sum(x * ((t + 1) - t)), large, "float16")["gradient", "x"]
    assert np.array_equal(found.enclosure.high, np.ones(4))
    assert np.all(found.worst < 1e-2)


def test_integers_that_float64_lacks_are_refused_at_their_line():
    large = INPUTS | {"t": np.full(4, 2**30)}
    with pytest.raises(
        RequestError, match=r"test_integers.py:\d+: an integer grows to 1.15292e\+18: expected at most 2"
    ):
        analysed(lambda x, t, m: np.sum(x * (t * t)), large)


def test_a_computed_index_outside_of_its_axis_is_refused_at_its_line():
    with pytest.raises(RequestError, match=r"test_integers.py:\d+: the index 4 is outside of an axis of length 4"):
        analysed(lambda x, t, m: np.sum(x[t + 2]))
