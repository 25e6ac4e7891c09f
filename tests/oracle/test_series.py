"""Values from Taylor polynomials lie within 13 unit roundoffs of those of Arb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx

from gradcheck.oracle.operations import by_series
from gradcheck.oracle.operations.by_balls import value_of

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "erf": lambda a: a.erf(),
    "erfc": lambda a: a.erfc(),
    "normal distribution": lambda a: (-a / arb(2).sqrt()).erfc() / 2,
}
DTYPES = [np.float64] if np.finfo(np.longdouble).nmant != by_series.DIGITS else [np.float64, np.longdouble]


def numbers(dtype: type[np.floating]) -> np.ndarray:
    """Numbers in all intervals and at their ends, and tiny ones."""
    rng = np.random.default_rng(0)
    ends = np.arange(-8.0, 8.0, by_series.WIDTH) + by_series.WIDTH / 2
    some = [
        ends,
        np.nextafter(ends, 9),
        rng.uniform(-8, 8, 800),
        rng.uniform(-0.1, 0.1, 100),
        10.0 ** -rng.uniform(1, 300, 50),
    ]
    return np.concatenate(some).astype(dtype) * (1 + dtype(2.0**-60) * rng.integers(0, 8, sum(map(len, some))))


def error(function: Callable[[Any], Any], at: np.floating, value: np.floating) -> float:
    """The error of a value, relative to the true one."""
    with ctx.workprec(300):
        true = function(exact(at))
        return abs(float((exact(value) - true) / true))


def exact(number: np.floating) -> Any:
    high = float(number)
    return arb(high) + float(number - type(number)(high))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_within_thirteen_roundings(name: str, dtype: type[np.floating]) -> None:
    a = numbers(dtype)
    values, found = by_series.Polynomials(FUNCTIONS[name]).values(a)
    assert found.mean() > 0.9, "that is what it is for"
    unit = float(np.finfo(dtype).eps) / 2
    errors = [error(FUNCTIONS[name], *pair) / unit for pair in zip(a[found], values[found], strict=True)]
    assert max(errors) <= by_series.ROUNDINGS
    assert max(errors) > 1.4, "more than one rounding is seen"


@pytest.mark.parametrize("frequency", [24, 70])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_polynomial_that_is_not_near_is_not_used(dtype: type[np.floating], frequency: int) -> None:
    def wave(a: Any) -> Any:
        return (frequency * a).cos()

    a = np.linspace(-0.2, 0.2, 1001).astype(dtype)
    values, found = by_series.Polynomials(wave).values(a)
    assert not found.all()
    unit = float(np.finfo(dtype).eps) / 2
    assert all(error(wave, *pair) <= by_series.ROUNDINGS * unit for pair in zip(a[found], values[found], strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_numbers_are_left_to_balls(name: str, dtype: type[np.floating]) -> None:
    function = FUNCTIONS[name]
    a = np.array([np.nan, np.inf, -np.inf, 8.5, -8.5, 25.0, -25.0, 1.0, 0.0], dtype)
    values = value_of(function, 1.0, -1.0, by_series=True)(a)
    assert np.array_equal(values[:7], value_of(function, 1.0, -1.0)(a)[:7], equal_nan=True)
    assert values.dtype == dtype


def test_an_entry_has_the_same_value_alone_and_among_others() -> None:
    a = np.random.default_rng(0).uniform(-8, 8, (7, 11))
    value = value_of(FUNCTIONS["erf"], 1.0, -1.0, by_series=True)
    assert np.array_equal(value(a), [[value(each) for each in row] for row in a])
    assert value(np.array(9.0)) == value_of(FUNCTIONS["erf"], 1.0, -1.0)(np.array(9.0))
