"""Variance, standard deviation and norms: compositions, with the errors of the other forms that engines compute."""

from __future__ import annotations

import math

import numpy as np

from gradcheck.graphs.shapes import Axes, normalise_axes
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Operation,
    Variable,
    apply,
    operated,
    rounded,
    rounding_variance,
    square,
    summing_variance,
    total,
)
from gradcheck.oracle.operations.branches import abs_, largest
from gradcheck.oracle.operations.coherence import of_equal_terms
from gradcheck.oracle.operations.reductions import mean, sum_
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import Bounded, Errors, Spread, Values, Variances

RESCALED = 4
"""Roundings of a norm whose terms are divided by the largest one: twice a quotient, its square, and a product."""


def _in_any_form(axes: tuple[int, ...], count: int, correction: float, keepdims: bool) -> Operation:
    """A two-pass variance, with the errors of one pass and of updates added (docs/math.md, R25)."""
    scale = count / (count - correction)

    def worst(format: Format, _result: Values, v: Bounded, a: Bounded) -> Errors:
        """E + θ(3n + 22, u)·max a²·n/(n − c) + nt."""
        largest = np.max(a.reach, axis=axes, keepdims=keepdims, initial=0.0)
        own = scale * format.sum_error(3 * count + 22) * np.square(largest) + count * format.underflow
        return total(np.asarray(own), v.error)

    def variance(format: Format, _result: Values, v: Spread, a: Spread) -> Variances:
        """s² + (0.6u)²·((n/2 + 1)Σq² + (8 + 5n/3)Q²) of q = a²/(n − c) and their sum Q; and W2's part."""
        terms = square(a.size) * (scale / count)
        mean_square = np.sum(terms, axis=axes, keepdims=True)
        squares, sums = summing_variance(count)
        own = (1 + squares) * np.sum(square(terms), axis=axes, keepdims=True) + (8 + 5 * sums) * square(mean_square)
        equal = 5 * of_equal_terms(terms, mean_square, axes, format.roundoff)
        local = (ROUNDING_DEVIATION * format.roundoff) ** 2 * own + equal + format.variance_floor
        return total(np.asarray(local).reshape(v.size.shape), v.variance)

    return Operation(
        "variance",
        lambda v, _a: v,
        lambda g, _r, _v, _a: (g, None),
        worst,
        variance,
        shape=lambda shape, _: shape,
        partial_sums=lambda _format, v, a: np.maximum(
            v.reach, count * np.square(np.max(a.reach, axis=axes, keepdims=keepdims, initial=0.0))
        ),
    )


def _rescaled_worst(format: Format, result: Values, v: Bounded) -> Errors:
    return rounded(format, result.size, v.error, RESCALED)


def _rescaled_variance(format: Format, result: Values, v: Spread) -> Variances:
    return total(rounding_variance(format, result.size, math.sqrt(RESCALED)), v.variance)


RESCALE = Operation("rescaled", lambda v: v, lambda g, _r, _v: (g,), _rescaled_worst, _rescaled_variance)
"""A norm, computed as it is written or with its terms divided by the largest."""


@rule(worst="θ(3n + 22, u) of max a² n/(n − c), and that of two passes", typical="√(5n/3) of Σa²/(n − c)")
def var(a: Variable, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Variable:
    """The mean of the squared distances from the mean; n − c divides their sum."""
    axes = normalise_axes(axis, a.ndim)
    count = math.prod(a.shape[each] for each in axes)
    centred = a - mean(a, axes, keepdims=True)
    two_pass = sum_(centred * centred, axes, keepdims) / (count - correction)
    return apply(_in_any_form(axes, count, correction, keepdims), two_pass, a)


@rule(worst="that of `var`, and 2 u", typical="that of `var`, and 1")
def std(a: Variable, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Variable:
    """The square root of the variance."""
    return operated("sqrt", var(a, axis, correction, keepdims))


@rule(worst="θ(n, u) of Σ|a|ᵖ, and 6 u", typical="√(n/2 + 4)")
def vector_norm(a: Variable, axis: Axes = None, keepdims: bool = False, ord: float = 2) -> Variable:
    """√Σa², or Σ|a|."""
    summed: Variable = sum_(abs_(a) if ord == 1 else a * a, axis, keepdims)
    return summed if ord == 1 else apply(RESCALE, operated("sqrt", summed))


@rule(worst="exact", typical="0")
def min_(a: Variable, axis: Axes = None, keepdims: bool = False) -> Variable:
    """The smallest entry along an axis, several, or all."""
    return -apply(largest(normalise_axes(axis, a.ndim), keepdims, "min"), -a)
