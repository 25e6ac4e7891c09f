"""Enclosures: where the true values are proved to lie (docs/math.md, W16)."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

import numpy as np

from gradcheck.oracle.formats import WIDENING
from gradcheck.oracle.operations import Array, Errors, Shape
from gradcheck.oracle.operations.base import total
from gradcheck.oracle.operations.terms import DOUBT, Variances

Rows = slice | EllipsisType
"""Some rows of an array, or (...) all of it."""


SPLITTING = 2.0**-105
"""The relative error of a sum of two float64 numbers, and as much again."""


@dataclass(frozen=True, slots=True)
class Enclosure:
    """True values lie in (high + low) ± radius, entry by entry; float64 arrays of one shape."""

    high: Array
    low: Array
    radius: Array

    @classmethod
    def of(cls, middle: Array, high: Array, radius: Errors) -> Enclosure:
        """Split middles in two; the remainder of a wider one beyond float64, ``SPLITTING``, is already in its radius.

        Args:
            middle: float64 or wider.
            high: the same in float64; where it is not finite, the enclosure is unbounded.
            radius: float64, None where the middles are exact.
        """
        with np.errstate(all="ignore"):
            low = _low(middle, high)
            if np.isfinite(np.sum(high)):
                return cls(high, low, bound_of(radius, high.shape))
            finite = np.isfinite(high)
            radius = np.where(finite, bound_of(radius, high.shape), np.inf)
            return cls(np.where(finite, high, 0.0), np.where(finite, low, 0.0), radius)

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
            distance = np.asarray(np.asarray(got, dtype=np.float64) - self.high)
            if any(self.low.strides) or any(self.low.flat[:1]):  # else it is one zero, for all entries
                distance -= self.low
            return distance


def _low(middle: Array, high: Array) -> Array:
    """The part of middles that float64 lacks."""
    if middle.dtype.itemsize <= 8:
        return np.broadcast_to(0.0, high.shape)
    return np.asarray(middle - high, dtype=np.float64)


def bound_of(errors: Errors, shape: Shape) -> Array:
    """Errors as a bound: widened, zero where exact, infinite where unknown (NaN)."""
    if errors is None:
        return np.zeros(shape)
    return _known(errors * WIDENING)


def spread_of(variance: Variances, coherent: Errors, shape: Shape) -> Array:
    """The standard deviation of a variance: zero where exact, infinite where unknown (NaN).

    ``DOUBT`` of them also cover the whole coherent part.
    """
    with np.errstate(invalid="ignore"):
        parts = total(None if variance is None else np.sqrt(variance), None if coherent is None else coherent / DOUBT)
    return np.zeros(shape) if parts is None else _known(parts)


def _known(errors: Array) -> Array:
    if errors.max(initial=0.0) < np.inf:
        return np.asarray(errors)
    return np.where(np.isnan(errors), np.inf, errors)
