"""Triangular systems T X = B, and their gradients (docs/math.md, R34)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gradcheck.graphs.shapes import system_shape
from gradcheck.oracle.formats import SMALLEST, Format, combine
from gradcheck.oracle.operations.arithmetic import ANY
from gradcheck.oracle.operations.base import ROUNDING_DEVIATION, Operation, Variable, apply, square
from gradcheck.oracle.operations.coherence import of_shared_errors
from gradcheck.oracle.operations.contractions import matrix_product
from gradcheck.oracle.operations.copies import tril, triu
from gradcheck.oracle.operations.elimination import fed_back, growth, largest
from gradcheck.oracle.operations.movements import matrix_transpose
from gradcheck.oracle.operations.places import filled
from gradcheck.oracle.operations.reductions import reshape, sum_to
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances

CONTRACTS = 0.75
"""The largest share of its error that an entry may feed back into itself: above, the error counts as unbounded."""
GROWTH = 2
"""By how much |L||U| of one choice of pivots may exceed that of another one, as rounding makes it."""
EXCHANGES = 2.0**-7
"""How near to the pivot an entry of its column is if rounding may exchange them, in every dtype but bfloat16."""
DOUBLE = 2.0**-53


def triangle(a: Array, lower: bool) -> Array:
    """The entries of one triangle of a matrix, with zeros of their kind in the other one."""
    mask = np.tri(a.shape[-2], a.shape[-1], dtype=bool)
    return np.where(mask if lower else mask.T, a, filled((), a.dtype))


def transposed(a: Array) -> Array:
    """The transposes of matrices."""
    return np.swapaxes(a, -1, -2)


def substituted(a: Array, b: Array, lower: bool) -> Array:
    """The solution x of T x = b for matrices b, by substitution, in any arithmetic; T is one triangle of a."""
    size = a.shape[-1]
    x = np.empty((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), np.result_type(a, b))
    for row in range(size) if lower else reversed(range(size)):
        known = slice(None, row) if lower else slice(row + 1, None)
        rest = b[..., row, :]
        if row != (0 if lower else size - 1):
            rest = rest - np.matmul(a[..., row : row + 1, known], x[..., known, :])[..., 0, :]
        x[..., row, :] = rest / a[..., row, row, None]
    return x


def contracted(feedback: Array, error: Array, lower: bool) -> Array:
    """The smallest e with e = error + feedback·e, all non-negative and the feedback triangular; else infinite."""
    contracts = np.all(np.diagonal(feedback, axis1=-2, axis2=-1) <= CONTRACTS, axis=-1)[..., None, None]
    return np.where(contracts, substituted(np.eye(feedback.shape[-1]) - feedback, error, lower), np.inf)


def inverse_size(a: Array, inverse: Array, lower: bool) -> Array:
    """A proved bound of |T⁻¹| by an approximation V of it: |V|(I − |TV − I|)⁻¹, float64 (Higham 2002, section 14.1)."""
    size = a.shape[-1]
    residual = np.abs(a @ inverse - np.eye(size)) + (size + 4) * DOUBLE * (np.abs(a) @ np.abs(inverse)) + SMALLEST
    return np.asarray(np.abs(inverse) @ contracted(triangle(residual, lower), np.eye(size), lower))


@dataclass(frozen=True)
class Computed:
    """A triangular matrix as an operand of a worst case.

    Attributes:
        reach: the largest magnitudes of its computed entries.
        errors: how far these may lie from the exact ones.
        inverse: a bound of the magnitudes of the exact inverse.
        computed_inverse: of the inverse of the computed matrix.
        roundings: the relative error of an entry of a solution, as a multiple of what it is computed from.
        eliminated: the backward error of a program that eliminates T as a general matrix, where that exchanges rows.
    """

    reach: Array
    errors: Array
    inverse: Array
    computed_inverse: Array
    roundings: float
    eliminated: Array

    @classmethod
    def of(cls, format: Format, a: Bounded, lower: bool) -> Computed:
        """One triangle of an operand."""
        size = a.middle.shape[-1]
        matrix = triangle(a.middle, lower)
        errors = triangle(np.broadcast_to(a.errors, matrix.shape), lower)
        inverse = inverse_size(matrix, substituted(matrix, np.eye(size), lower), lower)
        moved = contracted(errors @ inverse, np.eye(size), lower)
        relative = combine(format.sum_error(2 * size + 4), format.operand_rounding, format.operand_rounding)
        general = GROWTH * format.sum_error(3 * size) * exchanged(matrix)
        return cls(triangle(a.size, lower) + errors, errors, inverse, inverse @ moved, relative, general)


def exchanged(a: Array) -> Array:
    """|L||U| of a lower triangular matrix of which an elimination exchanges rows; of others, zeros.

    It has no row to exchange where each entry of the diagonal is the largest one of its column: then L U is T itself.
    """
    size = np.abs(a)
    pivots = np.diagonal(size, axis1=-2, axis2=-1)
    kept = np.all(np.max(size, axis=-2, initial=0.0) <= pivots * (1 - EXCHANGES), axis=-1)
    others = ~kept & np.isfinite(size).all((-2, -1)) & np.tril(a, -1).any((-2, -1))
    return np.where(others[..., None, None], growth(a), 0.0) if others.any() else np.zeros_like(size)


def _floor(format: Format, t: Computed, sizes: Array) -> Array:
    """The residual of what underflows: products, sums, and entries of inverses of diagonal blocks."""
    count = 2 * t.reach.shape[-1] + 4
    rows = 1 + np.sum(t.reach, axis=-1, keepdims=True)
    return np.asarray(count * format.underflow * rows * (1 + 2 * np.sum(sizes, axis=-2, keepdims=True)))


@dataclass(frozen=True)
class TriangularSolve:
    """The solution of T X = B; T is the lower or the upper triangle of the first operand, and B a matrix."""

    lower: bool

    def value(self, a: Array, b: Array) -> Array:
        """The solution, by substitution; not a number where T is singular."""
        return substituted(a, b, self.lower)

    def worst(self, format: Format, result: Values, a: Bounded, b: Bounded) -> Errors:
        """R34: e = |T⁻¹|(E_B + E_T(|X| + e) + c|T||T⁻¹|(|B| + E_B + |T|(|X| + e)))."""
        t = Computed.of(format, a, self.lower)
        amplified = t.roundings * (t.reach @ t.computed_inverse)
        sizes = b.reach + t.reach @ result.size
        residual = b.errors + t.errors @ result.size + amplified @ sizes + _floor(format, t, sizes)
        feedback = t.inverse @ (t.errors + amplified @ t.reach + t.eliminated)
        return fed_back(feedback, t.inverse @ (residual + t.eliminated @ result.size))

    def variance(self, format: Format, result: Values, a: Spread, b: Spread) -> Variances:
        """(T⁻¹)²(s_B² + s_T²X² + (0.6u)²·(the roundings of a solution)); W3 for what operands have in common."""
        size = a.middle.shape[-1]
        matrix = triangle(a.middle, self.lower)
        inverse = substituted(matrix, np.eye(size), self.lower)
        squares, weights = square(matrix), square(inverse)
        solution = np.maximum(square(result.size), weights @ square(b.size))
        pivots = np.diagonal(squares, axis1=-2, axis2=-1)[..., None]
        terms = np.arange(size)[:, None] if self.lower else np.arange(size)[::-1, None]
        own = (1 + terms / 2) * (squares @ solution - pivots * solution) + terms / 2 * square(b.size)
        own = own + (2 + terms / 3) * pivots * solution
        residual = (ROUNDING_DEVIATION * format.roundoff) ** 2 * own + (size + 1) * format.variance_floor
        residual = residual + 2 * (ROUNDING_DEVIATION * format.roundoff) ** 2 * square(exchanged(matrix)) @ solution
        variance = weights @ residual + format.variance_floor
        if b.variance is not None:
            shared = of_shared_errors(b, lambda moved: inverse @ moved)
            variance += np.maximum(shared, weights @ b.variance)
        if a.variance is not None:
            deviating = triangle(a.variance, self.lower)
            shared = of_shared_errors(a, lambda moved: inverse @ (triangle(moved, self.lower) @ result.middle))
            variance += np.maximum(shared, weights @ (deviating @ solution))
        return np.asarray(variance)

    def partial_sums(self, format: Format, a: Bounded, b: Bounded) -> Array:
        """|B| + |T||T⁻¹||B|, and the entries of the inverse."""
        t = Computed.of(format, a, self.lower)
        passed = b.reach + t.reach @ (t.computed_inverse @ b.reach)
        return np.asarray(np.maximum(passed, largest(t.computed_inverse)))

    def gradients(self, g: Variable, x: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
        """One triangle of −(T⁻ᵀG)Xᵀ, or as JAX has it of −T⁻ᵀ(GXᵀ); and T⁻ᵀG."""
        of_matrix, of_right = gradients_of_system(replace(self, lower=not self.lower).operation(), g, x, a)
        return (tril if self.lower else triu)(of_matrix), of_right

    def operation(self) -> Operation:
        """The row of the table."""
        return Operation(
            "solve_triangular",
            self.value,
            self.gradients,
            self.worst,
            self.variance,
            shape=system_shape,
            partial_sums=self.partial_sums,
        )


def gradients_of_system(back: Operation, g: Variable, x: Variable, a: Variable) -> tuple[Variable, Variable]:
    """−(A⁻ᵀG)Xᵀ or −A⁻ᵀ(GXᵀ), and A⁻ᵀG; where A was broadcast, the sums of these over its copies.

    Args:
        back: solves systems of Aᵀ.
        g: the adjoint G of the solution.
        x: the solution X.
        a: A, with fewer leading axes than X, or unit axes there, where it was broadcast.
    """

    def by_solution(g: Variable) -> Variable:
        of_matrix: Variable = matrix_product().gradients(g, g, a, x)[0]  # type: ignore[assignment]
        return of_matrix

    adjoint = matrix_transpose(a)
    of_right = apply(back, adjoint, g)
    forms = [by_solution(of_right), apply(back, adjoint, by_solution(g))]
    if a.shape[:-2] != x.shape[:-2]:
        forms.append(sum_to(apply(back, adjoint, g @ matrix_transpose(x)), a.shape))
    return -apply(ANY, *forms), of_right


def solved(operation: Operation, a: Variable, b: Variable) -> Variable:
    """The solutions of systems, b a vector for each matrix or matrices."""
    if b.ndim > 1:
        return apply(operation, a, b)
    return reshape(apply(operation, a, reshape(b, (*b.shape, 1))), a.shape[:-1])


@rule(worst="(2n + 4) u of |T⁻¹||T||T⁻¹|(|B| + |T||X|)", typical="√(n/2 + 1) of |T⁻¹||T||X|")
def solve_triangular(a: Variable, b: Variable, lower: bool = False) -> Variable:
    """The solution X of T X = B."""
    return solved(TriangularSolve(lower).operation(), a, b)
