"""Sums, quotients and negation, entry by entry; docs/math.md has the rules by their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import (
    Operand,
    Operation,
    Variable,
    apply,
    rounded,
    rounding_variance,
    same_error,
    same_variance,
    square,
    total,
)
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.structure import between_numbers, with_gradients
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances
from gradcheck.oracle.operations.triples import product_of_three


def _sum_size(result: Values, terms: tuple[Values, ...]) -> Array:
    """The scale of the roundings: the result, or for three and more terms in any order their magnitudes."""
    return result.size if len(terms) <= 2 else reduce(np.add, [term.size for term in terms])


def _sum_worst(format: Format, result: Values, *terms: Bounded) -> Errors:
    """Ea + Eb + local (R9); for more terms ΣE + θ(n−1, u)·Σ(|v|+E) (R10; Higham 2002, section 4.2)."""
    return rounded(format, _sum_size(result, terms), total(*(term.error for term in terms)), len(terms) - 1)


def _sum_variance(format: Format, result: Values, *terms: Spread) -> Variances:
    local = rounding_variance(format, _sum_size(result, terms), np.sqrt(len(terms) - 1))
    return total(local, *(term.variance for term in terms))


ADD = Operation("add", np.add, lambda g, _v, _a, _b: (g, g), _sum_worst, _sum_variance, keeps_infinities=True)
SUBTRACT = Operation(
    "sub", np.subtract, lambda g, _v, _a, _b: (g, -g), _sum_worst, _sum_variance, terms=np.add, keeps_infinities=True
)
ACCUMULATE = Operation(
    "accumulate",
    lambda *terms: reduce(np.add, terms),
    lambda g, _v, *terms: (g,) * len(terms),
    _sum_worst,
    _sum_variance,
    partial_sums=lambda _format, *terms: reduce(np.add, [term.reach for term in terms]),
)
"""Three and more contributions to one gradient, which engines add in orders of their own."""


def any_of(forms: Sequence[Callable[..., Variable]], *operands: Variable) -> Variable:
    """Legitimate forms of one function of operands; an engine that has a form has its derivatives too (R39)."""

    def back(g: Variable, *operands: Variable) -> tuple[Variable, ...]:
        found = [g.recorder.pull_back(form(*operands), g, operands) for form in forms]
        return tuple(apply(ANY, *each) for each in zip(*found, strict=True))

    return with_gradients(apply(ANY, *(form(*operands) for form in forms)), back, *operands)


def _nearest(b: Bounded) -> Array:
    """The smallest magnitude of a computed divisor."""
    return np.asarray(b.size if b.error is None else b.size - b.error * WIDENING)


def _reciprocal_underflow(format: Format, a: Bounded, b: Bounded) -> Array | None:
    """|a|·t where a·(1/b) may meet a subnormal 1/b (docs/math.md, R3); None where it meets none."""
    reach = b.reach
    smallest = 1 / (format.normal * (1 + 2 * format.roundoff)) if format.normal else np.inf
    if not reach.max(initial=0.0) > smallest:
        return None
    return np.where(reach > smallest, format.underflow * a.reach, 0.0)


def _quotient_worst(format: Format, result: Values, a: Bounded, b: Bounded) -> Errors:
    """R15: (Ea + |a/b|·Eb)/(|b| − Eb), since â/b̂ − a/b = (â − a − (a/b)(b̂ − b))/b̂; unbounded where b̂ may be 0.

    Two roundings, because multiplying by the reciprocal is a legitimate form.
    """
    propagated = total(a.error, None if b.error is None else result.size * b.error)
    if propagated is not None:
        nearest = _nearest(b)
        propagated = np.where(nearest > 0, propagated / nearest, np.inf)
    return total(rounded(format, result.size, propagated, 2), _reciprocal_underflow(format, a, b))


def _quotient_variance(format: Format, result: Values, a: Spread, b: Spread) -> Variances:
    propagated = total(a.variance, None if b.variance is None else square(result.size) * b.variance)
    local = rounding_variance(format, result.size, np.sqrt(2))
    underflow = _reciprocal_underflow(format, a.at_doubt, b.at_doubt)
    if underflow is not None:
        local = local + np.square(underflow)
    return local if propagated is None else local + propagated / square(b.size)


def _any_worst(_format: Format, _result: Values, *forms: Bounded) -> Errors:
    """The largest error; all are forms of one value (R15), whose middles differ by our own rounding."""
    first = forms[0]
    return np.asarray(reduce(np.maximum, [form.errors + np.abs(form.middle - first.middle) for form in forms]))


def _any_variance(_format: Format, _result: Values, *forms: Spread) -> Variances:
    return np.asarray(reduce(np.maximum, [form.variances for form in forms]))


ANY = Operation(
    "any",
    lambda *forms: forms[0],
    lambda g, _v, *forms: (g, *[None] * (len(forms) - 1)),
    _any_worst,
    _any_variance,
)
"""Legitimate forms of one value: an intermediate overflow or underflow in one of them may happen in an engine.

A gradient flows through the first form.
"""


def _quotient_sizes(_format: Format, a: Bounded, b: Bounded) -> Array:
    """|a/b|, and |1/b|: an engine may multiply by the reciprocal (PyTorch where a is a number, MXNet backwards)."""
    nearest = _nearest(b)
    return np.where(nearest > 0, np.maximum(a.reach, 1.0) / nearest, np.inf)


def _quotient_gradients(g: Variable, _v: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
    """g/b, and −g(a/b)/b as PyTorch has it, −(g·a)/(b·b) as autograd does, or −g·a·b⁻² in any order.

    JAX multiplies g·b⁻² first, and PyTorch g·a where a is a number, since it takes number/b for number·(1/b).
    """
    forms = (
        lambda g, a, b: g * ((a / b) / b),
        lambda g, a, b: (g * a) / (b * b),
        lambda g, a, b: product_of_three(g, a, (1.0 / b) * (1.0 / b)),
    )
    return g / b, -any_of(forms, g, a, b)


DIVIDE = Operation(
    "div", np.divide, _quotient_gradients, _quotient_worst, _quotient_variance, partial_sums=_quotient_sizes
)
NEGATE = Operation(
    "neg",
    np.negative,
    lambda g, _v, _a: (-g,),
    worst=same_error,
    variance=same_variance,
    moves=True,
)


@rule(worst="u", typical="1", name="add")
def add(a: Operand, b: Operand) -> Variable:
    """The sum a + b, entry by entry."""
    return between_numbers(ADD, a, b)


@rule(worst="u", typical="1", name="sub")
def sub(a: Operand, b: Operand) -> Variable:
    """The difference a − b, entry by entry."""
    return between_numbers(SUBTRACT, a, b)


@rule(worst="θ(2, u)", typical="√2", name="truediv")
def div(a: Operand, b: Operand) -> Variable:
    """a/b."""
    return apply(DIVIDE, a, b)


@rule(worst="exact", typical="0", name="neg")
def neg(a: Operand) -> Variable:
    """The negative −a."""
    return between_numbers(NEGATE, a)
