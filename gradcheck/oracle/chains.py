"""Chains of products and quotients, which a program may multiply in any order (docs/math.md, R22)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce

import numpy as np

from gradcheck.oracle.factors import Factors, Multiply, product, widest
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations import Array, Errors, Operation
from gradcheck.oracle.operations.base import total
from gradcheck.oracle.quantities import Chain, Quantity

PRODUCTS = frozenset({"mul", "scale", "outer", "product of three", "share", "div"})
UNCHANGED = frozenset({"itself", "signed", "softplus product"})
"""Operations whose result has the chain of the first operand; their own rules cover the way in between."""
CHAINED = PRODUCTS | UNCHANGED | {"any"}
"""Operations whose result may be a product of several factors, beside those that move entries."""


def chained(operation: Operation, operands: Sequence[Quantity]) -> Chain | None:
    """The chain of a result; None for a factor of its own: a sum, a function, a choice, or moved entries of one."""
    if operation.multiplies is not None:
        return _chain_of_row(operation.multiplies, operands[0])
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


def _chain_of_row(multiplies: Callable[[Array], Array], operand: Quantity) -> Chain:
    """The chain of products of the entries of each row."""
    count = operand.shape[-1]

    def joined(factors: Sequence[Factors]) -> Factors:
        return factors[0].mapped(multiplies).times(count)

    def largest(factors: Sequence[Factors]) -> Factors:
        return factors[0].mapped(lambda bound: float(np.float64(bound) ** count)).times(count)

    return Chain([operand], True, joined, largest)


def _largest(factors: Sequence[Factors]) -> Factors:
    return widest(factors, lambda *bounds: max(bounds))


def _multiplied(operation: Operation, factors: Sequence[Factors], multiply: Multiply | None = None) -> Factors:
    """The factors of a product or a quotient."""
    if multiply is None:
        multiply = np.multiply.outer if operation.name == "outer" else np.multiply
    oriented = [factors[0], factors[1].inverted] if operation.name == "div" else factors
    return product(oriented, multiply)


def _handed_on(operation: Operation, factors: Sequence[Factors]) -> Factors:
    """The factors of moved entries, perhaps with zeros beside them, or of several forms of one value."""
    if operation.moves:
        return widest(factors, lambda *bounds: np.abs(operation.value(*bounds))).beside_zeros
    return widest(factors, lambda *bounds: reduce(np.maximum, bounds))


def reorder(format: Format, operation: Operation, result: Quantity) -> None:
    """Add to the errors of a product what a backend may lose in another order of its factors.

    An error becomes infinite where an order may overflow. Where the largest addition is below a unit roundoff of the
    smallest error, it is added to every entry, and no entry is computed by itself.
    """
    most = most_reordered(format, operation, result)
    if not most:
        return
    if most <= format.roundoff * _least(result.worst):
        added = np.asarray(most)
    else:
        reach = result.size if result.worst is None else result.size + result.worst
        added = _of_orders(format, result.worst_factors, reach)
        if not added.any():
            return
    result.worst = total(result.worst, added)
    known = result.typically_largest
    typically = np.square(_of_orders(format, known, known.high * known.divisor_low, 0.5))
    if not typically <= format.roundoff * _least(result.variance):
        typically = np.square(_typically_of_orders(format, result))
    if typically.any():
        result.variance = total(result.variance, typically)


def _least(errors: Errors) -> float:
    return 0.0 if errors is None else float(errors.min(initial=np.inf))


def overflows_reordered(format: Format, operation: Operation, result: Quantity) -> bool:
    """Whether some order of a product's factors overflows within reach of typical errors."""
    with np.errstate(all="ignore"):
        if most_reordered(format, operation, result) < np.inf:
            return False
        return bool(np.isinf(_typically_of_orders(format, result)).any())


def most_reordered(format: Format, operation: Operation, result: Quantity) -> float:
    """The most that an order adds to an error of any entry; a product of single factors has a rule of its own."""
    chain = result.chain
    multiplies = operation.name in PRODUCTS or operation.multiplies is not None
    if chain is None or not chain.long or not multiplies:
        return 0.0
    return float(_of_orders(format, chain.largest, chain.largest.high * chain.largest.divisor_low))


def _typically_of_orders(format: Format, result: Quantity) -> Array:
    return _of_orders(format, result.typical_factors, result.size, 0.5)


def _of_orders(format: Format, factors: Factors, reach: Array | float, exponent: float = 1.0) -> Array:
    """What an order of one's own may add to an error: inf where it may overflow, else what underflows, times the rest.

    ``reach`` is how large the product may be. ``exponent`` says how errors of several roundings add up: 1 in full, 0.5
    if they are independent.
    """
    products = max(factors.factors - 1, 0)
    growth = 1 + format.sum_error(2 * (products + factors.divisors))
    peak, lowest, deepest = factors.high, factors.low, 1 / (2 * format.normal * growth)
    if factors.divisors:
        peak, lowest = peak * factors.divisor_low, lowest * factors.divisor_high
    lost = ~np.less_equal(peak, format.safe_largest / growth)
    open_ = lowest > deepest
    roundings = products + (factors.divisors if np.any(factors.divisor_high > deepest) else 0)
    added = np.where(
        open_, lost_in_orders(format, growth, roundings - 1, exponent) * peak + growth * format.underflow, 0.0
    )
    if factors.divisors > 1:
        lost |= ~np.less_equal(factors.divisor_high, format.safe_largest / growth)
        underflows = np.greater(factors.divisor_low, deepest)
        relative = lost_in_orders(format, growth, factors.divisors - 1, exponent) * factors.divisor_low
        lost |= underflows & ~(relative < 1)
        added = added + np.where(underflows, relative / (1 - relative) * reach, 0.0)
    return np.where(lost, np.inf, added)


def lost_in_orders(format: Format, growth: float, roundings: int, exponent: float) -> float:
    """What some roundings that underflow are off by, and what two reads for each and two more may flush."""
    roundings = max(roundings, 0)
    return float(growth * (format.underflow * roundings**exponent + format.flush * (2 * roundings + 2) ** exponent))
