"""The gradient of an absolute value as a quotient, and its derivative (docs/math.md, R7 and R39)."""

from __future__ import annotations

import math

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import (
    Operation,
    Variable,
    apply,
    no_gradients,
    rounded,
    rounding_variance,
    square,
    total,
)
from gradcheck.oracle.operations.shares import SIGN, masked
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances


def _underflow_of_product(format: Format, g: Bounded, a: Bounded, nearest: Array) -> Array:
    """The error of (g·a)/|a| from the underflow of g·a: t/|a|, and at most |g|; 0 where a is exactly 0."""
    largest = np.where(a.reach > 0, g.reach, 0.0)
    return np.where(nearest > 0, np.minimum(format.underflow / nearest, largest), largest)


def _signed_worst(format: Format, result: Values, g: Bounded, a: Bounded) -> Errors:
    """E + θ(2, u)(|g| + E) + 2t, and the underflow of the product."""
    lost = _underflow_of_product(format, g, a, a.size - a.errors * WIDENING)
    return rounded(format, result.size, g.error, 2) + (1 + format.sum_error(2)) * lost


def _signed_variance(format: Format, result: Values, g: Spread, a: Spread) -> Variances:
    """s², two roundings, and the underflow of the product."""
    lost = _underflow_of_product(format, Bounded(g.source), Bounded(a.source), a.size)
    return total(rounding_variance(format, result.size, math.sqrt(2)) + square(lost), g.variance)


def _vanishing_worst(format: Format, result: Values, moved: Bounded, g: Bounded, a: Bounded) -> Errors:
    """What is left of mg/|a| − (m·g·a)·a/|a|³, zero without rounding: θ(8, u) of both terms, and underflows."""
    nearest = a.size - a.errors * WIDENING
    terms = 2 * moved.reach * g.reach
    lost = 8 * format.underflow * (1 + terms)
    with np.errstate(divide="ignore", invalid="ignore"):
        local = (format.sum_error(8) * terms + lost) / nearest + lost / square(nearest)
    return np.where(nearest > 0, local, np.where(terms > 0, np.inf, 0.0)) + np.zeros(result.size.shape)


def _vanishing_variance(format: Format, result: Values, moved: Spread, g: Spread, a: Spread) -> Variances:
    """The square of an eighth of it, whose roundings are independent."""
    error = _vanishing_worst(format, result, moved.at_doubt, g.at_doubt, a.at_doubt)
    return np.square(np.asarray(error) / 8)


VANISHING = Operation(
    "vanishing", lambda m, g, a: 0 * m + 0 * g + 0 * a, no_gradients, _vanishing_worst, _vanishing_variance
)
"""The derivative of g·a/|a| along a, zero, in the form of engines that differentiate the quotient (R39)."""
SIGNED = Operation(
    "signed",
    lambda g, _a: g,
    lambda moved, _v, g, a: (moved, apply(VANISHING, moved, g, a)),
    _signed_worst,
    _signed_variance,
    partial_sums=lambda _format, g, a: np.maximum(g.reach, g.reach * a.reach),
)
"""The g in (g·a)/|a|, a form of the derivative of |a| that works for complex a too: docs/math.md, R7."""


def signed(g: Variable, a: Variable) -> Variable:
    """The gradient with a's sign."""
    return masked(apply(SIGN, a, 0.0), apply(SIGNED, g, a))
