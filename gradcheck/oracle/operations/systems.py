"""Systems A X = B of a general matrix, and its inverse, by elimination with partial pivoting (docs/math.md, R37)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradcheck.graphs.shapes import square_shape, system_shape
from gradcheck.oracle.formats import SMALLEST, Format
from gradcheck.oracle.operations.arithmetic import ANY
from gradcheck.oracle.operations.base import ROUNDING_DEVIATION, Operation, Variable, apply, square
from gradcheck.oracle.operations.coherence import of_shared_errors
from gradcheck.oracle.operations.elimination import eliminated, fed_back, growth, in_order, largest
from gradcheck.oracle.operations.movements import matrix_transpose
from gradcheck.oracle.operations.places import filled
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import DOUBT, Array, Bounded, Errors, Spread, Values, Variances
from gradcheck.oracle.operations.triangular import (
    DOUBLE,
    GROWTH,
    gradients_of_system,
    solved,
    substituted,
    transposed,
)


def solution(a: Array, b: Array) -> Array:
    """The solution x of a x = b, by elimination, in any arithmetic."""
    packed, rows = eliminated(np.asarray(a))
    unit = np.where(np.eye(a.shape[-1], dtype=bool), filled((), a.dtype, 1.0), packed)
    return substituted(packed, substituted(unit, in_order(b, rows), lower=True), lower=False)


def approximate_inverse(a: Array) -> Array:
    """Float64 inverses; not a number where there is none."""
    try:
        return np.asarray(np.linalg.inv(a))
    except np.linalg.LinAlgError:
        return np.full(a.shape, np.nan) if a.ndim == 2 else np.stack([approximate_inverse(each) for each in a])


def bounded_inverse(a: Array) -> Array:
    """A proved bound of |A⁻¹|: |V| + |A⁻¹||AV − I| of an approximation V."""
    inverse, size = approximate_inverse(a), a.shape[-1]
    residual = np.abs(a @ inverse - np.eye(size)) + (size + 4) * DOUBLE * (np.abs(a) @ np.abs(inverse)) + SMALLEST
    return transposed(fed_back(transposed(residual), transposed(np.abs(inverse)) + SMALLEST))


@dataclass(frozen=True)
class Eliminated:
    """A matrix as an operand of a worst case.

    Attributes:
        errors: how far its computed entries may lie from the exact ones.
        backward: the errors of an elimination, and of solutions with its factors, as errors of the matrix.
        inverse: a bound of |A⁻¹|.
        computed_inverse: of the inverse of the computed matrix.
    """

    errors: Array
    backward: Array
    inverse: Array
    computed_inverse: Array

    @classmethod
    def of(cls, format: Format, a: Bounded) -> Eliminated:
        """An operand, square matrices."""
        size = a.middle.shape[-1]
        errors = np.broadcast_to(a.errors, a.middle.shape)
        inverse = bounded_inverse(a.middle)
        computed = fed_back(inverse @ errors, inverse + SMALLEST)
        scale = GROWTH * (growth(a.middle) + errors)
        floor = (2 * size + 4) * format.underflow * (1 + largest(scale))
        return cls(errors, format.sum_error(3 * size + 2) * scale + floor, inverse, computed)


def _worst(format: Format, result: Values, a: Bounded, b: Bounded) -> Errors:
    """R37: e = |A⁻¹|(E_B + E_A(|X| + e) + D(|X| + e + |Â⁻¹||B̂|)) + θ(n + 2)|Â⁻¹||B̂|, of the backward errors D."""
    matrix = Eliminated.of(format, a)
    size = a.middle.shape[-1]
    sizes = matrix.computed_inverse @ b.reach
    residual = b.errors + matrix.errors @ result.size + matrix.backward @ (result.size + sizes)
    underflows = (2 * size + 4) * format.underflow * (1 + np.sum(sizes, axis=-2, keepdims=True))
    own = format.sum_error(size + 2) * sizes + underflows
    return fed_back(matrix.inverse @ (matrix.errors + matrix.backward), matrix.inverse @ residual + own)


def backward_variance(format: Format, a: Values) -> Array:
    """The variances of the backward errors of an elimination and of two substitutions (W1)."""
    size = a.middle.shape[-1]
    packed, rows = eliminated(a.middle)
    factors = (square(np.tril(packed, -1)) + np.eye(size)) @ square(np.triu(packed))
    counts = np.minimum.outer(np.arange(size), np.arange(size))
    own = 3 * ((1 + counts / 2) * factors + (2 + counts / 3) * square(in_order(a.size, rows)))
    own = in_order(own, np.argsort(rows, axis=-1))
    return np.asarray((ROUNDING_DEVIATION * format.roundoff) ** 2 * own + size * format.variance_floor)


def unless_large(moved: Array, variance: Array) -> Array:
    """A variance to first order, of each matrix; unknown where 32 deviations of A⁻¹ΔA reach 1."""
    return np.where(DOUBT**2 * np.sum(moved, axis=(-2, -1), keepdims=True) < 1, variance, np.inf)


def _variance(format: Format, result: Values, a: Spread, b: Spread) -> Variances:
    """(A⁻¹)²(s_B² + (s_A² + s_D²)X²), where X² is at least (A⁻¹)²B², that of an inverse; and W3."""
    inverse = approximate_inverse(a.middle)
    weights = square(inverse)
    sizes = np.maximum(square(result.size), weights @ square(b.size))
    backward = backward_variance(format, a)
    variance = weights @ (backward @ sizes + inverse.shape[-1] * format.variance_floor) + format.variance_floor
    moved = weights @ (backward + a.variances)
    if b.variance is not None:
        shared = of_shared_errors(b, lambda errors: inverse @ errors)
        variance = variance + np.maximum(shared, weights @ b.variance)
    if a.variance is not None:
        shared = of_shared_errors(a, lambda errors: inverse @ (errors @ result.middle))
        variance = variance + np.maximum(shared, weights @ (a.variance @ sizes))
    return unless_large(moved, variance)


def _sizes(format: Format, a: Bounded, b: Bounded) -> Array:
    """|Â⁻¹||B̂|, what it makes of the matrix, and the entries of the inverse and of the factors."""
    matrix = Eliminated.of(format, a)
    sizes = matrix.computed_inverse @ b.reach
    peak = np.maximum(largest(matrix.computed_inverse), GROWTH * largest(growth(a.middle)))
    return np.asarray(np.maximum(np.maximum(sizes, b.reach + a.reach @ sizes), peak))


def _gradients(g: Variable, x: Variable, a: Variable, _b: Variable) -> tuple[Variable, Variable]:
    """−(A⁻ᵀG)Xᵀ, or −A⁻ᵀ(GXᵀ); and A⁻ᵀG."""
    return gradients_of_system(SOLVE, g, x, a)


SOLVE = Operation("solve", solution, _gradients, _worst, _variance, shape=system_shape, partial_sums=_sizes)


def _identity(a: Array) -> Array:
    return np.where(np.eye(a.shape[-1], dtype=bool), filled((), a.dtype, 1.0), filled((), a.dtype))


def _inverse_gradients(g: Variable, x: Variable, a: Variable) -> tuple[Variable]:
    """−XᵀGXᵀ in either order (PyTorch, TensorFlow, autograd), or −(A⁻ᵀG)Xᵀ (JAX)."""
    right = matrix_transpose(x)
    solved = apply(SOLVE, matrix_transpose(a), g)
    return (-apply(ANY, (right @ g) @ right, right @ (g @ right), solved @ right),)


def _exact(a: Values) -> Bounded:
    return Bounded(_Identity(np.eye(a.middle.shape[-1])))


@dataclass
class _Identity:
    """The right-hand side of an inverse."""

    middle: Array

    @property
    def float64(self) -> Array:
        """The values."""
        return self.middle

    @property
    def size(self) -> Array:
        """The magnitudes."""
        return self.middle


INVERSE = Operation(
    "inv",
    lambda a: solution(a, _identity(a)),
    _inverse_gradients,
    lambda format, result, a: _worst(format, result, a, _exact(a)),
    lambda format, result, a: _variance(format, result, a, Spread(_exact(a).source)),
    shape=square_shape,
    partial_sums=lambda format, a: _sizes(format, a, _exact(a)),
)


@rule(worst="(3n + 2) u of |A⁻¹||L||U|(|X| + |A⁻¹||B|), with pivots", typical="√(3n/2 + 3) of |A⁻¹||L||U||X|")
def solve(a: Variable, b: Variable) -> Variable:
    """The solution X of A X = B."""
    return solved(SOLVE, a, b)


@rule(worst="(3n + 2) u of |A⁻¹||L||U||A⁻¹|, with pivots", typical="√(3n/2 + 3) of the same")
def inv(a: Variable) -> Variable:
    """The inverse of A."""
    return apply(INVERSE, a)
