"""The gradients of maximum, relu, abs and max, and how engines share them at a tie.

At a tie a correct answer is a mean of the branches with weights that sum to one, and engines take different ones. So a
share is a number in [0, 1], in doubt where errors leave open which operand wins. A convention (docs/math.md, R8)
removes the doubt at exact ties. Engines multiply by shares, so that 0·∞ is possible if an unused gradient overflows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import Operation, Variable, apply, no_gradients, rounding_variance
from gradcheck.oracle.operations.terms import Array, Bounded, Decision, Doubts, Errors, Spread, Values, Variances, Worst

CONVENTIONS = SECOND, EVEN, FIRST = "second", "even", "first"
"""At a tie the second operand (or the last entry) gets the gradient, all get equal shares, or the first one gets it."""


def is_open(a: Bounded, b: Bounded) -> Array:
    """Where the errors leave open which is larger, where both are equal, or where an operand is not a number."""
    return np.asarray(~(np.abs(a.native - b.native) > (a.errors + b.errors) * WIDENING))


def contenders(a: Bounded, axes: tuple[int, ...]) -> Array:
    """Which entries may be the largest along the axes."""
    reach = a.errors * WIDENING
    sure = np.max(a.native - reach, axis=axes, keepdims=True)
    return np.asarray(~(a.native + reach < sure))


def _where_open(open_: Array, doubt: Array) -> Doubts:
    """None if nothing is open, to save work."""
    return np.where(open_, doubt, 0.0) if open_.any() else None


@dataclass(frozen=True)
class Winner:
    """The factor of the gradient of a binary choice: ``high`` where a > b, ``low`` where a < b.

    Attributes:
        low: the factor where a < b.
        tie: the factor where they are equal.
        high: the factor where a > b.
        certain: whether a tie has that factor and no other.
    """

    low: float
    tie: float
    high: float
    certain: bool = False

    def value(self, a: Array, b: Array) -> Array:
        """The factors, float64."""
        return np.where(a > b, self.high, np.where(a < b, self.low, self.tie))

    def doubt(self, _format: Format, result: Values, a: Bounded, b: Bounded) -> Doubts:
        """The largest change of the factor, to either end."""
        open_ = is_open(a, b)
        if self.certain:
            open_ &= a.native != b.native
        return _where_open(open_, np.maximum(self.high - result.middle, result.middle - self.low))

    def ball(self, a: Any, b: Any) -> Any:
        """The same of Arb balls."""
        from flint import arb

        if a > b or a < b:
            return arb(self.high if a > b else self.low)
        return arb(self.tie) if self.certain else arb(self.low).union(arb(self.high))

    def operation(self, name: str) -> Operation:
        """The row of the table."""
        return _deciding(name, self.value, self.doubt, np.frompyfunc(self.ball, 2, 1))


@dataclass(frozen=True)
class Peak:
    """The share of the gradient of each entry that is the largest along some axes, for max, or of negatives for min."""

    axes: tuple[int, ...]
    word: str
    convention: str | None = None

    def shares(self, tied: Array, one: Any) -> Array:
        """The shares of entries that are tied, as quotients of ``one``: a number of the dtype of the values."""
        if self.convention in (FIRST, SECOND):
            tied = self._only(tied, last=self.convention == SECOND)
        return np.asarray((tied * one) / np.sum(tied, axis=self.axes, keepdims=True))

    def _only(self, tied: Array, last: bool) -> Array:
        """The first or the last of them."""
        moved = np.moveaxis(tied, self.axes, range(-len(self.axes), 0))
        flat = moved.reshape(*moved.shape[: tied.ndim - len(self.axes)], -1)
        order = slice(None, None, -1 if last else 1)
        before = np.cumsum(flat[..., order], axis=-1)[..., order]
        only = np.where(before == 1, flat, 0)
        return np.moveaxis(only.reshape(moved.shape), range(-len(self.axes), 0), self.axes)

    def value(self, a: Array) -> Array:
        """The shares, in the dtype of a: a share that float64 rounds is not exact enough for longdouble."""
        return self.shares(np.equal(a, np.max(a, axis=self.axes, keepdims=True)), a.dtype.type(1))

    def doubt(self, _format: Format, result: Values, a: Bounded) -> Doubts:
        """The largest change of a share, to 0 or to 1."""
        among = contenders(a, self.axes)
        open_ = among & (np.sum(among, axis=self.axes, keepdims=True) > 1)
        if self.convention is not None:
            equal = np.equal(a.native, np.max(a.native, axis=self.axes, keepdims=True))
            open_ &= np.any(among & ~equal, axis=self.axes, keepdims=True)
        return _where_open(open_, np.maximum(result.middle, 1 - result.middle))

    def ball(self, a: Array) -> Array:
        """The same of Arb balls."""
        from flint import arb

        largest = largest_ball(a, self.axes)
        beaten = np.frompyfunc(lambda entry, most: bool(entry < most), 2, 1)
        among = ~np.asarray(beaten(a, largest)).astype(bool)
        if self.convention is not None:
            return self.shares(among.astype(object), arb(1))
        alone = np.sum(among, axis=self.axes, keepdims=True) == 1
        sure, open_, none = (np.array(share, dtype=object) for share in (arb(1), arb(0).union(arb(1)), arb(0)))
        return np.where(among, np.where(alone, sure, open_), none)

    def operation(self) -> Operation:
        """The row of the table."""
        return _deciding(self.word, self.value, self.doubt, self.ball, shape=lambda shape: shape)


def _deciding(name: str, value: Callable[..., Array], doubt: Worst, ball: Any, **more: Any) -> Operation:
    return Operation(name, value, no_gradients, doubt, None, ball=ball, **more)


def binary(name: str, low: float) -> Operation:
    """The factors of a choice between two, with its conventions."""
    middle = Winner(low, (low + 1) / 2, 1.0)
    ties = {SECOND: low, EVEN: middle.tie, FIRST: 1.0}
    conventions = {key: replace(middle, tie=tie, certain=True).operation(name) for key, tie in ties.items()}
    return replace(middle.operation(name), conventions=conventions)


MAXIMUM_SHARE, MINIMUM_SHARE, RELU_SHARE, CLIP_SHARE = (
    binary(name, 0.0) for name in ("maximum", "minimum", "relu", "clip")
)
SIGN = binary("abs", -1.0)
"""The sign of a − b; at a tie the derivative of abs lies between −1 and 1."""


def peak(axes: tuple[int, ...], word: str) -> Operation:
    """The shares of the largest entries along some axes, with their conventions."""
    conventions = {key: Peak(axes, word, key).operation() for key in (SECOND, EVEN, FIRST)}
    return replace(Peak(axes, word).operation(), conventions=conventions)


_MAXIMUM_BALL = np.frompyfunc(lambda a, b: a.max(b), 2, 1)


def largest_ball(a: Array, axes: tuple[int, ...]) -> Array:
    """The largest Arb ball along some axes, which stay as unit axes."""
    for axis in axes:
        a = np.asarray(_MAXIMUM_BALL.reduce(a, axis=axis, keepdims=True))
    return a


@dataclass(frozen=True)
class Mask:
    """A gradient times the factor that a decision gives it: docs/math.md, R7.

    Attributes:
        other: whether it is the gradient of the other operand, which gets 1 less the factor.
    """

    other: bool

    def factor(self, decision: Array) -> Array:
        """The factor, of a condition or a share."""
        factors = decision.astype(np.float64) if decision.dtype == bool else decision
        return 1 - factors if self.other else factors

    def value(self, decision: Array, g: Array) -> Array:
        """The gradient, and 0 where none of it is taken."""
        factors = self.factor(decision)
        return np.where(factors == 0, 0, factors * g)

    def worst(self, format: Format, _result: Values, decision: Decision, g: Bounded) -> Errors:
        """|f|·Eg + Ef·(|g| + Eg), 0·∞ included; for a share between 0 and 1 a division or two roundings."""
        factors, doubt = np.abs(self.factor(decision.middle)), _doubts(decision)
        error: Errors = None
        if g.error is not None:
            error = factors * g.error
        if doubt is not None:
            error = doubt * g.reach + (0.0 if error is None else error)
        shared = _shared(decision.middle, doubt)
        if shared is None:
            return error
        rounding = format.sum_error(2) * _largest_share(factors, doubt) * g.reach + 2 * format.underflow
        return np.where(shared, rounding, 0.0) + (0.0 if error is None else error)

    def variance(self, format: Format, result: Values, decision: Decision, g: Spread) -> Variances:
        """(|f| + Ef)²·s², and the roundings; the choice of the winner is not a part of it (W5)."""
        factors, doubt = np.abs(self.factor(decision.middle)), _doubts(decision)
        reach = factors if doubt is None else factors + doubt
        variance = None if g.variance is None else np.square(reach) * g.variance
        shared = _shared(decision.middle, doubt)
        if shared is None:
            return variance
        rounding = np.where(shared, rounding_variance(format, result.size, 2.0), 0.0)
        return rounding if variance is None else rounding + variance

    def ball(self, decision: Any, g: Any) -> Any:
        """The same of one Arb ball; an undecided condition is None."""
        from flint import arb

        if decision is None:
            return g.union(arb(0))
        factor = 1 - decision if self.other else decision
        return arb(0) if factor == 0 else factor * g

    def operation(self, name: str) -> Operation:
        """The row of the table."""
        ball = np.frompyfunc(self.ball, 2, 1)

        def gradients(moved: Variable, _v: Variable, decision: Variable, _g: Variable) -> tuple[None, Variable]:
            return None, masked(decision, moved, self.other)

        return Operation(name, self.value, gradients, self.worst, self.variance, ball=ball)


def _doubts(decision: Decision) -> Doubts:
    return None if decision.doubt is None else decision.doubt.astype(np.float64)


def _shared(decision: Array, doubt: Doubts) -> Array | None:
    """Where a share is neither all nor nothing, or may be so; None if that is nowhere."""
    if decision.dtype == bool:
        return None
    size = np.abs(decision)
    shared = (size > 0) & (size < 1)
    if doubt is not None:
        shared = shared | (doubt != np.rint(doubt))
    return shared if shared.any() else None


def _largest_share(factors: Array, doubt: Doubts) -> Array:
    """The largest share that is rounded: one that may be it is below 1."""
    return factors if doubt is None else np.where(doubt != np.rint(doubt), 1.0, factors)


_OWN, _OTHER = Mask(other=False), Mask(other=True)
# `apply` allows a condition only as the first operand of an operation with the name where.
_CONDITIONAL = {False: _OWN.operation("where"), True: _OTHER.operation("where")}
OWN_SHARE, OTHER_SHARE = _OWN.operation("share"), _OTHER.operation("share")
_WEIGHTED = {False: OWN_SHARE, True: OTHER_SHARE}


def masked(decision: Variable, g: Variable, other: bool = False) -> Variable:
    """The part of a gradient that a condition, a share or a sign gives to the first operand, or to the other one."""
    return apply((_CONDITIONAL if decision.is_condition else _WEIGHTED)[other], decision, g)
