"""Enclosures: where the true values are proved to lie."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

import numpy as np

from gradcheck.oracle.formats import SMALLEST
from gradcheck.oracle.operations import Array, Errors, Shape

Rows = slice | EllipsisType
"""Some rows of an array, or (...) all of it."""

WIDENING = 1 + 1e-9
"""What pays for the float64 rounding of a bound itself: some 10⁴ roundings of 2⁻⁵³, a thousand times over."""


@dataclass(frozen=True, slots=True)
class Enclosure:
    """True values lie in (high + low) ± radius, entry by entry; float64 arrays of one shape."""

    high: Array
    low: Array
    radius: Array

    @classmethod
    def of(cls, middle: Array, radius: Errors) -> Enclosure:
        """Split middles, float64 or wider, in two.

        Args:
            middle: where they are not finite in float64, the enclosure is unbounded.
            radius: of any floating dtype; None where the middles are exact.
        """
        with np.errstate(all="ignore"):
            high = np.asarray(middle, dtype=np.float64)
            low = np.asarray(middle - high, dtype=np.float64)
            # 11 bits of an 80-bit number remain, 60 of a 128-bit one: one rounding of float64 covers both.
            split = np.abs(low) * 2.0**-53 + SMALLEST if middle.dtype == np.longdouble else np.zeros(high.shape)
            return cls(high, low, bound_of(split if radius is None else radius + split, high.shape)).bounded()

    def bounded(self) -> Enclosure:
        """The same, unbounded wherever a part is not finite."""
        finite = np.isfinite(self.high + self.low + self.radius)
        if finite.all():
            return self
        return Enclosure(
            *(np.where(finite, part, other) for part, other in zip(self.parts, (0.0, 0.0, np.inf), strict=True))
        )

    @property
    def parts(self) -> tuple[Array, Array, Array]:
        """High, low and radius."""
        return self.high, self.low, self.radius

    def rows(self, rows: Rows) -> Enclosure:
        """Some rows."""
        return Enclosure(*(part[rows] for part in self.parts))

    def completed(self, other: Enclosure) -> Enclosure:
        """This enclosure with the other's entries where this one is unbounded."""
        finite = np.isfinite(self.radius)
        return Enclosure(
            *(np.where(finite, mine, theirs) for mine, theirs in zip(self.parts, other.parts, strict=True))
        )

    def distance(self, got: Array) -> Array:
        """(got − high) − low in float64, within 4 roundings of 2⁻⁵³ of itself; not finite where ``got`` is not.

        Args:
            got: an array of the same shape, of any floating dtype.
        """
        with np.errstate(all="ignore"):
            return np.asarray((np.asarray(got, dtype=np.float64) - self.high) - self.low)


def bound_of(errors: Errors, shape: Shape) -> Array:
    """Errors as a bound: widened, zero where exact, infinite where unknown (NaN)."""
    if errors is None:
        return np.zeros(shape)
    widened = errors * WIDENING
    return np.where(np.isnan(widened), np.inf, widened)


def spread_of(variance: Errors, shape: Shape) -> Array:
    """The standard deviation of a variance: zero where exact, infinite where unknown (NaN)."""
    if variance is None:
        return np.zeros(shape)
    with np.errstate(invalid="ignore"):
        spread = np.sqrt(variance)
    return np.where(np.isnan(spread), np.inf, spread)
