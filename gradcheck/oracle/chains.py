"""Chains of products and quotients, which a program may multiply in any order (docs/math.md, R22)."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import partial, reduce

import numpy as np

from gradcheck.oracle.factors import Factors, Multiply, product, widest
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations import Array, Operation
from gradcheck.oracle.quantities import Chain, Quantity

PRODUCTS = frozenset({"mul", "scale", "outer", "product of three", "share", "div"})
UNCHANGED = frozenset({"signed", "softplus product"})
"""Operations that make of the first operand what it is itself, on a way that their own rules cover."""
CHAINED = PRODUCTS | UNCHANGED | {"any"}
"""Operations whose result may be a product of several factors, beside those that move entries."""

FEW = 0.25
"""So many factors, in units of 1/u, have a rounding error of less than twice their product: (1 + u)^(2n) < 2."""


def chained(operation: Operation, operands: Sequence[Quantity]) -> Chain | None:
    """The chain of a result; None where it is a factor of its own: a sum, a function, a choice, or what moves one."""
    if not operation.moves and operation.name not in CHAINED:
        return None
    long = any(operand.chain for operand in operands)
    if operation.name in PRODUCTS:
        multiplied = partial(_multiplied, operation)
        chain = Chain(operands, long, multiplied, partial(multiplied, multiply=operator.mul))
    elif not long:
        return None
    elif operation.name in UNCHANGED:
        return operands[0].chain
    else:
        chain = Chain(operands, long, partial(_handed_on, operation), _largest)
    if long:
        chain.largest  # noqa: B018 (now, so that no long row of them is evaluated at once)
    return chain


def _largest(factors: Sequence[Factors]) -> Factors:
    return widest(factors, lambda *bounds: max(bounds))


def _multiplied(operation: Operation, factors: Sequence[Factors], multiply: Multiply | None = None) -> Factors:
    """The factors of a product or a quotient."""
    if multiply is None:
        multiply = np.multiply.outer if operation.name == "outer" else np.multiply
    oriented = [factors[0], factors[1].inverted] if operation.name == "div" else factors
    return product(oriented, multiply)


def _handed_on(operation: Operation, factors: Sequence[Factors]) -> Factors:
    """The factors of entries that are moved, beside which zeros may be put, or of several forms of one value."""
    if operation.moves:
        return widest(factors, lambda *bounds: np.maximum(np.abs(operation.value(*bounds)), 1.0))
    return widest(factors, lambda *bounds: reduce(np.maximum, bounds))


def reorder(format: Format, operation: Operation, result: Quantity) -> None:
    """Let a product be unknown where some order of its factors overflows; also its spread, if by typical errors."""
    if not _is_open(format, operation, result):
        return
    lost = _overflow(format, result.worst_factors)
    if lost.any():
        result.worst = np.where(lost, np.inf, 0.0 if result.worst is None else result.worst)
        lost = _overflow(format, result.typical_factors)
        result.variance = np.where(lost, np.inf, 0.0 if result.variance is None else result.variance)


def overflows_reordered(format: Format, operation: Operation, result: Quantity) -> bool:
    """Whether some order of a product's factors overflows within reach of typical errors."""
    with np.errstate(all="ignore"):
        return _is_open(format, operation, result) and bool(_overflow(format, result.typical_factors).any())


def _is_open(format: Format, operation: Operation, result: Quantity) -> bool:
    """Whether some order may overflow, by the largest bounds; a product of single factors has orders of its own."""
    chain = result.chain
    if chain is None or not chain.long or operation.name not in PRODUCTS:
        return False
    known = chain.largest
    peak = max(known.high * known.divisor_low, known.divisor_high if known.divisors > 1 else 1.0)
    return not (2 * peak <= format.safe_largest and known.factors * format.roundoff <= FEW)


def _overflow(format: Format, factors: Factors) -> Array:
    """Where a product of some factors, and of reciprocals of some divisors, may overflow, or one of some divisors."""
    largest = format.safe_largest / (1 + format.sum_error(2 * factors.factors))
    lost = ~np.asarray(factors.high * factors.divisor_low <= largest)
    return lost | ~(factors.divisor_high <= largest) if factors.divisors > 1 else lost
