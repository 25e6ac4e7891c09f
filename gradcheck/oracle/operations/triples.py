"""Products of three factors, which engines multiply in an order of their own (docs/math.md, R2)."""

from __future__ import annotations

from functools import reduce

import numpy as np

from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import ROUNDING_DEVIATION, Operand, Operation, Variable, apply, square
from gradcheck.oracle.operations.terms import Array, Bounded, Spread, Values


def _three_worst(format: Format, result: Values, a: Bounded, b: Bounded, c: Bounded) -> Array:
    """The effect of the factors' errors, two roundings, and a product of two that underflows, times the third.

    |a||b||c| grows by Ea·(|b|+Eb)(|c|+Ec) + |a|·Eb·(|c|+Ec) + |a||b|·Ec (docs/math.md, R2).
    """
    relative = format.sum_error(2)
    size, propagated = a.reach * b.reach * c.reach, np.zeros(())
    if a.error is not None:
        propagated = propagated + a.error * (b.reach * c.reach)
    if b.error is not None:
        propagated = propagated + a.size * b.error * c.reach
    if c.error is not None:
        propagated = propagated + a.size * b.size * c.error
    third = np.maximum(np.maximum(a.reach, b.reach), c.reach)
    return np.asarray(propagated + relative * size + format.underflow * (1 + (1 + relative) * third))


def _three_variance(format: Format, result: Values, a: Spread, b: Spread, c: Spread) -> Array:
    """sa²·(b²+sb²)(c²+sc²) + a²sb²·(c²+sc²) + a²b²sc², two roundings, and the underflow of a product of two."""
    squares = [square(term.size) for term in (a, b, c)]
    reach = [each + term.variances for each, term in zip(squares, (a, b, c), strict=True)]
    third = format.underflow * np.maximum(np.maximum(a.size, b.size), c.size)
    variance = 2 * (ROUNDING_DEVIATION * format.roundoff) ** 2 * reduce(np.multiply, reach)
    variance = variance + format.variance_floor + np.square(third)
    for error, factor in (
        (a.variance, reach[1] * reach[2]),
        (b.variance, squares[0] * reach[2]),
        (c.variance, squares[0] * squares[1]),
    ):
        if error is not None:
            variance = variance + error * factor
    return np.asarray(variance)


def _three_sizes(_format: Format, a: Bounded, b: Bounded, c: Bounded) -> Array:
    """The largest product of two, or of all three: each may be an intermediate result."""
    pairs = np.maximum(np.maximum(a.reach * b.reach, b.reach * c.reach), a.reach * c.reach)
    return np.asarray(np.maximum(pairs, a.reach * b.reach * c.reach))


THREE = Operation(
    "product of three",
    lambda a, b, c: a * (b * c),
    lambda g, _v, a, b, c: (product_of_three(g, b, c), product_of_three(g, a, c), product_of_three(g, a, b)),
    _three_worst,
    _three_variance,
    partial_sums=_three_sizes,
)
"""a·b·c in any order; an intermediate overflow or underflow in one of them may happen in an engine."""


def product_of_three(a: Operand, b: Operand, c: Operand) -> Variable:
    """The product of three factors, entry by entry, in any order of theirs."""
    return apply(THREE, a, b, c)
