"""The logarithms of shares, in the forms d − log S of a distance d = a − max a, and a − log Σeᵃ (docs/math.md, R23)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradcheck.graphs.shapes import one_axis
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Operation,
    Variable,
    apply,
    operated,
    rounded,
    square,
    total,
)
from gradcheck.oracle.operations.exponentials import LOG_BALL, Along, shifted
from gradcheck.oracle.operations.reductions import sum_
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.smooth import ACCURACY, DEVIATION
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances


@dataclass(frozen=True)
class LogSoftmax:
    """The logarithms v of the shares of eᵃ along an axis."""

    axis: int

    def value(self, a: Array) -> Array:
        """The distance d from the largest entry, minus log Σe^d."""
        distance = a - np.max(a, axis=self.axis, keepdims=True)
        return np.asarray(distance - np.log(np.sum(np.exp(distance), axis=self.axis, keepdims=True)))

    def ball(self, a: Array) -> Array:
        """The same in Arb balls."""
        largest, exponentials = shifted(a, (self.axis,))
        return np.asarray(a - largest - LOG_BALL(np.sum(exponentials, axis=self.axis, keepdims=True)))

    def worst(self, format: Format, result: Values, a: Bounded) -> Errors:
        """R23: log Σeᵃ with its errors (R16), an operand's own, and two roundings of v, since |d| ≤ |v|."""
        along = Along((self.axis,), a.native.shape)
        summed = along.sum_error(format) + ACCURACY["log"] * format.function_roundoff * along.entropy
        moved = None if a.error is None else along.moved(along.shares(a), a.error)
        subtracted = rounded(format, self._log_sum(along, a), total(np.asarray(summed), moved))
        return _kept(a.middle, a.error, rounded(format, result.size, total(subtracted, a.error), roundings=2))

    def variance(self, format: Format, result: Values, a: Spread) -> Variances:
        """s² + (Σps)² (W4), and (0.6u)² times 2v², (log Σeᵃ)², (n_log·log n)² and S's variance."""
        along = Along((self.axis,), a.native.shape)
        shares = along.shares(a)
        own = 2 * square(result.size) + square(self._log_sum(along, a)) + (DEVIATION["log"] * along.entropy) ** 2
        own = own + along.sum_variance(shares, along.distance(a))
        local = (ROUNDING_DEVIATION * format.roundoff) ** 2 * own + along.terms * format.variance_floor
        if a.variance is not None:
            local = local + a.variance + np.square(along.sum(shares * np.sqrt(a.variance)))
        return _kept(a.middle, a.variance, local)

    def partial_sums(self, _format: Format, a: Bounded) -> Array:
        """The result, log Σeᵃ, and S below n."""
        along = Along((self.axis,), a.native.shape)
        moved = along.largest(np.broadcast_to(a.errors, a.native.shape))
        return np.asarray(a.reach + np.maximum(self._log_sum(along, a) + moved, along.terms))

    def gradients(self, g: Variable, v: Variable, _a: Variable) -> tuple[Variable]:
        """Each g less its share eᵛ of Σg, PyTorch's form; v's error covers the other, e^d/S."""
        return (g - operated("exp", v) * sum_(g, self.axis, keepdims=True),)

    def operation(self) -> Operation:
        """The row of the table."""
        return Operation(
            "log_softmax",
            self.value,
            self.gradients,
            self.worst,
            self.variance,
            shape=lambda shape: shape,
            ball=self.ball,
            partial_sums=self.partial_sums,
        )

    def _log_sum(self, along: Along, a: Values) -> Array:
        """The magnitude of log Σeᵃ at most: it lies between the largest entry and that plus log n."""
        return np.asarray(np.abs(along.largest(a.middle)) + along.entropy)


def _kept(middle: Array, given: Errors, errors: Array) -> Array:
    """No error where an operand is exactly −∞, and its share zero."""
    exact = np.isneginf(middle) & (given is None or given == 0)
    return np.where(exact, 0.0, errors)


@rule(worst="θ(n, u) + (6 + 10 log n + 2|v| + |log Σeᵃ|) u", typical="√(2v² + (log Σeᵃ)² + (1.5 log n)² + n/2)")
def log_softmax(a: Variable, axis: int = -1) -> Variable:
    """The logarithms of the shares of eᵃ in their sum over an axis."""
    return apply(LogSoftmax(one_axis(axis, a.ndim)).operation(), a)
