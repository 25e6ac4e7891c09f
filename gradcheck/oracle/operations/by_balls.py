"""Values of functions that NumPy lacks: entry by entry in Arb balls, rounded to float64 or longdouble."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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
        operands = list(zip(nearest.ravel().tolist(), rest.ravel().tolist(), strict=True))
        found = _values(ball, operands, {math.inf: high, -math.inf: low})
        parts = np.array(found, np.float64).reshape(*nearest.shape, 2).astype(np.asarray(a).dtype)
        return np.asarray(parts[..., 0] + parts[..., 1])

    return value


def _values(
    ball: Callable[[Any], Any], operands: Sequence[tuple[float, float]], ends: Mapping[float, float]
) -> list[tuple[float, float]]:
    """The values at sums of two numbers, as sums of two; NaN where there is none."""
    from flint import arb, ctx

    found = [(ends.get(first, math.nan), 0.0) for first, _ in operands]
    left = [place for place, (first, _) in enumerate(operands) if math.isfinite(first)]
    for bits in PRECISIONS:
        again = []
        with ctx.workprec(bits):
            for place in left:
                first, second = operands[place]
                result = ball(arb(first) + second if second else arb(first))
                if result.rel_accuracy_bits() < ENOUGH and result.is_finite() and not result.is_zero():
                    again.append(place)
                elif result.is_finite():
                    nearest = float(result)
                    found[place] = nearest, float(result - nearest) if math.isfinite(nearest) else 0.0
        left = again
    return found
