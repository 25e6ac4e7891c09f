"""Values of functions that NumPy lacks, for many entries at once: Taylor polynomials on short intervals.

Arb encloses their coefficients and remainders (docs/math.md, R12). A ball for each entry takes ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck.oracle.operations.terms import Array

WIDTH = 2.0**-5
"""Of an interval; the distance of a number from its middle has no rounding error."""
REACH = 8.0
"""The largest number that the intervals hold."""
TERMS = 14
BITS = 128
"""Precision of the balls that become coefficients."""
REMAINDER = 2.0**-68
"""The largest remainder of a polynomial relative to the function: a sixteenth of x86's longdouble's unit roundoff."""
ROUNDINGS = 13.0
"""The largest error in unit roundoffs of the function, the remainder included."""
DIGITS = 63
"""Of a dtype's significands, at most: coefficients are sums of two float64, and remainders are no smaller."""


class Polynomials:
    """Those of a function, each computed when an entry needs it.

    Args:
        series: the function of `arb_series`.
    """

    def __init__(self, series: Callable[[Any], Any]) -> None:
        self._series = series
        self._first = round(REACH / WIDTH)
        intervals = 2 * self._first + 1
        self._known = np.zeros(intervals, bool)
        self._usable = np.zeros(intervals, bool)
        self._parts = np.zeros((2, TERMS, intervals))

    def values(self, a: Array) -> tuple[Array, Array]:
        """The values in the dtype of float64 or longdouble numbers, and which of them are within ``ROUNDINGS``."""
        if np.finfo(a.dtype).nmant > DIGITS:
            return np.zeros_like(a), np.zeros(a.shape, bool)
        near = np.abs(a) <= REACH
        held = np.where(near, a, 0.0)
        nearest = np.rint(held / WIDTH)
        interval = np.asarray(nearest, np.int64) + self._first
        for each in np.unique(interval[near & ~self._known[interval]]):
            self._compute(int(each))
        distance = held - nearest * WIDTH
        high, low = self._parts
        wide = a.dtype != np.float64
        value = np.zeros_like(a)
        for term in reversed(range(TERMS)):
            value = value * distance + high[term, interval]
            if wide:
                value += low[term, interval]
        return np.asarray(value), np.asarray(near & self._usable[interval])

    def _compute(self, interval: int) -> None:
        """One polynomial, and whether its error is small on the whole interval."""
        from flint import arb, arb_series, ctx

        middle, half = (interval - self._first) * WIDTH, WIDTH / 2
        with ctx.workprec(BITS):
            cap, ctx.cap = ctx.cap, TERMS + 1
            try:
                here = self._series(arb_series([arb(middle), 1]))
                anywhere = self._series(arb_series([arb(middle, half), 1]))
            finally:
                ctx.cap = cap
            coefficients = [here[term] for term in range(TERMS)]
            sizes = [abs(each).upper() * arb(half) ** term for term, each in enumerate(coefficients)]
            least = abs(coefficients[0]).lower() - sum(sizes[1:], arb(0))
            first = 0
            if coefficients[0].is_zero():  # then both sides are relative to the distance
                first, least = 1, abs(coefficients[1]).lower() * half - sum(sizes[2:], arb(0))
            # The term k passes k products and k + 1 sums of two parts of a coefficient.
            errors = sum(((3 * term + 2) * sizes[term] for term in range(first, TERMS)), arb(0))
            remainder = abs(anywhere[TERMS]).upper() * arb(half) ** TERMS
            self._usable[interval] = bool(errors < (ROUNDINGS - 1) * least) and bool(remainder < REMAINDER * least)
            for term, each in enumerate(coefficients):
                high = float(each.mid())
                self._parts[:, term, interval] = high, float((each - high).mid())
        self._known[interval] = True
