"""Values of functions that NumPy lacks: entry by entry in Arb balls, rounded to float64 or longdouble."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck.oracle.operations.by_series import Polynomials
from gradcheck.oracle.operations.terms import Array

PRECISIONS = (96, 192, 384, 1536)
"""Bits of the balls, one after the other until the result is known well enough."""
ENOUGH = np.finfo(np.longdouble).nmant + 7
"""The bits of a result that have to be known: more than those of longdouble, and of the truth in it."""


def value_of(ball: Callable[[Any], Any], high: float, low: float, by_series: bool = False) -> Callable[[Array], Array]:
    """The function of arrays that a function of balls makes.

    Args:
        ball: one exact Arb ball -> ball.
        high: the value at +∞.
        low: the value at −∞.
        by_series: whether `ball` takes `arb_series` too, and an engine's values may err by 8 u: ours do by up to 13 u.
    """
    polynomials = Polynomials(ball) if by_series else None

    def value(a: Array) -> Array:
        a = np.asarray(a)
        if polynomials is None or a.dtype not in (np.float64, np.longdouble):
            return by_balls(a)
        values, found = polynomials.values(a)
        if not found.all():
            values[~found] = by_balls(a[~found])
        return values

    def by_balls(a: Array) -> Array:
        nearest = np.asarray(a, np.float64)
        with np.errstate(invalid="ignore"):
            rest = np.asarray(a - nearest, np.float64)
        operands = list(zip(nearest.ravel().tolist(), rest.ravel().tolist(), strict=True))
        found = _values(ball, operands, {math.inf: high, -math.inf: low})
        parts = np.array(found, np.float64).reshape(*nearest.shape, 2).astype(a.dtype)
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
