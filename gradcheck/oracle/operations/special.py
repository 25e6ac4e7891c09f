"""The logarithm of Γ, its derivative digamma, and erfc (docs/math.md, R12 and R31)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import Operand, Operation, Variable, apply, rounding_variance
from gradcheck.oracle.operations.by_balls import value_of
from gradcheck.oracle.operations.gaussian import ERF_DERIVATIVE, ERF_SLOPE
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.smooth import Smooth, distance_from_zero, register
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances


def _lgamma_ball(a: Any) -> Any:
    return a.lgamma() if a > 0 else abs(a.gamma()).log()


def _trigamma_ball(a: Any) -> Any:
    from flint import arb

    return arb(2).zeta(a)


def _tetragamma_ball(a: Any) -> Any:
    from flint import arb

    return -2 * arb(3).zeta(a)


_DIGAMMA = value_of(lambda a: a.digamma(), np.inf, np.nan)
_TRIGAMMA = value_of(_trigamma_ball, 0.0, np.nan)


def _lgamma_terms(value: Array, a: Array) -> Array:
    """The terms of Lanczos's formula, beside the value: (a + ½)log(a + 8), a + 8 (XLA's has a + 6.5)."""
    return np.asarray(value + (a + 0.5) * np.log(a + 8) + a + 8)


def _digamma_terms(_value: Array, a: Array) -> Array:
    """Those of the recurrence and of the asymptotic series."""
    return np.asarray(np.abs(np.log(a)) + 1 / a + 1)


@dataclass(frozen=True)
class OfPositive:
    """A function whose kernels add terms that are larger than the result; known above zero alone.

    Attributes:
        name: of the word.
        ball: one Arb ball -> ball.
        slope: (low, high), both above zero -> the largest |f'| between.
        derivative: a -> f'(a); None where it is itself a derivative.
        terms: (|f(a)|, a) -> the size of the terms.
        accuracy: the largest error, in units of u times the terms.
        deviation: the number of roundings of the terms that a typical error is worth.
    """

    name: str
    ball: Callable[[Any], Any]
    slope: Callable[[Array, Array], Array]
    derivative: Callable[[Variable], Variable] | None
    terms: Callable[[Array, Array], Array]
    accuracy: float
    deviation: float

    def worst(self, format: Format, result: Values, a: Bounded) -> Errors:
        """R31: c·u·terms, E·max|f′|, and t; unbounded where the operand may not be above zero."""
        relative = self.accuracy * format.function_roundoff
        low, high = a.middle - a.errors * WIDENING, a.middle + a.errors * WIDENING
        safe = np.where(low > 0, low, 1.0)
        local = relative * self.terms(result.size, np.where(low > 0, a.middle, 1.0)) + format.underflow
        if a.error is not None:
            local = local + (1 + self.accuracy * relative) * a.error * self.slope(safe, np.where(low > 0, high, 1.0))
        return np.where(low > 0, local, np.inf)

    def variance(self, format: Format, result: Values, a: Spread) -> Variances:
        """(f′s)² and (0.6n·u)² of the terms."""
        inside = np.where(a.middle > 0, a.middle, 1.0)
        local = rounding_variance(format, self.terms(result.size, inside), self.deviation)
        if a.variance is not None:
            local = local + np.square(self.slope(inside, inside)) * a.variance
        return np.where(a.middle > 0, local, np.inf)

    def operation(self) -> Operation:
        """The row of the table."""

        def gradients(g: Variable, _v: Variable, a: Variable) -> tuple[Variable | None]:
            return (None if self.derivative is None else g * self.derivative(a),)

        value = value_of(self.ball, np.nan, np.nan)
        return Operation(self.name, value, gradients, self.worst, self.variance, ball=np.frompyfunc(self.ball, 1, 1))


TETRAGAMMA = OfPositive(
    "tetragamma",
    _tetragamma_ball,
    lambda low, _high: 6 / low**4 + 6 / low**3,  # |ψ‴| is below 2/a³ + 6/a⁴ and more
    None,
    lambda value, _a: value,
    accuracy=48,  # as trigamma, whose ζ(2, a) and Γ(2) become ζ(3, a) and Γ(3)
    deviation=2,
).operation()
TRIGAMMA = OfPositive(
    "trigamma",
    _trigamma_ball,
    lambda low, _high: 2 / low**3 + 2 / low**2,  # |ψ″| is below 1/a² + 2/a³ and more
    lambda a: apply(TETRAGAMMA, a),
    lambda value, _a: value,
    accuracy=48,  # JAX's is Γ(2)·ζ(2, a), with Γ(2) from its lgamma, 35 u off; others at most 8.1, TensorFlow
    deviation=2,
).operation()
DIGAMMA = OfPositive(
    "digamma",
    lambda a: a.digamma(),
    lambda low, _high: _TRIGAMMA(low),
    lambda a: apply(TRIGAMMA, a),
    _digamma_terms,
    accuracy=12,  # worst measured 8.8, XLA in float32
    deviation=2,
).operation()
LGAMMA = OfPositive(
    "lgamma",
    _lgamma_ball,
    lambda low, high: np.maximum(np.abs(_DIGAMMA(low)), np.abs(_DIGAMMA(high))),
    lambda a: apply(DIGAMMA, a),
    _lgamma_terms,
    accuracy=4,  # worst measured 2.8, XLA near 2
    deviation=0.5,
).operation()


@rule(worst="4 u of |v| + (a + ½)log(a + 8) + a + 8, above zero", typical="0.5 of these")
def lgamma(a: Operand) -> Variable:
    """log|Γ(a)|."""
    return apply(LGAMMA, a)


@rule(worst="12 u of |log a| + 1/a + 1, above zero", typical="2 of these")
def digamma(a: Operand) -> Variable:
    """The derivative of lgamma."""
    return apply(DIGAMMA, a)


register(
    Smooth(
        "erfc",
        value_of(lambda a: a.erfc(), 0.0, 2.0, by_series=True),
        lambda a: a.erfc(),
        lambda low, high: ERF_SLOPE.value(distance_from_zero(low, high)),
        lambda a, _v: -apply(ERF_DERIVATIVE, a),
        accuracy=12,  # worst measured 7.7 near 0.8, SciPy; CUDA: 4 ulp
        deviation=3,
        floors=True,
        growth=lambda _low, high: np.square(np.maximum(high, 0.0)),  # exp(−a²), whose operand is rounded
        grows="max(a, 0)²",
    )
)
