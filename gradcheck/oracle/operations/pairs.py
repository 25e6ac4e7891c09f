"""Smooth functions of two arguments, entry by entry: powers of arrays, logaddexp, hypot, atan2 (docs/math.md, R36)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import Operand, Operation, Variable, apply, operated, rounding_variance
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import DOUBT, Array, Bounded, Errors, Spread, Values, Variances
from gradcheck.oracle.operations.triples import product_of_three


def _span(a: Values, errors: Array) -> tuple[Array, Array]:
    """The smallest and the largest magnitude within reach; sizes are rounded up, those of zeros too."""
    reach = errors * WIDENING
    return np.where(a.native == 0, 0.0, np.maximum(a.size - reach, 0.0)), a.size + reach


@dataclass(frozen=True)
class ArrayPower:
    """aᵇ, or aᵇ⁻¹ in a derivative.

    Attributes:
        less: what is taken from b, one at a time.
    """

    less: int

    def value(self, a: Array, b: Array) -> Array:
        """In the dtype of both."""
        return np.asarray(np.power(a, b - self.less))

    def ball(self, a: Any, b: Any) -> Any:
        """The same of two Arb balls."""
        exponent = b - self.less
        if exponent.is_exact() and exponent.is_integer() and abs(exponent) < 2**30:
            return a ** int(float(exponent))
        return a**exponent

    def _slopes(self, a: Values, b: Values, a_errors: Array, b_errors: Array) -> tuple[Array, Array, Array]:
        """The largest |aᵇ|, |b·aᵇ⁻¹| and |aᵇ·log a| within reach."""
        near, far = _span(a, a_errors)
        exponents = [b.middle - self.less + side * b_errors * WIDENING for side in (-1, 1)]
        corners = [(size, exponent) for size in (near, far) for exponent in exponents]
        largest = reduce(np.maximum, [np.power(size, exponent) for size, exponent in corners])
        below = reduce(np.maximum, [np.power(size, exponent - 1) for size, exponent in corners])
        factor = reduce(np.maximum, map(np.abs, exponents))
        logarithms = reduce(np.maximum, [np.abs(np.log(size)) for size in (near, far)])
        return largest, np.where(factor == 0, 0.0, factor * below), largest * logarithms

    def _whole(self, format: Format, b: Values) -> Array:
        """Where b, and b − 1 in the format, are integers."""
        return np.asarray((np.rint(b.middle) == b.middle) & (b.size < 2.0**format.bits))

    def worst(self, format: Format, result: Values, a: Bounded, b: Bounded) -> Errors:
        """R36: c·u of the largest value, and the slopes times the errors.

        Unknown where a may be below zero, and b no integer.
        """
        whole = self._whole(format, b)
        rounded = np.where(whole, 0.0, format.roundoff * sum(np.abs(b.middle - n) for n in range(1, self.less + 1)))
        moved = b.errors + rounded
        largest, along_a, along_b = self._slopes(a, b, a.errors, moved)
        relative = np.maximum(8.0, b.reach + 1) * format.function_roundoff
        local = relative * largest + format.underflow + format.normal
        local = local + (1 + relative) * (_times(a.errors, along_a) + _times(moved, along_b))
        known = (a.middle - a.errors * WIDENING >= 0) | (whole & (b.errors == 0))
        return np.where(known, local, np.inf)

    def variance(self, format: Format, result: Values, a: Spread, b: Spread) -> Variances:
        """The slopes times the deviations, and 0.6(2 + |b|/2)u·|v|."""
        none = np.zeros(())
        _, along_a, along_b = self._slopes(a, b, none, none)
        local = rounding_variance(format, result.size * (2 + b.size / 2))
        return np.asarray(local + _times(a.variances, np.square(along_a)) + _times(b.variances, np.square(along_b)))

    def gradients(self, g: Variable, v: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
        """g·(b − n)·aᵇ⁻ⁿ⁻¹ and g·v·log a, in any order."""
        exponent = b - float(self.less) if self.less else b
        below = apply(ArrayPower(self.less + 1).operation(), a, b)
        return product_of_three(g, exponent, below), product_of_three(g, v, operated("log", a))

    def operation(self) -> Operation:
        """The row of the table."""
        return Operation(
            "power of arrays",
            self.value,
            self.gradients,
            self.worst,
            self.variance,
            ball=np.frompyfunc(self.ball, 2, 1),
        )


def _times(errors: Array, slope: Array) -> Array:
    """Their product, 0 where an operand is exact although the slope is infinite."""
    return np.where(errors == 0, 0.0, errors * slope)


POWER = ArrayPower(0).operation()


def _hypot_worst(format: Format, result: Values, a: Bounded, b: Bounded) -> Errors:
    """R36: E_a + E_b, 6u·v, and what squares that underflow do to a root."""
    relative = 6 * format.function_roundoff
    lost = 2 * format.underflow
    with np.errstate(divide="ignore"):
        floor = np.minimum(math.sqrt(lost), lost / result.size)
    return np.asarray(relative * result.size + (1 + relative) * (a.errors + b.errors) + floor + format.underflow)


def _hypot_variance(format: Format, result: Values, a: Spread, b: Spread) -> Variances:
    size = np.where(result.size > 0, result.size, 1.0)
    local = rounding_variance(format, result.size, 2.0) + 2 * format.underflow
    shares = [np.where(result.size > 0, np.square(each.size / size), 1.0) for each in (a, b)]
    return np.asarray(local + shares[0] * a.variances + shares[1] * b.variances)


HYPOT = Operation(
    "hypot",
    np.hypot,
    lambda g, v, a, b: (g * (a / v), g * (b / v)),
    _hypot_worst,
    _hypot_variance,
    ball=np.frompyfunc(lambda a, b: (a * a + b * b).sqrt(), 2, 1),
    partial_sums=lambda _format, a, b: np.square(a.reach) + np.square(b.reach),
)


def _atan2_worst(format: Format, result: Values, y: Bounded, x: Bounded) -> Errors:
    """R36: 8u·|v|, and √(E_y² + E_x²)/r for the nearest r; 2π left of zero where y may cross it, or is zero.

    Programs that compute an exact zero may make −0 of it, whose angle is −π. Unknown where the point may be zero: there
    it is any of 0, π and −π, and TensorFlow knows none.
    """
    relative = 8 * format.function_roundoff
    height = _span(y, y.errors)[0]
    nearest = np.hypot(height, _span(x, x.errors)[0])
    off = np.hypot(y.errors, x.errors)
    with np.errstate(divide="ignore", invalid="ignore"):
        turned = np.where(nearest > 0, np.minimum(off / nearest, 2 * math.pi), np.inf)
    crosses = (x.middle - x.errors * WIDENING < 0) & (height == 0)
    turned = np.where(crosses, np.maximum(turned, 2 * math.pi), turned)
    return np.asarray(relative * result.size + (1 + relative) * turned + format.underflow)


def _atan2_variance(format: Format, result: Values, y: Spread, x: Spread) -> Variances:
    local = rounding_variance(format, result.size, 1.5)
    squares = np.square(y.size) + np.square(x.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        turned = (np.square(x.size) * y.variances + np.square(y.size) * x.variances) / np.square(squares)
    height = _span(y, DOUBT * np.sqrt(y.variances))[0]
    crosses = (x.middle - DOUBT * np.sqrt(x.variances) < 0) & (height == 0)
    return np.asarray(local + np.where((squares > 0) & ~crosses, np.minimum(turned, 4 * math.pi**2), 4 * math.pi**2))


def _atan2_gradients(g: Variable, _v: Variable, y: Variable, x: Variable) -> tuple[Variable, Variable]:
    """g·x/(x² + y²), and −g·y/(x² + y²), in any order."""
    squares = operated("square", x) + operated("square", y)
    return g * (x / squares), -(g * (y / squares))


ATAN2 = Operation(
    "atan2",
    np.arctan2,
    _atan2_gradients,
    _atan2_worst,
    _atan2_variance,
    ball=np.frompyfunc(lambda y, x: type(y).atan2(y, x), 2, 1),
)


@rule(worst="max(8, |b| + 1) u + λ, for a > 0 or whole b", typical="2 + |b|/2", name="power")
def power(a: Operand, b: Operand) -> Variable:
    """The power aᵇ, entry by entry."""
    return apply(POWER, a, b)


@rule(worst="6 u", typical="2")
def hypot(a: Operand, b: Operand) -> Variable:
    """√(a² + b²)."""
    return apply(HYPOT, a, b)


@rule(worst="8 u", typical="1.5")
def atan2(a: Operand, b: Operand) -> Variable:
    """The angle of the point (b, a)."""
    return apply(ATAN2, a, b)


@rule(worst="(18 + |v|) u", typical="√(v² + 3)")
def logaddexp(a: Variable, b: Variable) -> Variable:
    """log(eᵃ + eᵇ)."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    both = [operated("broadcast_to", each, shape) for each in (a, b)]
    return operated("logsumexp", operated("stack", both, -1), -1)
