"""Bounds of the products of some factors of a chain, whichever these are (docs/math.md, R22)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from gradcheck.oracle.formats import WIDENING
from gradcheck.oracle.operations import Array, Errors, Shape

Multiply = Callable[[Any, Any], Any]


class Factors(NamedTuple):
    """The factors x and divisors d of a product: arrays, or floats for the largest of them; 1 or more.

    Attributes:
        high: Π max(1, |x|): no product of some factors is larger.
        low: Π max(1, 1/|x|): no product of their reciprocals is larger.
        divisor_high: Π max(1, |d|).
        divisor_low: Π max(1, 1/|d|).
        factors: how many there are of both.
        divisors: how many divisors there are.
    """

    high: Any
    low: Any
    divisor_high: Any
    divisor_low: Any
    factors: int = 1
    divisors: int = 0

    @classmethod
    def of(cls, size: Array, error: Errors) -> Factors:
        """A single factor.

        Args:
            size: its magnitudes.
            error: how far they may be off.
        """
        nearest = size if error is None else size - error * WIDENING
        low = np.where(nearest > 0, np.maximum(1.0, 1 / nearest), np.inf)
        one = np.broadcast_to(1.0, size.shape)
        return cls(np.maximum(1.0, size if error is None else size + error), low, one, one)

    @classmethod
    def largest_of(cls, size: Array, error: Errors) -> Factors:
        """The largest bounds of a single factor, floats; those of an array without entries are 1."""
        reach = 0.0 if error is None else float(error.max(initial=0.0))
        nearest = float(size.min(initial=np.inf)) - reach * WIDENING
        low = max(1.0, 1 / nearest) if nearest > 0 else np.inf
        return cls(max(1.0, float(size.max(initial=0.0)) + reach), low, 1.0, 1.0)

    @property
    def bounds(self) -> tuple[Any, Any, Any, Any]:
        """All but the numbers."""
        return self.high, self.low, self.divisor_high, self.divisor_low

    @property
    def inverted(self) -> Factors:
        """Those of the reciprocal."""
        divisors = self.factors - self.divisors
        return Factors(self.divisor_high, self.divisor_low, self.high, self.low, self.factors, divisors)

    def rows(self, rows: Any) -> Factors:
        """Some rows of arrays."""
        return self.mapped(lambda bound: bound[rows])

    def spread_out(self, shape: Shape) -> Factors:
        """Arrays of a shape."""
        return self.mapped(lambda bound: np.broadcast_to(bound, shape))

    def mapped(self, function: Callable[[Any], Any]) -> Factors:
        """A function of each bound."""
        return _together(map(function, self.bounds), self.factors, self.divisors)


def _together(bounds: Iterable[Any], factors: int, divisors: int) -> Factors:
    high, low, divisor_high, divisor_low = bounds
    return Factors(high, low, divisor_high, divisor_low, factors, divisors)


def product(factors: Sequence[Factors], multiply: Multiply) -> Factors:
    """All factors together."""
    bounds = (reduce(multiply, each) for each in zip(*(each.bounds for each in factors), strict=True))
    return _together(bounds, sum(each.factors for each in factors), sum(each.divisors for each in factors))


def widest(factors: Sequence[Factors], together: Callable[..., Any]) -> Factors:
    """Bounds that hold for each of several: ``together`` makes one of those of all."""
    bounds = (together(*each) for each in zip(*(each.bounds for each in factors), strict=True))
    return _together(bounds, max(each.factors for each in factors), max(each.divisors for each in factors))
