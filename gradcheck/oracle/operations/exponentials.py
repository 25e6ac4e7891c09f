"""Softmax and log-sum-exp have their own rules, since the shift by the largest entry does not give them a kink.

Engines take e^d of the distance d = a − max a (any shift near it does as well). Rounding d moves e^d by u·|d|, and the
shares p = e^d/S of the sum S weigh that with Σp·|d| ≤ H(p) ≤ log n, since d = log p + log S and S ≥ 1; twice that holds
where u·|d| is not small. So S has a relative error of θ(n, u) + c_exp·u + 2u·log n, which is the absolute error of log
S. After P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax functions", IMA
Journal of Numerical Analysis 41, 2021, sections 3 and 4 (docs/math.md, R16 and R17; of a single entry too: R4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gradcheck.graphs.shapes import Axes, normalise_axes, one_axis, reduced_shape
from gradcheck.oracle.formats import SMALLEST, WIDENING, Format
from gradcheck.oracle.operations.arithmetic import any_of
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Operation,
    Shape,
    Variable,
    apply,
    operated,
    rounded,
    square,
    summing_variance,
)
from gradcheck.oracle.operations.reductions import spread_over, sum_
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.smooth import ACCURACY, DEVIATION
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances

LARGEST_EXPONENT = 700.0
"""e to it, squared, is still far from float64's largest number times its smallest: bounds stay finite below it."""

FARTHEST = 1e150
"""A distance whose square is still finite."""

FLUSHED = 2
"""Exponentials below so many λ may come out as zero: oneDNN builds 2ⁿ from 2ⁿ⁻¹, which is subnormal at λ."""

_MIDDLE = np.frompyfunc(lambda ball: ball.mid(), 1, 1)
_EXP_BALL = np.frompyfunc(lambda ball: ball.exp(), 1, 1)
LOG_BALL = np.frompyfunc(lambda ball: ball.log(), 1, 1)
_LARGER = np.frompyfunc(lambda a, b: b if b > a else a, 2, 1)


class Along:
    """The quantities of the analysis along some axes, which stay as unit axes.

    Attributes:
        terms: n.
    """

    def __init__(self, axes: tuple[int, ...], shape: Shape) -> None:
        self.axes = axes
        self.terms = math.prod(shape[axis] for axis in axes)
        self.entropy = math.log(max(self.terms, 1))

    def sum(self, a: Array) -> Array:
        """Σ."""
        return np.asarray(np.sum(a, axis=self.axes, keepdims=True))

    def largest(self, a: Array) -> Array:
        """The largest entry."""
        return np.asarray(np.max(a, axis=self.axes, keepdims=True, initial=-np.inf))

    def distance(self, a: Values) -> Array:
        """d in float64, cut off where e^d is zero in any format."""
        return np.maximum((a.native - self.largest(a.native)).astype(np.float64), -FARTHEST)

    def shares(self, a: Values) -> Array:
        """The shares p."""
        exponentials = np.exp(self.distance(a))
        return np.asarray(exponentials / self.sum(exponentials))

    def moved(self, shares: Array, error: Array) -> Array:
        """The change of log S with its operands: log Σp·e^E exactly, and never more than theirs."""
        reach = np.broadcast_to(error * WIDENING, shares.shape)
        largest = self.largest(reach)
        weighted = np.log1p(self.sum((shares + SMALLEST) * np.expm1(np.minimum(reach, 1.0))))
        return np.where(largest <= 1, np.minimum(weighted * WIDENING, largest), largest)

    def sum_error(self, format: Format) -> float:
        """The relative error of S, including exponentials that are flushed to zero."""
        own = format.sum_error(self.terms) + self.terms * (format.underflow + FLUSHED * format.normal)
        return own + ACCURACY["exp"] * format.function_roundoff + 2 * format.roundoff * self.entropy

    def sum_variance(self, shares: Array, distance: Array) -> Array:
        """The variance of S, relative, in units of (0.6u)²."""
        squares, sums = summing_variance(self.terms)
        return self.sum(square(shares) * (square(distance) + DEVIATION["exp"] ** 2 + squares)) + sums


def shifted(a: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """The largest entry along some axes, as an exact number, and the exponentials of the distances from it; balls."""
    middles = _MIDDLE(a)
    for axis in axes:
        middles = np.asarray(_LARGER.reduce(middles, axis=axis, keepdims=True))
    return middles, np.asarray(_EXP_BALL(a - middles), dtype=object)


@dataclass(frozen=True)
class LogSumExp:
    """log Σeᵃ over some axes."""

    axes: tuple[int, ...]
    keepdims: bool

    def reduced(self, a: Array) -> Array:
        """Without the unit axes, unless the caller keeps them."""
        return np.asarray(a if self.keepdims else np.squeeze(a, self.axes))

    def shape(self, shape: Shape) -> Shape:
        """The shape of the result."""
        return reduced_shape(shape, self.axes, self.keepdims)

    def value(self, a: Array) -> Array:
        """Max a + log Σe^d."""
        largest = np.max(a, axis=self.axes, keepdims=True)
        return self.reduced(largest + np.log(np.sum(np.exp(a - largest), axis=self.axes, keepdims=True)))

    def ball(self, a: Array) -> Array:
        """The same in Arb balls."""
        largest, exponentials = shifted(a, self.axes)
        return self.reduced(largest + LOG_BALL(np.sum(exponentials, axis=self.axes, keepdims=True)))

    def worst(self, format: Format, result: Values, a: Bounded) -> Errors:
        """R16: log Σp·e^E, S's relative error, c_log·u·log n, and the rounding of the last sum."""
        along = Along(self.axes, a.native.shape)
        summed = along.sum_error(format) + ACCURACY["log"] * format.function_roundoff * along.entropy
        error = np.asarray(summed)
        if a.error is not None:
            error = error + self.reduced(along.moved(along.shares(a), a.error))
        return rounded(format, result.size, error)

    def variance(self, format: Format, result: Values, a: Spread) -> Variances:
        """(Σps)², and (0.6u)² times v², (n_log·log n)² and S's variance.

        Operands share their errors where they come from one sum, as a recursion's do: (Σps)² holds whatever their
        correlation, and is no more than the largest s² (Minkowski; docs/math.md, W4).
        """
        along = Along(self.axes, a.native.shape)
        shares = along.shares(a)
        summed = self.reduced(along.sum_variance(shares, along.distance(a)))
        own = square(result.size) + (DEVIATION["log"] * along.entropy) ** 2 + summed
        local = (ROUNDING_DEVIATION * format.roundoff) ** 2 * own + along.terms * format.variance_floor
        return local if a.variance is None else local + np.square(self.reduced(along.sum(shares * np.sqrt(a.variance))))

    def partial_sums(self, _format: Format, a: Bounded) -> Array:
        """The result lies between the largest entry and that plus log n, and S below n."""
        along = Along(self.axes, a.native.shape)
        ends = [np.abs(along.largest(a.middle + end)) for end in (a.errors, -a.errors)]
        return np.maximum(self.reduced(np.maximum(*ends)) + along.entropy, along.terms)

    def gradients(self, g: Variable, v: Variable, a: Variable) -> tuple[Variable]:
        """The share p as exp(a − v), PyTorch's form; v's error covers the other, e^d/S."""
        share = operated("exp", a - spread_over(v, a.shape, self.axes))
        return (spread_over(g, a.shape, self.axes) * share,)

    def operation(self) -> Operation:
        """The row of the table."""
        return Operation(
            "logsumexp",
            self.value,
            self.gradients,
            self.worst,
            self.variance,
            shape=self.shape,
            ball=self.ball,
            partial_sums=self.partial_sums,
        )


@dataclass(frozen=True)
class Softmax:
    """The shares p of eᵃ along an axis."""

    axis: int

    def value(self, a: Array) -> Array:
        """e^d/Σe^d."""
        exponentials = np.exp(a - np.max(a, axis=self.axis, keepdims=True))
        return np.asarray(exponentials / np.sum(exponentials, axis=self.axis, keepdims=True))

    def ball(self, a: Array) -> Array:
        """The same in Arb balls."""
        exponentials = shifted(a, (self.axis,))[1]
        return np.asarray(exponentials / np.sum(exponentials, axis=self.axis, keepdims=True))

    def moved(self, along: Along, p: Array, errors: Array) -> Array:
        """The change of p with its operands, p·(e^c − 1) for a change c of log p; at most 1.

        Also p(1−p)·(e^c − 1) for a change c of log(p/(1−p)), which is narrower for a p near 1. Of 1−p float64 knows no
        more than 2⁻⁵².
        """
        reach = np.broadcast_to(errors * WIDENING, p.shape)
        first, second = (
            np.expm1(np.minimum(reach + change, LARGEST_EXPONENT))
            for change in (along.moved(p, errors), along.largest(reach))
        )
        bound = (p + SMALLEST) * np.minimum(first, (1 - p + 2.0**-52) * second)
        bound = np.where(along.largest(reach) < LARGEST_EXPONENT / 2, np.minimum(bound, 1.0), 1.0)
        return known(along, errors, bound)

    def worst(self, format: Format, result: Values, a: Bounded) -> Errors:
        """R17: the change of p, and its own relative error: u·|d|, c_exp·u, S's, two roundings of a quotient.

        The form exp(d − log S) adds the errors of log S and of a difference.
        """
        along = Along((self.axis,), a.native.shape)
        distance = np.abs(along.distance(a))
        p = result.size
        propagated = np.zeros(())
        if a.error is not None:
            propagated = self.moved(along, p, a.error)
            distance = distance + a.error + along.largest(np.broadcast_to(a.error, p.shape))
        functions = (ACCURACY["exp"] + ACCURACY["log"] * along.entropy) * format.function_roundoff
        roundings = format.roundoff * (distance + 2 + along.entropy)
        relative = np.expm1(np.minimum(along.sum_error(format) + functions + roundings, LARGEST_EXPONENT))
        return np.asarray(propagated + relative * (p + propagated) + FLUSHED * format.normal + 2 * format.underflow)

    def variance(self, format: Format, result: Values, a: Spread) -> Variances:
        """p²((1−2p)s² + Σp²s²), and (0.6u·p)² times d², exp's, S's and a quotient's; p moves by e^error, or by 1."""
        along = Along((self.axis,), a.native.shape)
        distance, p = along.distance(a), result.size
        own = square(distance) + DEVIATION["exp"] ** 2 + 2 + along.sum_variance(p, distance)
        local = (ROUNDING_DEVIATION * format.roundoff) ** 2 * square(p) * own + format.variance_floor
        if a.variance is None:
            return np.asarray(local)
        grown = lognormal(a.variance)
        change = square(p) * np.maximum((1 - 2 * p) * grown + along.sum(square(p) * grown), 0.0)
        return local + known(along, a.variance, np.minimum(change, 1.0))

    def gradients(self, g: Variable, v: Variable, _a: Variable) -> tuple[Variable]:
        """(g − Σgv)·v as PyTorch has it, or gv − v·Σgv as autodiff of the formula does."""
        weighted = sum_(g * v, self.axis, keepdims=True)
        return (any_of((lambda g, v, w: (g - w) * v, lambda g, v, w: g * v - v * w), g, v, weighted),)

    def operation(self) -> Operation:
        """The row of the table."""
        return Operation(
            "softmax",
            self.value,
            self.gradients,
            self.worst,
            self.variance,
            shape=lambda shape: shape,
            ball=self.ball,
        )


def known(along: Along, errors: Array, bound: Array) -> Array:
    """The bound, but shares are unknown where an operand may overflow, since ∞ − ∞ is not a number."""
    return np.where(np.isinf(along.largest(np.broadcast_to(errors, bound.shape))), np.inf, bound)


def lognormal(variance: Array) -> Array:
    """The variance of e^X for a normal X of small variance, which is X's own, and of a large one."""
    capped = np.minimum(variance, LARGEST_EXPONENT / 2)
    return np.asarray(np.exp(capped) * np.expm1(capped))


@rule(worst="(θ(n, u) + (6 + 10 log n) u) + u·|v|", typical="√(v² + (1.5 log n)² + n/2)")
def logsumexp(a: Variable, axis: Axes = None, keepdims: bool = False) -> Variable:
    """The logarithm of the sum of eᵃ over an axis, several, or all."""
    axes = normalise_axes(axis, a.ndim)
    return apply(LogSumExp(axes, keepdims).operation(), a)


@rule(worst="θ(n, u) + (14 + 11 log n + |a − max a|) u, + 2 λ", typical="√((a − max a)² + n/2 + 7)")
def softmax(a: Variable, axis: int = -1) -> Variable:
    """The shares of eᵃ in their sum over an axis."""
    along = one_axis(axis, a.ndim)
    return apply(Softmax(along).operation(), a)
