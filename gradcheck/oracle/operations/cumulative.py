"""Cumulative sums: every entry is the sum of those up to it, or from it on (docs/math.md, R26)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gradcheck.graphs.shapes import one_axis
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Operation,
    Variable,
    apply,
    square,
    summing_variance,
    total,
)
from gradcheck.oracle.operations.coherence import of_equal_terms, of_shared_errors
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances


@dataclass(frozen=True)
class CumulativeSum:
    """Sums along an axis, a negative number; `reverse` sums from the end."""

    axis: int
    reverse: bool = False

    def value(self, a: Array) -> Array:
        """The sums."""
        if self.reverse:
            return np.asarray(np.flip(np.cumsum(np.flip(a, self.axis), axis=self.axis), self.axis))
        return np.asarray(np.cumsum(a, axis=self.axis))

    def worst(self, format: Format, _result: Values, a: Bounded) -> Errors:
        """R10 for each sum: ΣE + θ(m, u)·Σ(|v|+E) + mt of its m terms."""
        counts = self._counts(a)
        relative = np.expm1(counts * np.log1p(format.roundoff))
        local = relative * self.value(a.reach) + counts * format.underflow
        return total(local, None if a.error is None else self.value(a.error))

    def variance(self, format: Format, result: Values, a: Spread) -> Variances:
        """W1 to W3 for each sum: max(Σs², (Σ±s)²) + (0.6u)²((m/2)Σv² + (1+m/3)(Σv)²), and the part of equal terms."""
        squares, sums = summing_variance(1)
        counts = self._counts(a)
        squared, size = self.value(square(a.size)), square(result.size)
        summing = counts * squares * squared + (1 + counts * sums) * size
        largest = np.max(np.sqrt(size + squared), axis=self.axis, keepdims=True, initial=0.0)
        equal = of_equal_terms(a.middle, largest, (a.middle.ndim + self.axis,), format.roundoff)
        local = (ROUNDING_DEVIATION * format.roundoff) ** 2 * summing + equal + format.variance_floor
        if a.variance is None:
            return np.asarray(local)
        return np.asarray(local + np.maximum(self.value(a.variance), of_shared_errors(a, self.value)))

    def partial_sums(self, _format: Format, a: Bounded) -> Array:
        """Of the magnitudes."""
        return self.value(a.reach)

    def operation(self) -> Operation:
        """The row of the table."""
        return Operation(
            "cumulative sum",
            self.value,
            lambda g, _v, _a: (apply(replace(self, reverse=not self.reverse).operation(), g),),
            self.worst,
            self.variance,
            shape=lambda shape: shape,
            partial_sums=self.partial_sums,
        )

    def _counts(self, a: Values) -> Array:
        """The number of terms of each sum, float64."""
        return self.value(np.ones(a.size.shape))


@rule(worst="θ(m, u) of the m terms' Σ|a|", typical="√(m/2)")
def cumulative_sum(a: Variable, axis: int | None = None) -> Variable:
    """The sums of the entries up to each one along an axis."""
    place = one_axis(0 if axis is None else axis, a.ndim) - a.ndim
    return apply(CumulativeSum(place).operation(), a)
