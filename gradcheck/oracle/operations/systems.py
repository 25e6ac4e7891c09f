"""Systems A X = B of a general matrix, and its inverse, by elimination with partial pivoting (docs/math.md, R37)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradcheck.graphs.shapes import square_shape, system_shape
from gradcheck.oracle.formats import SMALLEST, Format
from gradcheck.oracle.operations.arithmetic import ANY
from gradcheck.oracle.operations.base import ROUNDING_DEVIATION, Operation, Variable, apply, square
from gradcheck.oracle.operations.coherence import of_shared_errors
from gradcheck.oracle.operations.elimination import eliminated, fed_back, growth
from gradcheck.oracle.operations.movements import matrix_transpose
from gradcheck.oracle.operations.places import filled
from gradcheck.oracle.operations.reductions import reshape
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import DOUBT, Array, Bounded, Errors, Spread, Values, Variances
from gradcheck.oracle.operations.triangular import DOUBLE, GROWTH, substituted


def solution(a: Array, b: Array) -> Array:
    """The solution x of a x = b, by elimination, in any arithmetic."""
    packed, rows = eliminated(np.asarray(a))
    unit = packed.copy()
    for place in range(len(a)):
        unit[place, place] = filled((), a.dtype, 1.0)[()]
    return substituted(packed, substituted(unit, b[rows], lower=True), lower=False)


def approximate_inverse(a: Array) -> Array:
    """A float64 inverse; not a number where there is none."""
    try:
        return np.asarray(np.linalg.inv(a))
    except np.linalg.LinAlgError:
        return np.full(a.shape, np.nan)


def bounded_inverse(a: Array) -> Array:
    """A proved bound of |A⁻¹|: |V| + |A⁻¹||AV − I| of an approximation V."""
    inverse, size = approximate_inverse(a), len(a)
    residual = np.abs(a @ inverse - np.eye(size)) + (size + 4) * DOUBLE * (np.abs(a) @ np.abs(inverse)) + SMALLEST
    return fed_back(residual.T, np.abs(inverse).T + SMALLEST).T


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
        """An operand, a square matrix."""
        size = len(a.middle)
        errors = np.broadcast_to(a.errors, a.middle.shape)
        inverse = bounded_inverse(a.middle)
        computed = fed_back(inverse @ errors, inverse + SMALLEST)
        scale = GROWTH * (growth(a.middle) + errors)
        floor = (2 * size + 4) * format.underflow * (1 + np.max(scale, initial=0.0))
        return cls(errors, format.sum_error(3 * size + 2) * scale + floor, inverse, computed)


def _worst(format: Format, result: Values, a: Bounded, b: Bounded) -> Errors:
    """R37: e = |A⁻¹|(E_B + E_A(|X| + e) + D(|X| + e + |Â⁻¹||B̂|)) + θ(n + 2)|Â⁻¹||B̂|, of the backward errors D."""
    matrix = Eliminated.of(format, a)
    size = len(a.middle)
    sizes = matrix.computed_inverse @ b.reach
    residual = b.errors + matrix.errors @ result.size + matrix.backward @ (result.size + sizes)
    own = format.sum_error(size + 2) * sizes + (2 * size + 4) * format.underflow * (1 + np.sum(sizes, axis=0))
    return fed_back(matrix.inverse @ (matrix.errors + matrix.backward), matrix.inverse @ residual + own)


def backward_variance(format: Format, a: Values) -> Array:
    """The variances of the backward errors of an elimination and of two substitutions (W1)."""
    size = len(a.middle)
    packed, rows = eliminated(a.middle)
    factors = (square(np.tril(packed, -1)) + np.eye(size)) @ square(np.triu(packed))
    counts = np.minimum.outer(np.arange(size), np.arange(size))
    own = np.empty_like(factors)
    own[rows] = 3 * ((1 + counts / 2) * factors + (2 + counts / 3) * square(a.size[rows]))
    return np.asarray((ROUNDING_DEVIATION * format.roundoff) ** 2 * own + size * format.variance_floor)


def unless_large(moved: Array, variance: Array) -> Array:
    """A variance to first order; unknown where 32 deviations of A⁻¹ΔA reach 1."""
    return np.where(DOUBT**2 * np.sum(moved) < 1, variance, np.inf)


def _variance(format: Format, result: Values, a: Spread, b: Spread) -> Variances:
    """(A⁻¹)²(s_B² + (s_A² + s_D²)X²), where X² is at least (A⁻¹)²B², that of an inverse; and W3."""
    inverse = approximate_inverse(a.middle)
    weights = square(inverse)
    sizes = np.maximum(square(result.size), weights @ square(b.size))
    backward = backward_variance(format, a)
    variance = weights @ (backward @ sizes + len(inverse) * format.variance_floor) + format.variance_floor
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
    largest = np.maximum(np.max(matrix.computed_inverse, initial=0.0), GROWTH * np.max(growth(a.middle), initial=0.0))
    return np.asarray(np.maximum(np.maximum(sizes, b.reach + a.reach @ sizes), largest))


def _gradients(g: Variable, x: Variable, a: Variable, _b: Variable) -> tuple[Variable, Variable]:
    """−(A⁻ᵀG)Xᵀ and A⁻ᵀG."""
    solved = apply(SOLVE, matrix_transpose(a), g)
    return -(solved @ matrix_transpose(x)), solved


SOLVE = Operation("solve", solution, _gradients, _worst, _variance, shape=system_shape, partial_sums=_sizes)


def _identity(a: Array) -> Array:
    result = filled(a.shape, a.dtype)
    for place in range(len(a)):
        result[place, place] = filled((), a.dtype, 1.0)[()]
    return result


def _inverse_gradients(g: Variable, x: Variable, a: Variable) -> tuple[Variable]:
    """−XᵀGXᵀ in either order (PyTorch, TensorFlow, autograd), or −(A⁻ᵀG)Xᵀ (JAX)."""
    right = matrix_transpose(x)
    solved = apply(SOLVE, matrix_transpose(a), g)
    return (-apply(ANY, (right @ g) @ right, right @ (g @ right), solved @ right),)


def _exact(a: Values) -> Bounded:
    return Bounded(_Identity(np.eye(len(a.middle))))


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
    if b.ndim == 1:
        return reshape(solve(a, reshape(b, (*b.shape, 1))), b.shape)
    return apply(SOLVE, a, b)


@rule(worst="(3n + 2) u of |A⁻¹||L||U||A⁻¹|, with pivots", typical="√(3n/2 + 3) of the same")
def inv(a: Variable) -> Variable:
    """The inverse of A."""
    return apply(INVERSE, a)
