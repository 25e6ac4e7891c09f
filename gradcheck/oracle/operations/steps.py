"""Functions that jump and are flat elsewhere: sign, floor, ceil and round. Their gradient is zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import Operand, Operation, Variable, apply, no_gradients
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values


def _reached(value: Callable[[Array], Array], result: Values, a: Bounded) -> Errors:
    """How far the values at a ± E are: f grows, and a computed operand may lie on another step (R18)."""
    if a.error is None:
        return None
    reach = a.error * WIDENING
    with np.errstate(invalid="ignore"):
        above, below = value(a.native + reach), value(a.native - reach)
        return np.asarray(np.maximum(above - result.native, result.native - below), np.float64)


def step(name: str, value: Callable[[Array], Array], ball: Callable[[Any], Any]) -> Operation:
    """The row of a function that grows in steps, which every engine computes exactly."""

    def worst(_format: Format, result: Values, a: Bounded) -> Errors:
        return _reached(value, result, a)

    def coherent(_format: Format, result: Values, a: Spread) -> Errors:
        """The step that a backend is on, as the branch of an open condition (W5)."""
        return _reached(value, result, a.at_doubt)

    return Operation(
        name,
        value,
        no_gradients,
        worst,
        lambda *_: None,
        ball=np.frompyfunc(ball, 1, 1),
        coherent=coherent,
    )


def _rounded_ball(a: Any) -> Any:
    """The nearest integer, of two the even one."""
    from flint import arb

    above = (a + arb(0.5)).floor()
    is_tie = a.is_exact() and (a + arb(0.5)).is_integer()
    return above - 1 if is_tie and not (above / 2).is_integer() else above


SIGN_STEP = step("sign", np.sign, lambda a: a.sgn())
FLOOR = step("floor", np.floor, lambda a: a.floor())
CEIL = step("ceil", np.ceil, lambda a: a.ceil())
ROUND = step("round", np.round, _rounded_ball)


@rule(worst="exact", typical="0")
def sign(a: Operand) -> Variable:
    """−1, 0 or 1."""
    return apply(SIGN_STEP, a)


@rule(worst="exact", typical="0")
def floor(a: Operand) -> Variable:
    """The largest integer that is not larger."""
    return apply(FLOOR, a)


@rule(worst="exact", typical="0")
def ceil(a: Operand) -> Variable:
    """The smallest integer that is not smaller."""
    return apply(CEIL, a)


@rule(worst="exact", typical="0", name="round")
def rounded_to_integer(a: Operand) -> Variable:
    """The nearest integer."""
    return apply(ROUND, a)
