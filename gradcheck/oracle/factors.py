"""Bounds of the products of some factors of a chain, for any choice of these (docs/math.md, R22)."""

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
        low: Π max(1, 1/|x|): no product of their reciprocals is larger; arrays are 0 where a factor is exactly zero, so
            that nothing can be lost.
        divisor_high: Π max(1, |d|).
        divisor_low: Π max(1, 1/|d|).
        factors: how many there are of both, without those that are exactly 1 or −1 in every entry.
        divisors: how many divisors there are.
    """

    high: Any
    low: Any
    divisor_high: Any
    divisor_low: Any
    factors: int = 1
    divisors: int = 0

    @classmethod
    def of(cls, size: Array, error: Errors, zero: Array, parts: Errors) -> Factors:
        """A single factor.

        Args:
            size: its magnitudes.
            error: their largest errors.
            zero: where it is zero.
            parts: the size of the terms whose sum it is, each of which may take its place; None where none does.
        """
        nearest = _nearest(size, error)
        low = np.where(nearest > 0, np.maximum(1.0, 1 / nearest), np.inf)
        low = np.where(_exactly(zero, error), 0.0, low)
        one = np.broadcast_to(1.0, size.shape)
        return cls(np.maximum(1.0, _reach(size, error, parts)), low, one, one, _count(size, error))

    @classmethod
    def largest_of(cls, size: Array, error: Errors, zero: Array, parts: Errors) -> Factors:
        """The largest bounds of a single factor, floats; those of an array without entries, or of zeros, are 1."""
        nearest = float(_nearest(size, error).min(initial=np.inf, where=~_exactly(zero, error)))
        low = max(1.0, 1 / nearest) if nearest > 0 else np.inf
        return cls(float(_reach(size, error, parts).max(initial=1.0)), low, 1.0, 1.0, _count(size, error))

    @property
    def bounds(self) -> tuple[Any, Any, Any, Any]:
        """All but the numbers."""
        return self.high, self.low, self.divisor_high, self.divisor_low

    @property
    def inverted(self) -> Factors:
        """Those of the reciprocal."""
        divisors = self.factors - self.divisors
        return Factors(self.divisor_high, self.divisor_low, self.high, self.low, self.factors, divisors)

    @property
    def beside_zeros(self) -> Factors:
        """Those of entries among which zeros were put, all of whose bounds are 0: these have no factors."""
        high, low, divisor_high, divisor_low = self.bounds
        high, divisor_high, divisor_low = (np.maximum(bound, 1.0) for bound in (high, divisor_high, divisor_low))
        return _together((high, low, divisor_high, divisor_low), self.factors, self.divisors)

    def times(self, count: int) -> Factors:
        """The same bounds for so many times as many factors."""
        return _together(self.bounds, count * self.factors, count * self.divisors)

    def spread_out(self, shape: Shape) -> Factors:
        """Arrays of a shape."""
        return self.mapped(lambda bound: np.broadcast_to(bound, shape))

    def mapped(self, function: Callable[[Any], Any]) -> Factors:
        """A function of each bound."""
        return _together(map(function, self.bounds), self.factors, self.divisors)


def _count(size: Array, error: Errors) -> int:
    return 0 if error is None and (size == 1).all() else 1


def _reach(size: Array, error: Errors, parts: Errors) -> Array:
    """The largest magnitudes that a factor may have, or a term in its place."""
    reach = size if error is None else size + error
    return reach if parts is None else np.maximum(reach, parts)


def _nearest(size: Array, error: Errors) -> Array:
    """The smallest magnitudes that a factor may have."""
    return size if error is None else size - error * WIDENING


def _exactly(zero: Array, error: Errors) -> Array:
    return zero if error is None else zero & (error == 0)


def _together(bounds: Iterable[Any], factors: int, divisors: int) -> Factors:
    high, low, divisor_high, divisor_low = bounds
    return Factors(high, low, divisor_high, divisor_low, factors, divisors)


def product(factors: Sequence[Factors], multiply: Multiply) -> Factors:
    """All factors together."""
    count, divisors = sum(each.factors for each in factors), sum(each.divisors for each in factors)
    highs, lows, divisor_highs, divisor_lows = zip(*(each.bounds for each in factors), strict=True)
    high, low = reduce(multiply, highs), reduce(multiply, lows)
    if divisors:
        return Factors(high, low, reduce(multiply, divisor_highs), reduce(multiply, divisor_lows), count, divisors)
    one = 1.0 if isinstance(high, float) else np.broadcast_to(1.0, high.shape)
    return Factors(high, low, one, one, count)


def widest(factors: Sequence[Factors], together: Callable[..., Any]) -> Factors:
    """Bounds that hold for each of several: ``together`` makes one of those of all."""
    bounds = (together(*each) for each in zip(*(each.bounds for each in factors), strict=True))
    return _together(bounds, max(each.factors for each in factors), max(each.divisors for each in factors))
