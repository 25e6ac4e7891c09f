"""The logarithm of the magnitude of a determinant, by elimination with partial pivoting (docs/math.md, R38)."""

from __future__ import annotations

import numpy as np

from gradcheck.graphs.shapes import square_shape
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Operation,
    Variable,
    apply,
    operated,
    square,
    summing_variance,
)
from gradcheck.oracle.operations.elimination import eliminated
from gradcheck.oracle.operations.movements import matrix_transpose
from gradcheck.oracle.operations.reductions import reshape
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.smooth import ACCURACY, DEVIATION
from gradcheck.oracle.operations.systems import Eliminated, approximate_inverse, backward_variance, unless_large
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances

PIVOTS = 2
"""By how much the logarithms of one choice of pivots may exceed those of another one."""


def _pivots(a: Array) -> Array:
    return np.asarray(np.diagonal(eliminated(np.asarray(a))[0], axis1=-2, axis2=-1))


def _value(a: Array) -> Array:
    return np.asarray(np.sum(np.log(np.abs(_pivots(a))), axis=-1))


def _ball(a: Array) -> Array:
    """The same of Arb balls."""
    from flint import arb

    logarithms = np.frompyfunc(lambda pivot: abs(pivot).log(), 1, 1)(_pivots(a))
    return np.add.reduce(logarithms, axis=-1, initial=arb(0))  # type: ignore[no-any-return]


def _logarithms(a: Values) -> Array:
    """The magnitudes of the logarithms of the pivots, and 1 beside each, for one near 1."""
    return np.abs(np.log(np.abs(_pivots(a.middle)))) + 1


def _worst(format: Format, _result: Values, a: Bounded) -> Errors:
    """R38: Σ|A⁻¹|S + ε²/2(1 − ε), S the backward errors and ε the norm of |A⁻¹|S; and those of the logarithms."""
    matrix = Eliminated.of(format, a)
    moved = matrix.inverse @ (matrix.errors + matrix.backward)
    norm = np.sqrt(np.sum(np.square(moved), axis=(-2, -1)))
    size = a.middle.shape[-1]
    relative = format.sum_error(size) + ACCURACY["log"] * format.function_roundoff
    own = PIVOTS * relative * np.sum(_logarithms(a), axis=-1) + 2 * size * format.underflow
    return np.where(norm < 1, _trace(moved) + norm**2 / (2 * (1 - norm)) + own, np.inf)


def _trace(a: Array) -> Array:
    return np.asarray(np.trace(a, axis1=-2, axis2=-1))


def _variance(format: Format, result: Values, a: Spread) -> Variances:
    """Σ(A⁻¹)²(s_A² + s_D²), and the roundings of the logarithms and of their sum (W1); W3."""
    inverse = approximate_inverse(a.middle)
    weights = square(inverse)
    backward = backward_variance(format, a)
    squares, sums = summing_variance(inverse.shape[-1])
    logarithms = np.sum(square(_logarithms(a)), axis=-1)
    own = (DEVIATION["log"] ** 2 + squares) * logarithms + (1 + sums) * square(result.size)
    variance = _trace(weights @ backward) + (ROUNDING_DEVIATION * format.roundoff) ** 2 * own + format.variance_floor
    if a.variance is not None:
        signed = np.copysign(np.sqrt(a.variance), a.middle)
        variance = variance + np.maximum(_trace(weights @ a.variance), square(_trace(inverse @ signed)))
    return unless_large(weights @ (backward + a.variances), variance[..., None, None])[..., 0, 0]


def _gradients(g: Variable, _v: Variable, a: Variable) -> tuple[Variable]:
    """The transpose of the inverse, by g."""
    return (reshape(g, (*g.shape, 1, 1)) * matrix_transpose(operated("inv", a)),)


LOG_DETERMINANT = Operation(
    "slogdet",
    _value,
    _gradients,
    _worst,
    _variance,
    shape=lambda shape: square_shape(shape)[:-2],
    ball=_ball,
)


@rule(worst="(3n + 2) u of Σ|A⁻¹||L||U|, with pivots, and (n + 8) u of Σ|log|", typical="√(3n/2 + 3) of Σ|A⁻¹||L||U|")
def slogdet(a: Variable) -> Variable:
    """log|det A|."""
    return apply(LOG_DETERMINANT, a)
