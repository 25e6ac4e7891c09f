"""Comparisons and choices: where, maximum, minimum, clip, relu, abs, max.

The error rules follow the selected branch. Where errors leave open which one that is, the rules cover both and all
values in between. The branch of an engine there is a choice that it may make in the same way in all entries
(docs/math.md, W5).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck.graphs.shapes import Axes, normalise_axes, reduced_shape
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.arithmetic import NEGATE
from gradcheck.oracle.operations.base import (
    Operand,
    Operation,
    Variable,
    apply,
    no_gradients,
    same_error,
)
from gradcheck.oracle.operations.reductions import spread_over
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.shares import (
    CLIP_SHARE,
    MAXIMUM_SHARE,
    MINIMUM_SHARE,
    RELU_SHARE,
    contenders,
    is_open,
    largest_ball,
    masked,
    peak,
)
from gradcheck.oracle.operations.signs import signed
from gradcheck.oracle.operations.terms import (
    DOUBT,
    Array,
    Bounded,
    Decision,
    Doubts,
    Errors,
    Spread,
    Values,
    Variances,
    Worst,
)

Rule = Callable[[Format, Values, Bounded], Errors] | Callable[[Format, Values, Bounded, Bounded], Errors]


def _choice(
    name: str, value: Callable[..., Array], gradients: Callable[..., Any], worst: Rule, **more: Any
) -> Operation:
    """A choice that moves no further than its operands do, ``DOUBT`` standard deviations included."""

    def variance(format: Format, result: Values, *terms: Spread) -> Variances:
        error = worst(format, result, *(term.at_doubt for term in terms))
        return None if error is None else np.square(error / DOUBT)

    return Operation(name, value, gradients, worst, variance, **more)


def _doubt(_format: Format, _result: Values, a: Bounded, b: Bounded) -> Doubts:
    if a.error is None and b.error is None:
        return None
    open_ = is_open(a, b)
    return open_ if open_.any() else None


def _doubt_of_equality(_format: Format, _result: Values, a: Bounded, b: Bounded) -> Doubts:
    """Where the errors reach over the distance: exact entries, such as integers, are equal or they are not (R18)."""
    if a.error is None and b.error is None:
        return None
    open_ = is_open(a, b) & ~(a.errors + b.errors == 0)
    return open_ if open_.any() else None


def _comparison(name: str, value: Callable[..., Array], doubt: Worst = _doubt, **more: Any) -> Operation:
    """A condition for ``where``: its error is the doubt."""
    return Operation(name, value, no_gradients, doubt, None, compares=True, **more)


def _compare_balls(decide: Callable[[Any, Any], bool], refute: Callable[[Any, Any], bool]) -> Callable[..., Array]:
    """True, False, or None where the balls overlap."""
    compare: Callable[..., Array] = np.frompyfunc(
        lambda a, b: True if decide(a, b) else False if refute(a, b) else None, 2, 1
    )
    return compare


GREATER = _comparison("greater", np.greater, ball=_compare_balls(lambda a, b: a > b, lambda a, b: a <= b))
GREATER_EQUAL = _comparison(
    "greater_equal", np.greater_equal, ball=_compare_balls(lambda a, b: a >= b, lambda a, b: a < b)
)
EQUAL = _comparison(
    "equal", np.equal, _doubt_of_equality, ball=_compare_balls(lambda a, b: a == b, lambda a, b: a != b)
)
NOT_EQUAL = _comparison(
    "not_equal", np.not_equal, _doubt_of_equality, ball=_compare_balls(lambda a, b: a != b, lambda a, b: a == b)
)


def _connective(name: str, value: Callable[..., Array], ball: Callable[..., bool | None]) -> Operation:
    """What two conditions, or one, make; it grows or falls with each of them."""

    def doubt(_format: Format, _result: Values, *conditions: Decision) -> Doubts:
        """Where it is another one if all conditions in doubt hold, or none of them (docs/math.md, R18)."""
        if all(condition.doubt is None for condition in conditions):
            return None
        open_ = [np.zeros(()) if condition.doubt is None else condition.doubt for condition in conditions]
        least = [np.logical_and(each.middle, np.logical_not(by)) for each, by in zip(conditions, open_, strict=True)]
        most = [np.logical_or(each.middle, by) for each, by in zip(conditions, open_, strict=True)]
        return np.asarray(value(*least) != value(*most))

    balls = np.frompyfunc(ball, len(inspect.signature(ball).parameters), 1)
    return Operation(name, value, no_gradients, doubt, None, compares=True, ball=balls)


AND = _connective(
    "and",
    np.logical_and,
    lambda a, b: False if a is False or b is False else None if a is None or b is None else True,
)
OR = _connective(
    "or",
    np.logical_or,
    lambda a, b: True if a is True or b is True else None if a is None or b is None else False,
)
NOT = _connective("not", np.logical_not, lambda a: None if a is None else not a)


def connected(name: str, connective: Operation, whole: bool, axes: tuple[int, ...], keepdims: bool) -> Operation:
    """A connective between all entries of a condition along some axes; `whole` is what none of them makes."""
    balls: Any = connective.ball

    def value(a: Array) -> Array:
        return np.asarray((np.all if whole else np.any)(a, axis=axes, keepdims=keepdims))

    def doubt(_format: Format, _result: Values, condition: Decision) -> Doubts:
        """As `_connective` has it (docs/math.md, R18)."""
        if condition.doubt is None:
            return None
        least = np.logical_and(condition.middle, np.logical_not(condition.doubt))
        most = np.logical_or(condition.middle, condition.doubt)
        return np.asarray(value(least) != value(most))

    def ball(a: Array) -> Array:
        shape = reduced_shape(a.shape, axes, keepdims)
        for axis in axes:
            a = np.asarray(balls.reduce(a, axis=axis, keepdims=True, initial=whole), dtype=object)
        return a.reshape(shape)

    return Operation(
        name,
        value,
        no_gradients,
        doubt,
        None,
        shape=lambda shape: reduced_shape(shape, axes, keepdims),
        ball=ball,
        compares=True,
    )


def _where_worst(_format: Format, _result: Values, condition: Decision, a: Bounded, b: Bounded) -> Errors:
    """The branch's E; in doubt, what the other branch can be away (docs/math.md, R18)."""
    if condition.doubt is None and a.error is None and b.error is None:
        return None
    taken = np.where(condition.middle, a.errors, b.errors)
    if condition.doubt is None or not condition.doubt.any():
        return taken
    either = np.maximum(a.errors, b.errors) + np.abs(a.native - b.native).astype(np.float64)
    return np.where(condition.doubt, either, taken)


def _where_variance(_format: Format, _result: Values, condition: Decision, a: Spread, b: Spread) -> Variances:
    """The branch's s²; in doubt the larger one. The choice of the branch is not a part of it (W5)."""
    if a.variance is None and b.variance is None:
        return None
    taken = np.where(condition.middle, a.variances, b.variances)
    if condition.doubt is None:
        return taken
    return np.where(condition.doubt, np.maximum(a.variances, b.variances), taken)


def _where_ball(condition: Array, a: Array, b: Array) -> Array:
    choose = np.frompyfunc(lambda c, x, y: x.union(y) if c is None else x if c else y, 3, 1)
    return np.asarray(choose(condition, a, b), dtype=object)


WHERE = Operation(
    "where",
    np.where,
    lambda g, _v, condition, _a, _b: (None, masked(condition, g), masked(condition, g, other=True)),
    _where_worst,
    _where_variance,
    ball=_where_ball,
    keeps_infinities=True,
)


def _maximum_worst(_format: Format, _result: Values, a: Bounded, b: Bounded) -> Errors:
    """The winner's E, or the larger of both where either may win: it moves no further than its operands (R18)."""
    if a.error is None and b.error is None:
        return None
    winner = np.where(a.native > b.native, a.errors, b.errors)
    return np.where(is_open(a, b), np.maximum(a.errors, b.errors), winner)


def _larger(share: Operation) -> Operation:
    def gradients(g: Variable, _v: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
        decision = apply(share, a, b)
        return masked(decision, g), masked(decision, g, other=True)

    return _choice(share.name, np.maximum, gradients, _maximum_worst, ball=_MAXIMUM_BALL)


def _above(share: Operation) -> Callable[[Variable, Variable, Variable, Variable], tuple[Variable, None]]:
    """The gradients of the larger of a value and a number."""
    return lambda g, _v, a, b: (masked(apply(share, a, b), g), None)


_MAXIMUM_BALL = np.frompyfunc(lambda a, b: a.max(b), 2, 1)

MAXIMUM, MINIMUM = _larger(MAXIMUM_SHARE), _larger(MINIMUM_SHARE)
"""The larger of two values, and of the negatives of those of which `minimum` takes the smaller one."""
RELU = _choice("relu", np.maximum, _above(RELU_SHARE), _maximum_worst, ball=_MAXIMUM_BALL)
CLIP = _choice("clip", np.maximum, _above(CLIP_SHARE), _maximum_worst, ball=_MAXIMUM_BALL)
"""The larger of a value and the lower end of an interval; engines treat a tie there unlike one of `maximum`."""
ABS = _choice("abs", np.abs, lambda g, _v, a: (signed(g, a),), same_error)


def largest(axes: tuple[int, ...], keepdims: bool, word: str) -> Operation:
    """The largest entries along some axes, for max, or of negatives for min."""

    def worst(_format: Format, _result: Values, a: Bounded) -> Errors:
        if a.error is None:
            return None
        return np.asarray(np.max(np.where(contenders(a, axes), a.error, 0), axis=axes, keepdims=keepdims))

    def gradients(g: Variable, _v: Variable, a: Variable) -> tuple[Variable]:
        return (masked(apply(peak(axes, word), a), spread_over(g, a.shape, axes)),)

    return _choice(
        word,
        lambda a: np.max(a, axis=axes, keepdims=keepdims),
        gradients,
        worst,
        shape=lambda shape: reduced_shape(shape, axes, keepdims),
        ball=lambda a: largest_ball(a, axes).reshape(reduced_shape(a.shape, axes, keepdims)),
    )


@rule(worst="in doubt where errors leave it open", typical="0", name="gt")
def greater(a: Operand, b: Operand) -> Variable:
    """The comparison a > b, as a condition for ``where``."""
    return apply(GREATER, a, b)


@rule(worst="in doubt where errors leave it open", typical="0", name="ge")
def greater_equal(a: Operand, b: Operand) -> Variable:
    """The comparison a ≥ b, as a condition for ``where``."""
    return apply(GREATER_EQUAL, a, b)


@rule(worst="in doubt where errors leave it open", typical="0", name="eq")
def equal(a: Operand, b: Operand) -> Variable:
    """Whether a and b are equal, as a condition for ``where``."""
    return apply(EQUAL, a, b)


@rule(worst="in doubt where errors leave it open", typical="0", name="ne")
def not_equal(a: Operand, b: Operand) -> Variable:
    """Whether they differ, as a condition for ``where``."""
    return apply(NOT_EQUAL, a, b)


@rule(worst="in doubt where a doubt decides it", typical="0")
def and_(a: Variable, b: Variable) -> Variable:
    """Where both conditions hold."""
    return apply(AND, a, b)


@rule(worst="in doubt where a doubt decides it", typical="0")
def or_(a: Variable, b: Variable) -> Variable:
    """Where one of the conditions holds, or both."""
    return apply(OR, a, b)


@rule(worst="in doubt where its condition is", typical="0")
def invert(a: Variable) -> Variable:
    """Where the condition does not hold."""
    return apply(NOT, a)


@rule(worst="in doubt where a doubt decides it", typical="0")
def any_(a: Variable, axis: Axes = None, keepdims: bool = False) -> Variable:
    """Where the condition holds somewhere along an axis, several, or all."""
    return apply(connected("any", OR, False, normalise_axes(axis, a.ndim), keepdims), a)


@rule(worst="in doubt where a doubt decides it", typical="0")
def all_(a: Variable, axis: Axes = None, keepdims: bool = False) -> Variable:
    """Where the condition holds everywhere along an axis, several, or all."""
    return apply(connected("all", AND, True, normalise_axes(axis, a.ndim), keepdims), a)


@rule(worst="exact", typical="0")
def where(condition: Variable, a: Operand, b: Operand) -> Variable:
    """``a`` where the condition holds, else ``b``."""
    return apply(WHERE, condition, a, b)


@rule(worst="exact", typical="0")
def maximum(a: Operand, b: Operand) -> Variable:
    """The larger of both, entry by entry."""
    return apply(MAXIMUM, a, b)


@rule(worst="exact", typical="0")
def minimum(a: Operand, b: Operand) -> Variable:
    """The smaller of both, entry by entry."""
    return apply(NEGATE, apply(MINIMUM, apply(NEGATE, a), apply(NEGATE, b)))


@rule(worst="exact", typical="0")
def clip(a: Variable, min: float | None = None, max: float | None = None) -> Variable:
    """The nearest number of an interval, entry by entry."""
    above = a if min is None else apply(CLIP, a, min)
    return above if max is None else apply(NEGATE, apply(CLIP, apply(NEGATE, above), -max))


@rule(worst="exact", typical="0")
def relu(a: Operand) -> Variable:
    """max(a, 0)."""
    return apply(RELU, a, 0.0)


@rule(worst="exact", typical="0")
def abs_(a: Operand) -> Variable:
    """The magnitude |a|."""
    return apply(ABS, a)


@rule(worst="exact", typical="0")
def max_(a: Variable, axis: Axes = None, keepdims: bool = False) -> Variable:
    """The largest entry along an axis, several, or all."""
    return apply(largest(normalise_axes(axis, a.ndim), keepdims, "max"), a)
