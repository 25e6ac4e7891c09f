"""The error function, and the normal distribution: its function Φ and its density φ (docs/math.md, R24).

Kernels compute erf by a polynomial or a rational function, whose error is relative to the result, and take Φ as
½(1 + erf(a/√2)) or ½erfc(−a/√2). The sum loses the digits of Φ far below zero, so that its error is absolute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import Operation, Variable, apply, rounding_variance, square
from gradcheck.oracle.operations.by_balls import value_of
from gradcheck.oracle.operations.smooth import Smooth, distance_from_zero, register
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances
from gradcheck.oracle.operations.triples import product_of_three

DISTRIBUTION_ACCURACY = 8
"""The largest error of Φ in units of u: 5.8 in PyTorch's float32 kernel, 5.2 in MLX's and MXNet's."""

FARTHEST = 1e4
"""An exponent beyond which a density is zero in every format."""


def _span(a: Bounded) -> tuple[Array, Array]:
    """The smallest and the largest magnitude of a computed operand."""
    reach = a.errors * WIDENING
    return np.maximum(a.size - reach, 0.0), a.size + reach


@dataclass(frozen=True)
class Gaussian:
    """s·exp(−κa²).

    Attributes:
        name: of the operation.
        scale: s, as the sum of two numbers of float64.
        rate: κ.
        roundings: how many of the exponent κa², at most.
        accuracy: of all else, in units of u: exp, s, and the products of both.
    """

    name: str
    scale: tuple[float, float]
    rate: float
    roundings: int
    accuracy: float

    def value(self, a: Array) -> Array:
        """The values in the dtype of a."""
        scale = a.dtype.type(self.scale[0]) + a.dtype.type(self.scale[1])
        return np.asarray(scale * np.exp(-(self.rate * (a * a))))

    def ball(self, a: Any) -> Any:
        """The same of one Arb ball."""
        from flint import arb

        return (-(a * a) * self.rate).exp() * (arb(self.rate) / arb.pi()).sqrt() * (2 if self.rate == 1 else 1)

    def slope(self, near: Array, far: Array) -> Array:
        """The largest |f′| = 2κ|a|f(a) between two magnitudes; its peak is at 1/√(2κ)."""
        steepest = np.clip(1 / math.sqrt(2 * self.rate), near, far)
        return np.asarray(2 * self.rate * steepest * self.value(steepest))

    def rounded_exponent(self, format: Format, near: Array, far: Array) -> Array:
        """What rounding the exponent t = κa² does, at most.

        e^(−t(1 − ku)) − e^(−t) ≤ ku·t·e^(−t(1 − ku)), whose peak between two magnitudes is where t = 1/(1 − ku).
        """
        relative = self.roundings * format.roundoff
        largest = np.clip(1 / math.sqrt(self.rate * (1 - relative)), near, far)
        exponent = np.minimum(self.rate * square(largest), FARTHEST)
        return np.asarray(self.scale[0] * relative * exponent * np.exp(-(1 - relative) * exponent))

    def worst(self, format: Format, result: Values, a: Bounded) -> Errors:
        """R24: Ea·max|f′|, the rounding of the exponent, c·u·(f + both), λ and t."""
        near, far = _span(a)
        relative = self.accuracy * format.function_roundoff
        moved = self.rounded_exponent(format, near, far)
        if a.error is not None:
            moved = moved + a.error * self.slope(near, far)
        return relative * result.size + (1 + relative) * moved + format.normal + format.underflow

    def variance(self, format: Format, result: Values, a: Spread) -> Variances:
        """(f′s)² + (0.6u)²(2f)² + (0.6u·κa²·f)², and λ²."""
        exponent = np.minimum(self.rate * square(a.size), FARTHEST)
        local = rounding_variance(format, result.size * np.sqrt(4 + square(exponent)))
        return local if a.variance is None else local + np.square(self.slope(a.size, a.size)) * a.variance

    def gradients(self, g: Variable, v: Variable, a: Variable) -> tuple[Variable]:
        """−2κ·a·f(a) in any order; 2κ is a power of two."""
        return (product_of_three(g, (-2 * self.rate) * a, v),)

    def operation(self) -> Operation:
        """The row of the table."""
        ball = np.frompyfunc(self.ball, 1, 1)
        return Operation(self.name, self.value, self.gradients, self.worst, self.variance, ball=ball)


ERF_SLOPE = Gaussian("erf derivative", (1.1283791670955126, 1.533545961316588e-17), 1.0, 1, accuracy=8)
_DENSITY = Gaussian("normal density", (0.3989422804014327, -2.49232720227773e-17), 0.5, 5, accuracy=12)
ERF_DERIVATIVE = ERF_SLOPE.operation()
"""erf′ = 2/√π·exp(−a²): exp's 6 u, 2/√π and a product; a² is rounded once."""
DENSITY = _DENSITY.operation()
"""φ(a) = exp(−a²/2)/√(2π); autodiff of ½erfc(−a·√½) has (a·√½)², five roundings, and three products more."""

ERF = Smooth(
    "erf",
    value_of(lambda a: a.erf(), 1.0, -1.0, by_series=True),
    lambda a: a.erf(),
    lambda low, high: ERF_SLOPE.value(distance_from_zero(low, high)),
    lambda a, _v: apply(ERF_DERIVATIVE, a),
    accuracy=8,  # worst measured 5.9, TensorFlow in float32; 5.8 in XLA; CUDA's table: 2 ulp
    deviation=2,
)
register(ERF)


def _distribution_ball(a: Any) -> Any:
    from flint import arb

    return (-a / arb(2).sqrt()).erfc() / 2


def _distribution_worst(format: Format, _result: Values, a: Bounded) -> Errors:
    """R24: 8u, 2u·max|a|φ(a) for the operand of erf, whose rounding moves it, λ and t; and Ea·max φ."""
    near, far = _span(a)
    moved = np.clip(1.0, near, far)
    local = format.function_roundoff * DISTRIBUTION_ACCURACY + 2 * format.roundoff * moved * _DENSITY.value(moved)
    local = local + format.normal + format.underflow
    return np.asarray(local if a.error is None else local + a.error * _DENSITY.value(near))


def _distribution_variance(format: Format, result: Values, a: Spread) -> Variances:
    """(φs)² + (0.6u)²(1 + Φ²): the roundings of erf and of the sum."""
    local = rounding_variance(format, np.sqrt(1 + square(result.size)))
    return local if a.variance is None else local + square(_DENSITY.value(a.size)) * a.variance


DISTRIBUTION = Operation(
    "normal distribution",
    value_of(_distribution_ball, 1.0, 0.0, by_series=True),
    lambda g, _v, a: (g * apply(DENSITY, a),),
    _distribution_worst,
    _distribution_variance,
    ball=np.frompyfunc(_distribution_ball, 1, 1),
)
"""Φ(a)."""


def distribution(a: Variable) -> Variable:
    """Φ(a), the share of a normal distribution below a."""
    return apply(DISTRIBUTION, a)
