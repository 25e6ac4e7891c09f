"""Smooth functions of one argument, each declared once: value, ball, slope, accuracy, derivative.

``accuracy`` is the largest error of a correct library, in units of u, and ``deviation`` the number of roundings that
its typical error is worth. Sources: sqrt is correctly rounded in IEEE 754 and 1 ulp off in some accelerators. NumPy's
own validation sets for its float32 kernels allow 3 ulp for exp and expm1, 4 for log, 2 for log1p, sin and cos;
the tables of CUDA, Sleef ("u10") and glibc stay within 2 ulp (glibc's long double: 3). One ulp is at most 2u.
The rules are R12 and R13 of docs/math.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.arithmetic import ACCUMULATE, any_of
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    TYPICAL,
    Operand,
    Operation,
    Variable,
    apply,
    operated,
    rounding_variance,
    square,
)
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances


@dataclass(frozen=True, slots=True)
class Smooth:
    """A smooth function f.

    Attributes:
        name: as the vocabulary spells it.
        value: array -> array, accurate to twice ``accuracy`` in NumPy's float64 and longdouble.
        ball: one Arb ball -> ball.
        slope: (low, high) -> the largest |f'| between; inf where f is undefined there.
        derivative: (a, f(a)), variables -> f'(a).
        accuracy: see the module.
        deviation: see the module.
        weighted: the gradient in other forms of the product with the derivative: (gradient, a) -> gradient.
        floors: results below λ may become zero, even if the format keeps subnormal numbers.
        growth: (low, high) -> how many u more between, at most, where kernels take exp of an operand that they round.
        grows: the same in words.
        peak: a -> the largest number on the way to f(a), where that is not f(a).
    """

    name: str
    value: Callable[[Array], Array]
    ball: Callable[[Any], Any]
    slope: Callable[[Array, Array], Array]
    derivative: Callable[[Variable, Variable], Operand]
    accuracy: float
    deviation: float
    weighted: Operation | None = None
    floors: bool = False
    growth: Callable[[Array, Array], Array] | None = None
    grows: str = ""
    peak: Callable[[Array], Array] | None = None

    def worst(self, format: Format, result: Values, a: Bounded) -> Errors:
        """R12: Ea·max|f'| over [a−Ea, a+Ea] + c·u·(|f| + that) + floor."""
        relative: Any = self.accuracy * format.function_roundoff
        if self.growth is not None:
            reach = a.errors * WIDENING
            relative = relative + self._grown(format, self.growth(a.middle - reach, a.middle + reach))
        local = relative * result.size + format.underflow + (format.normal if self.floors else 0.0)
        if a.error is None:
            return np.asarray(local)
        reach = a.error * WIDENING
        return np.asarray(local + (1 + relative) * (a.error * self.slope(a.middle - reach, a.middle + reach)))

    def variance(self, format: Format, result: Values, a: Spread) -> Variances:
        """(s·max|f'|)² + (0.6·n·u·f)² + λ², the maximum over [a − 8s, a + 8s] (docs/math.md, W19)."""
        local = rounding_variance(format, result.size, self.deviation)
        if self.growth is not None:
            local = local + rounding_variance(format, self.growth(a.middle, a.middle) * result.size)
        if a.variance is None:
            return local
        reach = TYPICAL * np.sqrt(a.variance)
        return np.asarray(local + np.square(self.slope(a.middle - reach, a.middle + reach)) * a.variance)

    def _grown(self, format: Format, units: Array) -> Array:
        """e^(nu) − 1 of a rounded exponent, finite where the function itself is zero or infinite."""
        return np.asarray(np.expm1(np.minimum(units * format.roundoff, 50.0)))

    def operation(self) -> Operation:
        """The row of the table."""

        def gradients(g: Variable, v: Variable, a: Variable) -> tuple[Variable]:
            weighted = g if self.weighted is None else apply(self.weighted, g, a)
            return (weighted * self.derivative(a, v),)

        return Operation(
            self.name,
            self.value,
            gradients,
            self.worst,
            self.variance,
            ball=np.frompyfunc(self.ball, 1, 1),
            partial_sums=self.peak and self._sizes,
        )

    def _sizes(self, _format: Format, a: Bounded) -> Array:
        """The largest number on the way, of any computed operand."""
        assert self.peak is not None
        return np.maximum(self.peak(a.middle + a.errors), self.peak(a.middle - a.errors))


def distance_from_zero(low: Array, high: Array) -> Array:
    """The smallest magnitude between two numbers."""
    return np.maximum(np.maximum(low, -high), 0)


def _sigmoid(y: Array) -> Array:
    """1/(1+exp(−y)) without overflow."""
    small = np.exp(-np.abs(y))
    return np.asarray(np.where(y < 0, small, 1) / (1 + small))


def _sigmoid_ball(y: Any) -> Any:
    small = (-abs(y)).exp()
    return (small if y < 0 else 1) / (1 + small) if y < 0 or y >= 0 else 1 / (1 + (-y).exp())


def _sigmoid_slope(low: Array, high: Array) -> Array:
    small = np.exp(-distance_from_zero(low, high))
    return np.asarray(small / np.square(1 + small))


def _softplus(y: Array) -> Array:
    """log(1+exp(y)) without overflow."""
    return np.asarray(np.log1p(np.exp(-np.abs(y))) + np.maximum(y, 0))


def _softplus_ball(y: Any) -> Any:
    return y + (-y).exp().log1p() if y > 0 else y.exp().log1p()


def _tanh_slope(low: Array, high: Array) -> Array:
    small = np.exp(-2 * distance_from_zero(low, high))
    return np.asarray(4 * small / np.square(1 + small))


def reciprocal_above_zero(low: Array) -> Array:
    """1/low, and infinity where low is not above zero."""
    return np.where(low > 0, 1 / low, np.inf)


def _sigmoid_derivative_worst(format: Format, result: Values, s: Bounded) -> Errors:
    """R13: Es(|1−2s|+Es) + u(s+Es)² + θ(4, u)(g+…) + 2t.

    For ŝ(1−ŝ) − s(1−s) = (ŝ−s)(1−s−ŝ), and s − s·s, whose rounding is relative to s, is as legitimate a form as s(1−s).
    """
    moved: Array = s.errors * (np.abs(1 - 2 * s.middle) + s.errors)
    product = format.sum_error(4)
    return (1 + product) * moved + format.roundoff * square(s.reach) + product * result.size + 2 * format.underflow


def _tanh_derivative_worst(format: Format, result: Values, t: Bounded) -> Errors:
    """R13: Et(2|t|+Et) + u(t+Et)² + θ(4, u)(d+…) + 2t, by the same argument for 1 − t·t and (1−t)(1+t)."""
    moved: Array = t.errors * (2 * t.size + t.errors)
    product = format.sum_error(4)
    return (1 + product) * moved + format.roundoff * square(t.reach) + product * result.size + 2 * format.underflow


def _derivative_variance(slope: Callable[[Array], Array]) -> Callable[..., Errors]:
    """((slope² + sv²)·sv² + (0.6u)²(v⁴ + 4g²) + λ² for a derivative g of slope ``slope`` in the function's result v."""

    def variance(format: Format, result: Values, v: Spread) -> Variances:
        local = rounding_variance(format, result.size, 2.0) + np.square(
            ROUNDING_DEVIATION * format.roundoff * square(v.size)
        )
        return local if v.variance is None else local + (np.square(slope(v.middle)) + v.variance) * v.variance

    return variance


SIGMOID_DERIVATIVE = Operation(
    "sigmoid derivative",
    lambda s: s * (1 - s),
    lambda g, _v, s: (g * apply(ACCUMULATE, 1.0, -s, -s),),
    _sigmoid_derivative_worst,
    _derivative_variance(lambda s: 1 - 2 * s),
)
"""σ' = s(1−s) as a function of s = σ(y), which is how engines compute it."""

TANH_DERIVATIVE = Operation(
    "tanh derivative",
    lambda t: 1 - t * t,
    lambda g, _v, t: (g * apply(ACCUMULATE, 1.0, -t, -1.0, -t),),  # JAX has (1 − t)(1 + t)
    _tanh_derivative_worst,
    _derivative_variance(lambda t: -2 * t),
)
"""tanh' = 1 − t² as a function of t = tanh(y)."""

SOFTPLUS_DERIVATIVE = Smooth(
    "softplus derivative",
    _sigmoid,
    _sigmoid_ball,
    _sigmoid_slope,
    lambda _a, v: apply(SIGMOID_DERIVATIVE, v),
    accuracy=22,  # −expm1(−softplus(y)), MXNet's form of σ(y): softplus's 14 and expm1's 6; torch has e/(e+1), 8
    deviation=5,
    floors=True,
).operation()
"""softplus' = σ(y), in the forms that engines have for it."""


def _softplus_product_sizes(format: Format, g: Bounded, a: Bounded) -> Array:
    """|g|·eᵃ where eᵃ may be finite, and |g|."""
    met = np.exp(a.middle - a.errors) <= format.largest
    exponential = np.minimum(np.exp(a.middle + a.errors), format.largest)
    return np.asarray(g.reach * np.where(met, np.maximum(exponential, 1.0), 1.0))


def _softplus_product_worst(_format: Format, _result: Values, g: Bounded, _a: Bounded) -> Errors:
    """That of g, including zeros, because an exact operand gets no check for overflow."""
    return g.errors


def _softplus_product_variance(_format: Format, _result: Values, g: Spread, _a: Spread) -> Variances:
    return g.variance


SOFTPLUS_PRODUCT = Operation(
    "softplus product",
    lambda g, _a: g,
    lambda moved, _v, _g, _a: (moved, None),
    _softplus_product_worst,
    _softplus_product_variance,
    partial_sums=_softplus_product_sizes,
)
"""The g in (g·eᵃ)/(eᵃ + 1), PyTorch's form of the gradient of softplus: it may overflow (docs/math.md, R13)."""


def _rsqrt_derivative(a: Variable, _v: Variable) -> Variable:
    """−½v³ as PyTorch and TensorFlow have it, or −½v/a as JAX does."""

    def cube(a: Variable) -> Variable:
        v = operated("rsqrt", a)
        return (-0.5 * v) * (v * v)

    return any_of((cube, lambda a: (-0.5 * operated("rsqrt", a)) / a), a)


SMOOTH = [
    Smooth(
        "exp",
        np.exp,
        lambda y: y.exp(),
        lambda _low, high: np.exp(high),
        lambda _a, v: v,
        accuracy=6,
        deviation=1.5,
        floors=True,  # kernels that write an integer into the exponent's bits have no subnormal results (oneDNN, MLX)
    ),
    Smooth(
        "log",
        np.log,
        lambda y: y.log(),
        lambda low, _high: reciprocal_above_zero(low),
        lambda a, _v: 1 / a,
        8,
        1.5,
    ),
    Smooth(
        "sqrt",
        np.sqrt,
        lambda y: y.sqrt(),
        lambda low, _high: 0.5 * reciprocal_above_zero(np.sqrt(low)),
        lambda _a, v: 0.5 / v,
        2,
        1,
    ),
    Smooth(
        "rsqrt",
        lambda y: 1 / np.sqrt(y),
        lambda y: y.rsqrt(),
        lambda low, _high: 0.5 * reciprocal_above_zero(low * np.sqrt(low)),
        _rsqrt_derivative,
        accuracy=6,  # worst measured 3.96, TensorFlow in float32, which refines an approximation; CUDA's table: 2 ulp
        deviation=1.5,
    ),
    Smooth(
        "tanh",
        np.tanh,
        lambda y: y.tanh(),
        _tanh_slope,
        lambda _a, v: apply(TANH_DERIVATIVE, v),
        accuracy=12,  # worst measured 9.3, Eigen's quotient of polynomials at 14 in float64, TensorFlow's and XLA's
        deviation=2,
    ),
    Smooth(
        "sigmoid",
        _sigmoid,
        _sigmoid_ball,
        _sigmoid_slope,
        lambda _a, v: apply(SIGMOID_DERIVATIVE, v),
        accuracy=8,  # worst measured 4.19, NumPy in float32; 1/(1+exp(−y)) has exp's 6 and two roundings
        deviation=3,
        floors=True,  # 1/(1+exp(−y)) is 0 once exp overflows
    ),
    Smooth(
        "log1p",
        np.log1p,
        lambda y: y.log1p(),
        lambda low, _high: reciprocal_above_zero(1 + low),
        lambda a, _v: 1 / (1 + a),
        6,
        1.5,
    ),
    Smooth(
        "expm1",
        np.expm1,
        lambda y: y.expm1(),
        lambda _low, high: np.exp(high),
        lambda a, _v: operated("exp", a),
        6,
        1.5,
    ),
    Smooth(
        "softplus",
        _softplus,
        _softplus_ball,
        lambda _low, high: _sigmoid(high),
        lambda a, _v: apply(SOFTPLUS_DERIVATIVE, a),
        weighted=SOFTPLUS_PRODUCT,
        accuracy=14,  # log1p(exp(y)) or log1p(exp(−|y|)) + max(y, 0): exp's 6, log1p's 6 and a sum
        deviation=3,
        floors=True,  # exp's subnormal results may be flushed in vectorised kernels
    ),
    Smooth(
        "sin",
        np.sin,
        lambda y: y.sin(),
        lambda _low, _high: np.ones(()),
        lambda a, _v: operated("cos", a),
        4,
        1.5,
    ),
    Smooth(
        "cos",
        np.cos,
        lambda y: y.cos(),
        lambda _low, _high: np.ones(()),
        lambda a, _v: -operated("sin", a),
        4,
        1.5,
    ),
]


def register(smooth: Smooth) -> None:
    """Enter a function as a word."""
    operation = smooth.operation()

    def function(a: Operand) -> Variable:
        return apply(operation, a)

    function.__name__ = smooth.name
    accuracy = f"({smooth.accuracy} + {smooth.grows})" if smooth.grows else str(smooth.accuracy)
    typical = f"√({smooth.deviation:g}² + ({smooth.grows})²)" if smooth.grows else str(smooth.deviation)
    rule(worst=f"{accuracy} u{' + λ' if smooth.floors else ''}", typical=typical)(function)


for _smooth in SMOOTH:
    register(_smooth)

ACCURACY = {smooth.name: smooth.accuracy for smooth in SMOOTH}
DEVIATION = {smooth.name: smooth.deviation for smooth in SMOOTH}
