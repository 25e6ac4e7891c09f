"""Values of functions that NumPy lacks: entry by entry in Arb balls, rounded to float64 or longdouble."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck.oracle.operations.terms import Array

PRECISIONS = (96, 192, 384, 1536)
"""Bits of the balls, one after the other until the result is known well enough."""
ENOUGH = 70
"""The bits of a result that have to be known: more than those of x86's longdouble, and of the truth in it."""


def value_of(ball: Callable[[Any], Any], high: float, low: float) -> Callable[[Array], Array]:
    """The function of arrays that a function of balls makes.

    Args:
        ball: one exact Arb ball -> ball.
        high: the value at +∞.
        low: the value at −∞.
    """

    def value(a: Array) -> Array:
        nearest = np.asarray(a, np.float64)
        with np.errstate(invalid="ignore"):
            rest = np.asarray(a - nearest, np.float64)
        ends = {math.inf: high, -math.inf: low}
        pairs = [
            _parts(ball, first, second) if math.isfinite(first) else (ends.get(first, math.nan), 0.0)
            for first, second in zip(nearest.ravel().tolist(), rest.ravel().tolist(), strict=True)
        ]
        found = np.array(pairs, np.float64).reshape(*nearest.shape, 2).astype(np.asarray(a).dtype)
        return np.asarray(found[..., 0] + found[..., 1])

    return value


def _parts(ball: Callable[[Any], Any], first: float, second: float) -> tuple[float, float]:
    """The value at the sum of two numbers, as the sum of two; NaN where there is none."""
    from flint import arb, ctx

    for bits in PRECISIONS:
        with ctx.workprec(bits):
            result = ball(arb(first) + second if second else arb(first))
            if not result.is_finite():
                break
            if result.rel_accuracy_bits() >= ENOUGH or result.is_zero():
                nearest = float(result)
                return nearest, float(result - nearest) if math.isfinite(nearest) else 0.0
    return math.nan, 0.0
