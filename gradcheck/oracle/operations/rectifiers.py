"""leaky_relu and elu: the identity above zero, and something else below (docs/math.md, R18 and R29)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import Operand, Operation, Variable, apply, rounding_variance
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.shares import binary, masked
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances

ELU_ACCURACY = 10
"""Of α(eᵃ − 1), in units of u·α: exp's 6, the difference, α and a product; and of its derivative as α + v."""


def _ends(a: Bounded) -> tuple[Array, Array]:
    reach = a.errors * WIDENING
    return a.middle - reach, a.middle + reach


@dataclass(frozen=True)
class LeakyRelu:
    """A where it is above zero, and a multiple of it below.

    Attributes:
        slope: the factor below, in [0, 1).
    """

    slope: float

    def value(self, a: Array) -> Array:
        """In the dtype of a."""
        return np.where(a > 0, a, a.dtype.type(self.slope) * a)

    def worst(self, format: Format, _result: Values, a: Bounded) -> Errors:
        """E, times the slope below zero; there the slope and the product are rounded."""
        low, high = _ends(a)
        local = format.sum_error(2) * self.slope * a.reach + 2 * format.underflow
        return np.asarray(np.where(low > 0, 0.0, local) + np.where(high < 0, self.slope, 1.0) * a.errors)

    def variance(self, format: Format, result: Values, a: Spread) -> Variances:
        """The same of typical errors."""
        local = np.where(a.middle > 0, 0.0, rounding_variance(format, result.size, 2.0))
        if a.variance is None:
            return local
        return np.asarray(local + np.where(_ends(a.at_doubt)[1] < 0, self.slope**2, 1.0) * a.variance)

    def ball(self, a: Any) -> Any:
        """The same of one Arb ball."""
        return a if a > 0 else a * self.slope if a < 0 else a.union(a * self.slope)

    def gradients(self, g: Variable, _v: Variable, a: Variable) -> tuple[Variable]:
        """The gradient, or the multiple of it; engines differ at zero."""
        return (masked(apply(binary("leaky_relu", self.slope), a, 0.0), g),)

    def operation(self) -> Operation:
        """The row of the table."""
        ball = np.frompyfunc(self.ball, 1, 1)
        return Operation("leaky_relu", self.value, self.gradients, self.worst, self.variance, ball=ball)


@dataclass(frozen=True)
class Elu:
    """A where it is above zero, and α(eᵃ − 1) below.

    Engines have eᵃ − 1 as it stands or as expm1, and its derivative as αeᵃ or, from the result, as v + α.
    """

    alpha: float

    def value(self, a: Array) -> Array:
        """In the dtype of a."""
        return np.where(a > 0, a, a.dtype.type(self.alpha) * np.expm1(np.minimum(a, 0)))

    def slope(self, low: Array, high: Array) -> Array:
        """The largest derivative between."""
        below = self.alpha * np.exp(np.minimum(high, 0.0))
        return np.where(low > 0, 1.0, np.where(high < 0, below, max(1.0, self.alpha)))

    def _local(self, format: Format, low: Array) -> Array:
        """The roundings where the operand may lie below zero."""
        relative = ELU_ACCURACY * format.function_roundoff
        return np.where(low > 0, 0.0, self.alpha * (relative + format.normal) + format.underflow)

    def worst(self, format: Format, _result: Values, a: Bounded) -> Errors:
        """R29: E·max|f′|, and below zero 10u·α."""
        low, high = _ends(a)
        return np.asarray(self._local(format, low) + a.errors * self.slope(low, high))

    def _local_variance(self, format: Format, a: Spread) -> Array:
        return np.where(a.middle > 0, 0.0, rounding_variance(format, np.full(a.size.shape, self.alpha), 2.0))

    def variance(self, format: Format, _result: Values, a: Spread) -> Variances:
        """The same of typical errors."""
        local = self._local_variance(format, a)
        return local if a.variance is None else local + np.square(self.slope(a.middle, a.middle)) * a.variance

    def ball(self, a: Any) -> Any:
        """The same of one Arb ball."""
        return a if a > 0 else a.expm1() * self.alpha if a < 0 else a.union(a.expm1() * self.alpha)

    def derivative(self, a: Array) -> Array:
        """1, or αeᵃ."""
        return np.where(a > 0, 1, a.dtype.type(self.alpha) * np.exp(np.minimum(a, 0)))

    def derivative_worst(self, format: Format, _result: Values, a: Bounded) -> Errors:
        """R29: 10u·α; E·αeᵃ, and the jump |1 − α| where it may be on either side of zero."""
        low, high = _ends(a)
        moved = a.errors * self.alpha * np.exp(np.minimum(high, 0.0)) + np.where(high < 0, 0.0, abs(1 - self.alpha))
        return self._local(format, low) + np.where(low > 0, 0.0, moved)

    def derivative_variance(self, format: Format, _result: Values, a: Spread) -> Variances:
        """The same of typical errors; the side of zero is a choice, and not a part of it (W5)."""
        local = self._local_variance(format, a)
        if a.variance is None:
            return local
        slope = np.where(a.middle > 0, 0.0, self.alpha * np.exp(np.minimum(a.middle, 0.0)))
        return np.asarray(local + np.square(slope) * a.variance)

    def derivative_coherent(self, _format: Format, _result: Values, a: Spread) -> Errors:
        """The jump at zero."""
        low, high = _ends(a.at_doubt)
        return np.where((low > 0) | (high < 0), 0.0, abs(1 - self.alpha))

    def derivative_ball(self, a: Any) -> Any:
        """The same of one Arb ball."""
        from flint import arb

        below = a.exp() * self.alpha
        return arb(1) if a > 0 else below if a < 0 else below.union(arb(1))

    def gradients(self, g: Variable, _v: Variable, a: Variable) -> tuple[Variable]:
        """The gradient times the derivative."""
        derivative = Operation(
            "elu derivative",
            self.derivative,
            lambda g, v, a: (masked(apply(binary("elu", 0.0), a, 0.0), g * v, other=True),),
            self.derivative_worst,
            self.derivative_variance,
            ball=np.frompyfunc(self.derivative_ball, 1, 1),
            coherent=self.derivative_coherent if self.alpha != 1 else None,
        )
        return (g * apply(derivative, a),)

    def operation(self) -> Operation:
        """The row of the table."""
        ball = np.frompyfunc(self.ball, 1, 1)
        return Operation("elu", self.value, self.gradients, self.worst, self.variance, ball=ball)


@rule(worst="below zero θ(2, u)", typical="2")
def leaky_relu(a: Operand, negative_slope: float = 0.01) -> Variable:
    """A where it is above zero, and a multiple of it below."""
    return apply(LeakyRelu(float(negative_slope)).operation(), a)


@rule(worst="below zero 10 u of α", typical="2 of α")
def elu(a: Operand, alpha: float = 1.0) -> Variable:
    """A where it is above zero, and α(eᵃ − 1) below."""
    return apply(Elu(float(alpha)).operation(), a)
