"""The Cholesky factor L of a symmetric matrix A = L Lᵀ, and its gradient (docs/math.md, R35)."""

from __future__ import annotations

import numpy as np

from gradcheck.graphs.shapes import square_shape
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Operation,
    Variable,
    apply,
    constant,
    operated,
    rounded,
    square,
    total,
)
from gradcheck.oracle.operations.elimination import largest
from gradcheck.oracle.operations.movements import matrix_transpose
from gradcheck.oracle.operations.places import filled
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import DOUBT, Array, Bounded, Errors, Spread, Values, Variances
from gradcheck.oracle.operations.triangular import (
    Computed,
    contracted,
    inverse_size,
    substituted,
    transposed,
    triangle,
)

ROOTS = 6
"""Roundings of an entry of L beside its sum: a square root of 2u, which counts four times, and a reciprocal."""


def mean_of_transposes(a: Array) -> Array:
    """(A + Aᵀ)/2."""
    return np.asarray((a + transposed(a)) / 2)


def factor(a: Array) -> Array:
    """The factor of symmetric matrices, column by column; not a number where one is not positive definite."""
    result = filled(a.shape, a.dtype)
    for column in range(a.shape[-1]):
        rest = a[..., column:, column]
        if column:
            rest = rest - np.matmul(result[..., column:, :column], result[..., column, :column, None])[..., 0]
        root = _root(rest[..., :1])
        result[..., column:, column] = rest / root
        result[..., column, column] = root[..., 0]
    return result


def _root(a: Array) -> Array:
    """Square roots; not a number at zero too."""
    if a.dtype == object:
        return np.asarray(np.frompyfunc(lambda ball: ball.sqrt(), 1, 1)(a))
    return np.sqrt(np.where(a > 0, a, np.nan))


def _value(a: Array) -> Array:
    return factor(mean_of_transposes(a))


def _ball(a: Array) -> Array:
    """The factor; not a number where a matrix is not symmetric."""
    from flint import arb

    apart = np.frompyfunc(lambda one, other: arb(0) if one.overlaps(other) else arb("nan"), 2, 1)(a, transposed(a))
    return factor(mean_of_transposes(a) + apart)


def _halved(a: Array, share: float) -> Array:
    """The lower triangle, with a share of the diagonal."""
    lower = triangle(a, True)
    return np.asarray(lower - (1 - share) * lower * np.eye(a.shape[-1]))


def _inverse(factor: Array) -> Array:
    return substituted(factor, np.eye(factor.shape[-1]), lower=True)


def _diagonals(a: Array) -> Array:
    """√(aᵢᵢaⱼⱼ)."""
    roots = np.sqrt(np.diagonal(a, axis1=-2, axis2=-1))
    return np.asarray(roots[..., :, None] * roots[..., None, :])


def _worst(format: Format, result: Values, a: Bounded) -> Errors:
    """R35: |L|(Φ(|L⁻¹|S|L⁻ᵀ|) + f²), of the backward errors S."""
    size = a.middle.shape[-1]
    relative = format.sum_error(size + ROOTS)
    apart = np.abs(a.native - transposed(a.native)).astype(np.float64) / 2
    errors = np.broadcast_to(a.errors, a.middle.shape) + apart
    own = relative / (1 - relative) if relative < 1 else np.inf
    backward = np.maximum(errors, transposed(errors)) + own * _diagonals(a.size + errors)
    backward = backward + 2 * (size + 1) * format.underflow * (1 + np.sqrt(largest(a.reach)))
    inverse = inverse_size(result.middle, _inverse(result.middle), lower=True)
    moved = inverse @ backward @ transposed(inverse)
    norm = np.sqrt(np.sum(np.square(moved), axis=(-2, -1), keepdims=True))
    # Above a norm of ½ the root has no value, and nothing is known.
    second = np.square(np.sqrt(2) * norm / (1 + np.sqrt(1 - 2 * norm)))
    found = result.size @ (_halved(moved, 0.5) + triangle(np.broadcast_to(second, moved.shape), True))
    return np.where(np.isnan(found), np.inf, found)


def _variance(format: Format, result: Values, a: Spread) -> Variances:
    """L²Φ(L⁻²(S² of A, twice, and of the roundings of a substitution)L⁻²ᵀ); unknown where that is not small."""
    size = a.middle.shape[-1]
    inverse = _inverse(result.middle)
    squares, weights = square(result.size), square(inverse)
    own = (1 + size / 2) * (squares @ transposed(squares)) + (2 + size / 3) * square(a.size)
    backward = (ROUNDING_DEVIATION * format.roundoff) ** 2 * own + size * format.variance_floor
    if a.variance is not None:
        backward = backward + 2 * np.maximum(a.variance, transposed(a.variance))
    moved = weights @ backward @ transposed(weights)
    variance = squares @ _halved(moved, 0.25) + triangle(np.full(moved.shape, format.variance_floor), True)
    if a.variance is not None:
        signed = np.copysign(np.sqrt(a.variance), a.middle)
        shared = result.middle @ _halved(inverse @ signed @ transposed(inverse), 0.5)
        variance = np.maximum(variance, square(shared))
    small = DOUBT**2 * np.sum(moved, axis=(-2, -1), keepdims=True) < 1
    return np.where(small, variance, np.inf)


def _gradients(g: Variable, factor: Variable, _a: Variable) -> tuple[Variable]:
    """The symmetric part of L⁻ᵀΦ(LᵀG)L⁻¹ (I. Murray, arXiv:1602.07527, 2016, section 2.3)."""
    size = factor.shape[-1]
    weights = g.recorder.append(constant(_halved(np.ones((size, size)), 0.5)), ())
    return (apply(CONGRUENCE, (matrix_transpose(factor) @ g) * weights, factor),)


CHOLESKY = Operation(
    "cholesky",
    _value,
    _gradients,
    _worst,
    _variance,
    shape=square_shape,
    ball=_ball,
    partial_sums=lambda _format, a: np.broadcast_to(largest(a.reach) * 2, a.middle.shape),
)


def _congruence(p: Array, factor: Array) -> Array:
    left = substituted(transposed(factor), p, lower=False)
    return mean_of_transposes(substituted(transposed(factor), transposed(left), lower=False))


def _congruence_worst(format: Format, result: Values, p: Bounded, factor: Bounded) -> Errors:
    """R35: with Z = |L̂⁻ᵀ||P||L̂⁻¹| and K = (I − cQ²)⁻¹2cQ², Q = |L̂⁻ᵀ||L̂ᵀ|: KZ + ZKᵀ + KZKᵀ, and what moves L and P."""
    t = Computed.of(format, factor, lower=True)
    right, exact = t.computed_inverse, t.inverse
    sizes = mean_of_transposes(np.broadcast_to(p.reach, p.middle.shape))
    errors = mean_of_transposes(np.broadcast_to(p.errors, p.middle.shape))
    moved = exact @ t.errors @ right
    error = transposed(moved) @ sizes @ right + transposed(exact) @ (sizes @ moved + errors @ right)
    scaled = transposed(t.reach @ right)
    amplified = t.roundings * (scaled @ scaled)
    growth = contracted(amplified, 2 * amplified, lower=False)
    whole = transposed(right) @ sizes @ right
    once = growth @ whole
    error = error + once + transposed(once) + once @ transposed(growth)
    sums = 1 + np.sum(right, axis=-2)
    count = 8 * t.reach.shape[-1] + 8
    peak = 1 + largest(t.reach) + largest(sizes)
    floor = count * format.underflow * peak * sums[..., :, None] * sums[..., None, :]
    return mean_of_transposes(rounded(format, whole, error + floor, 2))


def _congruence_variance(format: Format, result: Values, p: Spread, factor: Spread) -> Variances:
    """(L⁻ᵀ)²s_P²(L⁻¹)², and (L⁻ᵀ)²(s_L²)ᵀ times the sizes and its transpose, for errors of L and of solutions."""
    size = p.middle.shape[-1]
    weights = square(_inverse(triangle(factor.middle, True)))
    once = transposed(weights)
    squares = mean_of_transposes(square(p.size))
    whole = once @ squares @ weights
    own = (ROUNDING_DEVIATION * format.roundoff) ** 2 * (4 + size) * square(triangle(factor.size, True))
    moved = once @ transposed(own) @ whole
    if factor.variance is not None:
        moved = moved + once @ transposed(triangle(factor.variance, True)) @ square(result.size)
    variance = moved + transposed(moved) + size * format.variance_floor
    if p.variance is not None:
        variance = variance + once @ mean_of_transposes(p.variance) @ weights
    return np.asarray(total(variance, (ROUNDING_DEVIATION * format.roundoff) ** 2 * square(result.size)))


def _congruence_sizes(format: Format, p: Bounded, factor: Bounded) -> Array:
    t = Computed.of(format, factor, lower=True)
    sizes = mean_of_transposes(np.broadcast_to(p.reach, p.middle.shape))
    peak = np.maximum(largest(t.reach), 1.0) * np.maximum(largest(t.computed_inverse), 1.0)
    return np.asarray(peak * (transposed(t.computed_inverse) @ sizes @ t.computed_inverse))


def _congruence_gradients(g: Variable, v: Variable, _p: Variable, factor: Variable) -> tuple[Variable, Variable]:
    """L⁻¹GL⁻ᵀ and the lower part of −2V(L⁻¹G)ᵀ of a symmetric G; V = ½(Z + Zᵀ) for Z = L⁻ᵀPL⁻¹."""
    symmetric = 0.5 * (g + matrix_transpose(g))
    once = operated("solve_triangular", factor, symmetric, True)
    twice = matrix_transpose(operated("solve_triangular", factor, matrix_transpose(once), True))
    return twice, operated("tril", -2.0 * (v @ matrix_transpose(once)))


CONGRUENCE = Operation(
    "congruence",
    _congruence,
    _congruence_gradients,
    _congruence_worst,
    _congruence_variance,
    shape=lambda p, _factor: p,
    partial_sums=_congruence_sizes,
)
"""The symmetric part of L⁻ᵀPL⁻¹: solved from either side, before or after it is taken."""


@rule(worst="|L|Φ(|L⁻¹|·(n + 6) u √(aᵢᵢaⱼⱼ)·|L⁻ᵀ|)", typical="√(n + 3) of L²Φ²((L⁻¹)²(L²(L²)ᵀ + A²)(L⁻ᵀ)²)")
def cholesky(a: Variable) -> Variable:
    """The lower triangular matrix L with a = L Lᵀ."""
    return apply(CHOLESKY, a)
