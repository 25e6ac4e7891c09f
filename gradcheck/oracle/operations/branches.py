"""Comparisons and choices: where, maximum, relu, abs, max.

The error rules follow the branch that was taken; where errors leave open which one that is, they cover both and what
lies between, since engines share out the gradient of a tie differently.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import (
    DOUBT,
    Array,
    Errors,
    Operand,
    Operation,
    Term,
    Variable,
    apply,
    rounded,
    rounding_variance,
    total,
)
from gradcheck.oracle.operations.reductions import Axes, normalise_axes, reduced_shape, spread_over
from gradcheck.oracle.operations.words import operator, word

Rule = Callable[..., Errors]


def _at_doubt(term: Term) -> Term:
    """The term with its variance turned into an error of ``DOUBT`` standard deviations."""
    return term if term.error is None else term._replace(error=DOUBT * np.sqrt(term.error))


def _choice(
    name: str, value: Callable[..., Array], gradients: Callable[..., Any], worst: Rule, **more: Any
) -> Operation:
    """A choice that moves no further than its operands do, ``DOUBT`` standard deviations included."""

    def variance(format: Format, result: Term, *terms: Term) -> Errors:
        error = worst(format, result, *map(_at_doubt, terms))
        return None if error is None else np.square(error / DOUBT)

    return Operation(name, value, gradients, worst, variance, **more)


def _comparison(name: str, value: Callable[..., Array], doubt: Rule, **more: Any) -> Operation:
    """A condition for ``where``: its error is the doubt, and its variance the number of coins to toss.

    None where the operands are more than ``DOUBT`` standard deviations apart, else one; infinitely many where underflow
    is what leaves the question open, since that strikes all entries alike.
    """

    def coins(format: Format, result: Term, *terms: Term) -> Errors:
        open_ = doubt(format, result, *map(_at_doubt, terms))
        if open_ is None:
            return None
        underflows = reduce(np.maximum, [term.size for term in terms]) <= DOUBT * format.normal
        return np.where(open_, np.where(underflows, np.inf, 1.0), 0.0)

    def no_gradients(_gradient: Variable, _result: Variable, *operands: Variable) -> tuple[None, ...]:
        return (None,) * len(operands)

    return Operation(name, value, no_gradients, doubt, coins, compares=True, **more)


def _comparison_doubt(_format: Format, _result: Term, a: Term, b: Term) -> Errors:
    if a.error is None and b.error is None:
        return None
    return _is_open(a, b)


def _tie_doubt(_format: Format, _result: Term, a: Term, b: Term) -> Errors:
    """Like a comparison, but exact equality is open too: it is the kink of a maximum."""
    return _is_open(a, b)


def _is_open(a: Term, b: Term) -> Array:
    """Where the errors leave open which is larger, or where an operand is not a number."""
    return np.asarray(~(np.abs(a.native - b.native) > (a.errors + b.errors) * WIDENING))


def _compare_balls(decide: Callable[[Any, Any], bool], refute: Callable[[Any, Any], bool]) -> Callable[..., Array]:
    """True, False, or None where the balls overlap."""
    compare: Callable[..., Array] = np.frompyfunc(
        lambda a, b: True if decide(a, b) else False if refute(a, b) else None, 2, 1
    )
    return compare


GREATER = _comparison(
    "greater", np.greater, _comparison_doubt, ball=_compare_balls(lambda a, b: a > b, lambda a, b: a <= b)
)
GREATER_EQUAL = _comparison(
    "greater_equal", np.greater_equal, _comparison_doubt, ball=_compare_balls(lambda a, b: a >= b, lambda a, b: a < b)
)
WINS = _comparison("wins", np.greater, _tie_doubt, ball=_compare_balls(lambda a, b: a > b, lambda a, b: a < b))
"""Whose gradient a maximum takes."""


def _where_worst(_format: Format, _result: Term, condition: Term, a: Term, b: Term) -> Errors:
    """The branch's E; in doubt, what the other branch can be away."""
    if condition.error is None and a.error is None and b.error is None:
        return None
    taken = np.where(condition.middle, a.errors, b.errors)
    if condition.error is None or not condition.error.any():
        return taken
    either = np.maximum(a.errors, b.errors) + np.abs(a.native - b.native).astype(np.float64)
    return np.where(condition.error, either, taken)


def _where_variance(_format: Format, _result: Term, condition: Term, a: Term, b: Term) -> Errors:
    """The branch's s²; in doubt the larger, and for each coin (a−b)²/4, the variance of an even toss."""
    taken = _where_worst(_format, _result, Term(condition.source), a, b)
    if condition.error is None or not condition.error.any():
        return taken
    either = np.maximum(a.errors, b.errors) + condition.error * np.square(a.middle - b.middle) / 4
    return np.where(condition.error > 0, either, 0.0 if taken is None else taken)


def _where_ball(condition: Array, a: Array, b: Array) -> Array:
    choose = np.frompyfunc(lambda c, x, y: x.union(y) if c is None else x if c else y, 3, 1)
    return np.asarray(choose(condition, a, b), dtype=object)


WHERE = Operation(
    "where",
    np.where,
    lambda g, _v, condition, _a, _b: (None, where(condition, g, 0.0), where(condition, 0.0, g)),
    _where_worst,
    _where_variance,
    ball=_where_ball,
    keeps_infinities=True,
)


def _maximum_worst(_format: Format, _result: Term, a: Term, b: Term) -> Errors:
    """The winner's E, or the larger of both where either may win: a maximum moves no further than its operands."""
    if a.error is None and b.error is None:
        return None
    winner = np.where(a.native > b.native, a.errors, b.errors)
    return np.where(_is_open(a, b), np.maximum(a.errors, b.errors), winner)


def _maximum_gradients(g: Variable, _v: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
    wins = apply(WINS, a, b)
    return where(wins, g, 0.0), where(wins, 0.0, g)


_MAXIMUM_BALL = np.frompyfunc(lambda a, b: a.max(b), 2, 1)

MAXIMUM = _choice("maximum", np.maximum, _maximum_gradients, _maximum_worst, ball=_MAXIMUM_BALL)
ABS = _choice("abs", np.abs, lambda g, _v, a: (_signed(g, a),), lambda _format, _result, a: a.error)

TWICE_ROUNDED = Operation(
    "twice rounded",
    lambda a: a,
    lambda *_: (),
    lambda format, result, a: rounded(format, result.size, a.error, 2),
    lambda format, result, a: total(rounding_variance(format, result.size, 2.0), a.error),
)
"""What g·a/|a| makes of g, autograd's form of the derivative of |a| (numpy_vjps.py), which serves complex a too."""


def _signed(g: Variable, a: Variable) -> Variable:
    """The gradient with a's sign."""
    rounded_gradient = apply(TWICE_ROUNDED, g)
    return where(apply(WINS, a, 0.0), rounded_gradient, -rounded_gradient)


def _contenders(a: Term, axes: tuple[int, ...]) -> Array:
    """Which entries may be the largest along the axes."""
    reach = a.errors * WIDENING
    sure = np.max(a.native - reach, axis=axes, keepdims=True)
    return np.asarray(~(a.native + reach < sure))


def _largest_ball(a: Array, axes: tuple[int, ...]) -> Array:
    return reduce(lambda array, axis: np.asarray(_MAXIMUM_BALL.reduce(array, axis=axis, keepdims=True)), axes, a)


def _peak(axes: tuple[int, ...]) -> Operation:
    """Which entries are the largest along the axes."""

    def doubt(_format: Format, _result: Term, a: Term) -> Errors:
        contenders = _contenders(a, axes)
        return np.asarray(contenders & (contenders.sum(axis=axes, keepdims=True) > 1))

    def ball(a: Array) -> Array:
        beaten = np.frompyfunc(lambda entry, largest: bool(entry < largest), 2, 1)
        contenders = ~np.asarray(beaten(a, _largest_ball(a, axes))).astype(bool)
        alone = contenders.sum(axis=axes, keepdims=True) == 1
        certain, open_, beaten_ = (np.array(decision, dtype=object) for decision in (True, None, False))
        return np.where(contenders, np.where(alone, certain, open_), beaten_)

    return _comparison(
        "peak", lambda a: np.equal(a, np.max(a, axis=axes, keepdims=True)), doubt, shape=lambda shape: shape, ball=ball
    )


def _largest(axes: tuple[int, ...], keepdims: bool) -> Operation:
    def worst(_format: Format, _result: Term, a: Term) -> Errors:
        if a.error is None:
            return None
        return np.asarray(np.max(np.where(_contenders(a, axes), a.error, 0), axis=axes, keepdims=keepdims))

    def gradients(g: Variable, _v: Variable, a: Variable) -> tuple[Variable]:
        return (where(apply(_peak(axes), a), spread_over(g, a.shape, axes), 0.0),)

    return _choice(
        "max",
        lambda a: np.max(a, axis=axes, keepdims=keepdims),
        gradients,
        worst,
        shape=lambda shape: reduced_shape(shape, axes, keepdims),
        ball=lambda a: _largest_ball(a, axes).reshape(reduced_shape(a.shape, axes, keepdims)),
    )


@operator(">", worst="in doubt where errors leave it open", typical="0")
def greater(a: Operand, b: Operand) -> Variable:
    """The comparison a > b, as a condition for ``where``."""
    return apply(GREATER, a, b)


@operator(">=", worst="in doubt where errors leave it open", typical="0")
def greater_equal(a: Operand, b: Operand) -> Variable:
    """The comparison a ≥ b, as a condition for ``where``."""
    return apply(GREATER_EQUAL, a, b)


@word(worst="exact", typical="0")
def where(condition: Variable, a: Operand, b: Operand) -> Variable:
    """``a`` where the condition holds, else ``b``."""
    return apply(WHERE, condition, a, b)


@word(worst="exact", typical="0")
def maximum(a: Operand, b: Operand) -> Variable:
    """The larger of both, entry by entry."""
    return apply(MAXIMUM, a, b)


@word(worst="exact", typical="0")
def relu(a: Operand) -> Variable:
    """max(a, 0)."""
    return apply(MAXIMUM, a, 0.0)


@word(worst="exact", typical="0")
def abs_(a: Operand) -> Variable:
    """The magnitude |a|."""
    return apply(ABS, a)


@word(worst="exact", typical="0")
def max_(a: Variable, axis: Axes = None, keepdims: bool = False) -> Variable:
    """The largest entry along an axis, several, or all."""
    return apply(_largest(normalise_axes(axis, a.ndim), keepdims), a)
