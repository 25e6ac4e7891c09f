"""Further smooth functions of one argument, in rows like those of `smooth` (docs/math.md, R12 and R15).

Sources: the tables of CUDA and of glibc; measured against Arb balls on 60,000 numbers in float32 and float64, in
PyTorch, XLA, TensorFlow, MXNet, MLX and NumPy. XLA computes sinh, cosh and exp2 by exp of a rounded operand.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradcheck.oracle.operations.arithmetic import any_of
from gradcheck.oracle.operations.base import Variable, constant, operated
from gradcheck.oracle.operations.smooth import Smooth, distance_from_zero, reciprocal_above_zero, register
from gradcheck.oracle.operations.terms import Array


def _farthest(low: Array, high: Array) -> Array:
    return np.maximum(np.abs(low), np.abs(high))


def _tan_slope(low: Array, high: Array) -> Array:
    """1 + tan² at the steeper end; tan grows between poles, so that it falls where there is one between.

    float64 has the ends to half a spacing, and no pole: a pole beside one lies between its neighbours.
    """
    ends = np.tan(np.nextafter(low, -np.inf)), np.tan(np.nextafter(high, np.inf))
    crossed = (high - low >= math.pi) | (ends[1] < ends[0])
    return np.where(crossed, np.inf, 1 + np.square(_farthest(*ends)))


def _logarithm_of(base: float, a: Variable) -> Variable:
    """Log of a number, which an engine rounds, or computes."""
    return operated("log", a.recorder.append(constant(base), ()))


def _tan_derivative(a: Variable, _v: Variable) -> Variable:
    """1 + tan²a, or 1/cos²a as TensorFlow and autograd have it."""
    return any_of(
        (
            lambda a: 1.0 + operated("square", operated("tan", a)),
            lambda a: 1.0 / operated("square", operated("cos", a)),
        ),
        a,
    )


def _inverse_root(a: Variable) -> Variable:
    """1/√(1 − a²)."""
    return operated("rsqrt", 1.0 - operated("square", a))


def _asinh_derivative(a: Variable, _v: Variable) -> Variable:
    """1/√(1 + a²), or 1/cosh v as TensorFlow has it."""
    return any_of(
        (
            lambda a: operated("rsqrt", operated("square", a) + 1.0),
            lambda a: 1.0 / operated("cosh", operated("asinh", a)),
        ),
        a,
    )


def _acosh_derivative(a: Variable, _v: Variable) -> Variable:
    """1/√(a² − 1), or 1/sinh v as TensorFlow has it."""
    return any_of(
        (
            lambda a: operated("rsqrt", operated("square", a) - 1.0),
            lambda a: 1.0 / operated("sinh", operated("acosh", a)),
        ),
        a,
    )


def _atanh_derivative(a: Variable, _v: Variable) -> Variable:
    """1/(1 − a²), or 1/((1 − a)(1 + a)) as JAX has it, whose own derivative is a difference."""
    return any_of((lambda a: 1.0 / (1.0 - operated("square", a)), lambda a: 1.0 / ((1.0 - a) * (1.0 + a))), a)


def _log_ball(base: int) -> Any:
    def ball(a: Any) -> Any:
        from flint import arb

        return a.log() / arb(base).log()

    return ball


def _exp2_ball(a: Any) -> Any:
    from flint import arb

    return arb(2) ** a


ELEMENTARY = [
    Smooth(
        "exp2",
        np.exp2,
        _exp2_ball,
        lambda _low, high: math.log(2) * np.exp2(high),
        lambda a, v: v * _logarithm_of(2.0, a),
        accuracy=8,  # 2ᵃ by a power
        deviation=1.5,
        floors=True,
        growth=lambda low, high: 1.4 * _farthest(low, high),  # exp(a·log 2), two roundings, 2·0.69
        grows="1.4|a|",
    ),
    Smooth(
        "log2",
        np.log2,
        _log_ball(2),
        lambda low, _high: reciprocal_above_zero(low) / math.log(2),
        lambda a, _v: (1.0 / a) / _logarithm_of(2.0, a),
        accuracy=12,  # log's 8, log 2, and a quotient
        deviation=2,
    ),
    Smooth(
        "log10",
        np.log10,
        _log_ball(10),
        lambda low, _high: reciprocal_above_zero(low) / math.log(10),
        lambda a, _v: (1.0 / a) / _logarithm_of(10.0, a),
        accuracy=12,
        deviation=2,
    ),
    Smooth("tan", np.tan, lambda a: a.tan(), _tan_slope, _tan_derivative, 8, 1.5),  # CUDA: 4 ulp
    Smooth(
        "sinh",
        np.sinh,
        lambda a: a.sinh(),
        lambda low, high: np.cosh(_farthest(low, high)),
        lambda a, _v: operated("cosh", a),
        accuracy=8,  # CUDA: 3 ulp
        deviation=2,
        growth=_farthest,  # XLA: exp(a − log 2), whose operand is rounded
        grows="|a|",
        peak=lambda a: np.exp(np.abs(a)),  # PyTorch's overflows there in float32
    ),
    Smooth(
        "cosh",
        np.cosh,
        lambda a: a.cosh(),
        lambda low, high: np.sinh(_farthest(low, high)),
        lambda a, _v: operated("sinh", a),
        accuracy=8,
        deviation=2,
        growth=_farthest,
        grows="|a|",
        peak=lambda a: np.exp(np.abs(a)),
    ),
    Smooth(
        "atan",
        np.arctan,
        lambda a: a.atan(),
        lambda low, high: 1 / (1 + np.square(distance_from_zero(low, high))),
        lambda a, _v: 1.0 / (1.0 + operated("square", a)),
        accuracy=6,  # worst measured 4.3, TensorFlow
        deviation=1.5,
    ),
    Smooth(
        "asin",
        np.arcsin,
        lambda a: a.asin(),
        lambda low, high: np.sqrt(reciprocal_above_zero(1 - np.square(_farthest(low, high)))),
        lambda a, _v: _inverse_root(a),
        accuracy=8,  # worst measured 6.4, TensorFlow in float32
        deviation=1.5,
    ),
    Smooth(
        "acos",
        np.arccos,
        lambda a: a.acos(),
        lambda low, high: np.sqrt(reciprocal_above_zero(1 - np.square(_farthest(low, high)))),
        lambda a, _v: -_inverse_root(a),
        accuracy=8,  # worst measured 4.9, TensorFlow in float32
        deviation=1.5,
    ),
    Smooth(
        "asinh",
        np.arcsinh,
        lambda a: a.asinh(),
        lambda low, high: 1 / np.sqrt(1 + np.square(distance_from_zero(low, high))),
        _asinh_derivative,
        accuracy=8,  # CUDA: 3 ulp; worst measured 3.7, XLA
        deviation=2,
    ),
    Smooth(
        "acosh",
        np.arccosh,
        lambda a: a.acosh(),
        lambda low, _high: np.sqrt(reciprocal_above_zero(np.maximum(low, 0) ** 2 - 1)),
        _acosh_derivative,
        accuracy=8,  # CUDA: 4 ulp; worst measured 3.7, XLA
        deviation=2,
    ),
    Smooth(
        "atanh",
        np.arctanh,
        lambda a: a.atanh(),
        lambda low, high: reciprocal_above_zero(1 - np.square(_farthest(low, high))),
        _atanh_derivative,
        accuracy=8,  # CUDA: 3 ulp; worst measured 2.8, XLA in float32
        deviation=2,
    ),
]

for _smooth in ELEMENTARY:
    register(_smooth)
