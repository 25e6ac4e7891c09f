"""Products, entry by entry and outer, and the bilinear error rule of all products (docs/math.md, R9)."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from gradcheck.graphs.shapes import outer_shape
from gradcheck.oracle.formats import SMALLEST, Format
from gradcheck.oracle.operations.arithmetic import ANY
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Lifted,
    Operand,
    Operation,
    Variable,
    apply,
    operated,
    rounding_variance,
    square,
)
from gradcheck.oracle.operations.movements import permute_dims
from gradcheck.oracle.operations.reductions import sum_
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.structure import between_numbers
from gradcheck.oracle.operations.terms import Array, Bounded, Spread, Values
from gradcheck.oracle.operations.triples import product_of_three

SMALLEST_NORMAL = 2.0**-1022
"""Of float64, in which bounds are computed."""
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
        local = _not_below(relative, b.reach)
        pairs = [(a.size, local if b.error is None else local + b.error)]
        if a.error is not None:
            pairs.append((a.error, local + b.reach))
        error = self.combine(pairs)
        error += 2 * terms * format.underflow
        return error

    def variance(self, format: Format, result: Values, a: Spread, b: Spread) -> Array:
        """(A∘A)sB² + sA²(B∘B + sB²) + κ(A∘A)(B∘B) + nλ², all errors being independent."""
        return self.independent(format, square(a.size), a, b)

    def independent(self, format: Format, squares_of_a: Array, a: Spread, b: Spread) -> Array:
        """The same with the squares of A, which are expensive."""
        terms = self.terms(a)
        squares = square(b.size)
        spread = squares * self.relative_variance(format, terms)
        pairs = [(squares_of_a, spread if b.variance is None else spread + b.variance)]
        if a.variance is not None:
            pairs.append((a.variance, squares if b.variance is None else squares + b.variance))
        variance = self.combine(pairs)
        variance += terms * format.variance_floor
        return variance


def _not_below(relative: float, sizes: Array) -> Array:
    """Errors relative to sizes, and one η where float64 loses digits of one, which another factor multiplies (R14)."""
    errors = np.asarray(relative * sizes)
    if not errors.min(initial=np.inf) < SMALLEST_NORMAL:
        return errors
    return np.where((errors < SMALLEST_NORMAL) & (sizes > 0), errors + SMALLEST, errors)


class StoredProduct(Bilinear):
    """The errors of a matrix product of single terms: the gradient of a product of vectors, and `outer`."""

    def relative_error(self, format: Format, terms: int) -> float:
        """u, or 2u."""
        return format.product_roundoff

    def relative_variance(self, format: Format, terms: int) -> float:
        """(0.6u)², or (1.2u)²."""
        return (ROUNDING_DEVIATION * format.product_roundoff) ** 2


_ENTRYWISE = Bilinear(lambda pairs: reduce(np.add, [left * right for left, right in pairs]))
_SCALED = StoredProduct(_ENTRYWISE.combine)


def _outer_product(a: Array, b: Array) -> Array:
    return np.asarray(a[..., :, np.newaxis] * b[..., np.newaxis, :])


def _outer(pairs: Pairs) -> Array:
    """Two pairs are a matrix product of two terms, which BLAS computes six times as fast as two and their sum."""
    if len(pairs) == 1:
        return _outer_product(*pairs[0])
    left, right = map(np.array, zip(*pairs, strict=True))
    axes = range(1, left.ndim)
    columns = np.ascontiguousarray(left.transpose(*axes, 0))  # so that BLAS takes the same steps in several cases
    return np.asarray(columns @ right.transpose(*axes[:-1], 0, axes[-1]))


_OUTER = StoredProduct(_outer)


def rules_of(rule: Bilinear) -> dict[str, Any]:
    """Its error rules, as arguments of an ``Operation``."""
    return {"worst": rule.worst, "variance": rule.variance}


MULTIPLY = Operation("mul", np.multiply, lambda g, _v, a, b: (g * b, g * a), **rules_of(_ENTRYWISE))


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

SCALE = Operation("scale", np.multiply, MULTIPLY.gradients, **rules_of(_SCALED))
"""A vector times the gradient of a product of two: some engines compute it as a matrix product."""


def _outer_gradients(g: Variable, _v: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
    """Products of a matrix and a vector, or as PyTorch has it sums of rounded entries (bfloat16)."""
    transposed = permute_dims(g, (1, 0))
    return (
        apply(ANY, operated("matmul", g, b), sum_(g * b, axis=1)),
        apply(ANY, operated("matmul", transposed, a), sum_(transposed * a, axis=1)),
    )


OUTER: Operation = Operation(
    "outer",
    _outer_product,
    _outer_gradients,
    shape=outer_shape,
    cut=lambda _a, _b: (True, False),
    lifted=lambda a, b: Lifted(OUTER, (a, b)),
    **rules_of(_OUTER),
)


@rule(worst="u", typical="1", name="mul")
def mul(a: Operand, b: Operand) -> Variable:
    """a·b, entry by entry."""
    return between_numbers(MULTIPLY, a, b)


@rule(worst="u", typical="1", name="square")
def squared(a: Operand) -> Variable:
    """a², entry by entry."""
    return apply(SQUARE, a)


@rule(worst="u", typical="1")
def outer(a: Variable, b: Variable) -> Variable:
    """The matrix a bᵀ of two vectors."""
    return apply(OUTER, a, b)
