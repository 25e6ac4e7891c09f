"""Products, entry by entry, outer and matrix: one bilinear error rule for all three (docs/math.md, R9 and R14)."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from gradcheck.graphs.shapes import matrix_shape, outer_shape, transposed_shape
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.arithmetic import ANY
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Operand,
    Operation,
    Variable,
    apply,
    rounding_variance,
    square,
    structural,
    summing_variance,
)
from gradcheck.oracle.operations.coherence import of_equal_products, of_shared_errors
from gradcheck.oracle.operations.reductions import sum_
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import Array, Bounded, Spread, Values
from gradcheck.oracle.operations.triples import product_of_three

Pairs = list[tuple[Array, Array]]
"""Non-negative factors (left, right) of products for a sum."""


class Bilinear:
    """The errors of a product without a sum; ``combine`` determines its indices."""

    def __init__(self, combine: Callable[[Pairs], Array]) -> None:
        self.combine = combine

    def terms(self, a: Values) -> int:
        """The number of terms in an entry of the result."""
        return 1

    def relative_error(self, format: Format, terms: int) -> float:
        """The rounding error of an entry, relative to the sum of its terms' magnitudes."""
        return format.sum_error(terms)

    def relative_variance(self, format: Format, terms: int) -> float:
        """The variance of an entry's rounding error, relative to the sum of the squares of its terms."""
        return (ROUNDING_DEVIATION * format.roundoff) ** 2

    def worst(self, format: Format, result: Values, a: Bounded, b: Bounded) -> Array:
        """|A|Eb + Ea(|B|+Eb) + ρ(n)(|A|+Ea)(|B|+Eb) + 2nt (R14; Higham 2002, section 3.5, for inexact operands).

        A is usually the large operand, so its factors stay unchanged.
        """
        terms = self.terms(a)
        relative = self.relative_error(format, terms)
        local = relative * b.reach
        pairs = [(a.size, local if b.error is None else local + b.error)]
        if a.error is not None:
            pairs.append((a.error, local + b.reach))
        error = self.combine(pairs)
        error += 2 * terms * format.underflow
        return error

    def variance(self, format: Format, result: Values, a: Spread, b: Spread) -> Array:
        """(A∘A)sB² + sA²(B∘B + sB²) + κ(A∘A)(B∘B) + nλ², all errors being independent."""
        terms = self.terms(a)
        squares = square(b.size)
        spread = squares * self.relative_variance(format, terms)
        pairs = [(square(a.size), spread if b.variance is None else spread + b.variance)]
        if a.variance is not None:
            pairs.append((a.variance, squares if b.variance is None else squares + b.variance))
        variance = self.combine(pairs)
        variance += terms * format.variance_floor
        return variance


class StoredProduct(Bilinear):
    """The errors of a matrix product of single terms: the gradient of a product of vectors, and `outer`."""

    def relative_error(self, format: Format, terms: int) -> float:
        """u, or 2u."""
        return format.product_roundoff

    def relative_variance(self, format: Format, terms: int) -> float:
        """(0.6u)², or (1.2u)²."""
        return (ROUNDING_DEVIATION * format.product_roundoff) ** 2


class MatrixProduct(Bilinear):
    """The errors of A@B, summed in the accumulator's precision."""

    def terms(self, a: Values) -> int:
        """The length of a row of A."""
        return int(a.size.shape[-1])

    def relative_error(self, format: Format, terms: int) -> float:
        """ρ(n)."""
        return format.product_error(terms)

    def relative_variance(self, format: Format, terms: int) -> float:
        """κ = (0.6u)²(1+n/2) of the accumulator, and two roundings of operands."""
        summing = (1 + summing_variance(terms)[0]) * format.accumulator_roundoff**2
        return ROUNDING_DEVIATION**2 * (summing + 2 * format.operand_rounding**2)

    def variance(self, format: Format, result: Values, a: Spread, b: Spread) -> Array:
        """The same, and (0.6u·v)² for the rounding of the result, (0.6u·v)²n/3 for that of the accumulator.

        Equal terms and shared errors add their parts (docs/math.md, W2 and W3).
        """
        sums = summing_variance(self.terms(a))[1] * format.accumulator_roundoff**2
        relative = ROUNDING_DEVIATION**2 * (format.product_roundoff**2 + sums)
        variance = super().variance(format, result, a, b) + relative * square(result.size)
        variance += of_equal_products(a.middle, b.middle, result.size, format.accumulator_roundoff)
        if a.variance is not None:
            shared = of_shared_errors(a, lambda left: np.matmul(left, b.middle))
            variance += np.maximum(shared - np.matmul(a.variance, square(b.size)), 0.0)
        if b.variance is not None:
            shared = of_shared_errors(b, lambda right: np.matmul(a.middle, right))
            variance += np.maximum(shared - np.matmul(square(a.size), b.variance), 0.0)
        return variance

    def partial_sums(self, _format: Format, a: Bounded, b: Bounded) -> Array:
        """(|A|+Ea)(|B|+Eb)."""
        return self.combine([(a.reach, b.reach)])


_ENTRYWISE = Bilinear(lambda pairs: reduce(np.add, [left * right for left, right in pairs]))
_SCALED = StoredProduct(_ENTRYWISE.combine)
_OUTER = StoredProduct(lambda pairs: reduce(np.add, [np.multiply.outer(left, right) for left, right in pairs]))
_MATRIX = MatrixProduct(lambda pairs: reduce(np.add, [left @ right for left, right in pairs]))


def _matrix_value(a: Array, b: Array) -> Array:
    if a.dtype == np.longdouble and b.ndim == 1:
        return np.asarray(np.einsum("...j,j->...", a, b))  # without BLAS, twice as fast as matmul on a transpose
    return np.asarray(np.matmul(a, b))


def _matrix_gradients(g: Variable, _v: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
    if a.ndim == 1:
        return apply(SCALE, g, b), apply(SCALE, g, a)
    if b.ndim == 1:
        return outer(g, b), matmul(_transposed(a), g)
    return matmul(g, _transposed(b)), matmul(_transposed(a), g)


def _transposed(a: Variable) -> Variable:
    """The transpose of a product's operand, recorded once however many products take it, as in a recursion."""
    if a.transposed is None:
        a.transposed = transpose(a)
    return a.transposed


def _rule(rule: Bilinear) -> dict[str, Any]:
    return {"worst": rule.worst, "variance": rule.variance}


MULTIPLY = Operation("mul", np.multiply, lambda g, _v, a, b: (g * b, g * a), **_rule(_ENTRYWISE))


def _square_worst(format: Format, result: Values, a: Bounded) -> Array:
    """R9: E(2|a| + E) + u(|a| + E)² + t."""
    return np.asarray(a.errors * (2 * a.size + a.errors) + format.sum_error(1) * square(a.reach) + format.underflow)


def _square_variance(format: Format, result: Values, a: Spread) -> Array:
    """(2as)² + 3s⁴, the mean of (â² − a²)² for a normal error, and a rounding."""
    local = rounding_variance(format, result.size)
    return local if a.variance is None else local + (4 * square(a.size) + 3 * a.variance) * a.variance


SQUARE = Operation(
    "square",
    np.square,
    lambda g, _v, a: (product_of_three(g, 2.0, a),),
    _square_worst,
    _square_variance,
)

SCALE = Operation("scale", np.multiply, MULTIPLY.gradients, **_rule(_SCALED))
"""A vector times the gradient of a product of two: some engines compute it as a matrix product."""


def _outer_gradients(g: Variable, _v: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
    """Products of a matrix and a vector, or as PyTorch has it sums of rounded entries (bfloat16)."""
    return (
        apply(ANY, matmul(g, b), sum_(g * b, axis=1)),
        apply(ANY, matmul(transpose(g), a), sum_(transpose(g) * a, axis=1)),
    )


OUTER = Operation(
    "outer",
    np.multiply.outer,
    _outer_gradients,
    shape=outer_shape,
    by_rows=True,
    **_rule(_OUTER),
)
MATMUL = Operation(
    "matmul",
    _matrix_value,
    _matrix_gradients,
    shape=matrix_shape,
    partial_sums=_MATRIX.partial_sums,
    by_rows=True,
    **_rule(_MATRIX),
)
TRANSPOSE = structural("transpose", np.transpose, lambda g, _a: (transpose(g),), transposed_shape)


@rule(worst="u", typical="1", name="mul")
def mul(a: Operand, b: Operand) -> Variable:
    """a·b, entry by entry."""
    return apply(MULTIPLY, a, b)


@rule(worst="u", typical="1", name="square")
def squared(a: Operand) -> Variable:
    """a², entry by entry."""
    return apply(SQUARE, a)


@rule(worst="u", typical="1")
def outer(a: Variable, b: Variable) -> Variable:
    """The matrix a bᵀ of two vectors."""
    return apply(OUTER, a, b)


@rule(worst="exact", typical="0")
def transpose(a: Variable) -> Variable:
    """The transpose Aᵀ."""
    return apply(TRANSPOSE, a)


@rule(worst=r"ρ(n) of Σ|a||b|", typical="√(1 + n/2)")
def matmul(a: Variable, b: Variable) -> Variable:
    """The product A B of vectors and matrices."""
    # A matrix is left of a vector, so that it can be cut into rows.
    if isinstance(a, Variable) and isinstance(b, Variable) and a.ndim == 1 and b.ndim == 2:
        a, b = transpose(b), a
    return apply(MATMUL, a, b)
