"""Powers aᵖ of a number p, which stays exact: the user wrote p, and p − 1 need not be a number of any format.

An engine rounds both to its dtype. With p̂ = p + Δ it computes a^p̂ = aᵖ·e^(Δ log a), so that aᵖ has a relative error
of up to e^(|Δ|·|log a|) − 1, for any accuracy of its function (docs/math.md, R1). Our own arithmetics round p too.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import Operand, Operation, Variable, apply, rounding_variance
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances
from gradcheck.oracle.operations.triples import product_of_three

DOUBLE = 2.0**-53
"""The additional error of an exponent that is rounded to a Python number, and then to an engine's dtype."""


@dataclass(frozen=True)
class Power:
    """The power with the exponent p itself, or with p − 1 in a derivative.

    Attributes:
        exact: the exponent.
        accuracy: the largest error of a correct function, in units of u.
        written: p, if the exponent was computed from it.
    """

    exact: Fraction
    accuracy: float
    written: Fraction | None = None

    @cached_property
    def exponent(self) -> float:
        """The exponent in float64."""
        return float(self.exact)

    @cached_property
    def rest(self) -> float:
        """The part of it that float64 cannot hold."""
        return float(self.exact - Fraction(self.exponent))

    def slack(self, format: Format) -> float:
        """|Δ|: the largest distance of an engine's exponent from the exact one.

        p̂ is p rounded, off by u·|p|. p − 1 is fl(p̂ − 1), off by u·|p| + u·(|p−1| + u·|p|), or p − 1 in Python's
        float64 and then rounded. Rounding is monotone, so the exponent stays on its side of 0 and of 1.
        """
        unit = format.roundoff if format.bits >= 53 else format.roundoff + DOUBLE
        inexact = not format.holds(self.exact)
        if self.written is None:
            return unit * abs(self.exponent) if inexact else 0.0
        rounded = 0.0 if format.holds(self.written) else unit * abs(float(self.written))
        return rounded + (unit * (abs(self.exponent) + rounded) if inexact or rounded else 0.0)

    def value(self, a: Array) -> Array:
        """The power in the dtype of a."""
        exponent = a.dtype.type(self.exponent) + a.dtype.type(self.rest)
        return np.asarray(np.power(a, exponent))

    def ball(self, a: Any) -> Any:
        """The same of one Arb ball, with the exact exponent."""
        from flint import arb, fmpq

        return a ** arb(fmpq(self.exact.numerator, self.exact.denominator))

    def slope(self, near: Array, far: Array, slack: float = 0.0) -> Array:
        """The largest |q|·|t|^(q−1) for near ≤ |t| ≤ far and exponents q within ``slack``, none on 1's other side."""
        at = far if self.exact >= 1 else near
        steepest = (abs(self.exponent) + slack) * np.power(at, self.exponent - 1)
        return np.asarray(steepest * np.exp(slack * _logarithms(at)) if slack else steepest)

    def rounded_exponent(self, format: Format, result: Values, a: Bounded) -> Errors:
        """|aᵖ|·(e^(|Δ|·|log a|) − 1); unknown where a may be negative, since its power depends on p's last digit."""
        slack = self.slack(format)
        if not slack:
            return None
        change = result.size * np.expm1(slack * _logarithms(a.native))
        return np.where(a.middle - a.errors * WIDENING < 0, np.inf, change)

    def worst(self, format: Format, result: Values, a: Bounded) -> Errors:
        """(1 + cu)·(Ea·max|f'| + what rounding the exponent does) + c·u·|f| + floor."""
        if self.exact == 0:
            return None
        relative = self.accuracy * format.function_roundoff
        local = relative * result.size + format.underflow + (format.normal if self.exact < 0 else 0.0)
        changed = self.rounded_exponent(format, result, a)
        if changed is not None:
            local = local + (1 + relative) * changed
        if a.error is None:
            return local
        near, far = _span(a.middle, a.error * WIDENING)
        return local + (1 + relative) * (a.error * self.slope(near, far, self.slack(format)))

    def variance(self, format: Format, result: Values, a: Spread) -> Variances:
        """(f'(a)·s)² + (0.6·n·u·f)² + λ²; the effect of rounding the exponent is coherent, and not a part of it."""
        if self.exact == 0:
            return None
        local = rounding_variance(format, result.size, 2 + abs(self.exponent) / 2)
        return local if a.variance is None else local + np.square(self.slope(a.size, a.size)) * a.variance

    def coherent(self, format: Format, result: Values, a: Spread) -> Errors:
        """The effect of rounding the exponent, the same in all entries (W5)."""
        return self.rounded_exponent(format, result, a.at_doubt)

    def gradients(self, g: Variable, _v: Variable, a: Variable) -> tuple[Variable | None]:
        """g·p·a^(p−1) in any order; JAX and PyTorch begin with p·a^(p−1), TensorFlow and autograd with g·p."""
        if self.exact == 0:
            return (None,)
        below = self.exact - 1
        steps = a if below == 1 else apply(_power(below, self.exact), a)
        return (product_of_three(g, self.exponent, steps),)

    def operation(self) -> Operation:
        """The row of the table."""
        return Operation(
            "power",
            self.value,
            self.gradients,
            self.worst,
            self.variance,
            ball=np.frompyfunc(self.ball, 1, 1),
            coherent=self.coherent,
        )


def _logarithms(a: Array) -> Array:
    """|log |a||; where a is zero the exponent has no effect, since all exponents have one sign."""
    size = np.abs(a)
    return np.asarray(np.abs(np.log(np.where(size > 0, size, 1))), dtype=np.float64)


def _span(a: Array, reach: Array) -> tuple[Array, Array]:
    """The smallest and the largest magnitude within reach."""
    size = np.abs(a)
    return np.maximum(size - reach, 0.0), size + reach


def _power(exact: Fraction, written: Fraction | None = None) -> Operation:
    """aᵖ by a library function of at most 4 ulp (CUDA's powf), or by p multiplications and a division.

    A derivative may divide p·aᵖ by a instead, which is one rounding more.
    """
    magnitude = abs(float(exact)) if written is None else abs(float(written)) + 1
    return Power(exact, max(8.0, magnitude), written).operation()


@rule(worst="max(8, |p|) u + |p log a| u, for p < 0 + λ", typical="2 + |p|/2", name="pow")
def power(a: Operand, exponent: float) -> Variable:
    """The power aᵖ of a number p, entry by entry."""
    if exponent == 1 and isinstance(a, Variable):
        return a
    return apply(_power(Fraction(exponent)), a)
