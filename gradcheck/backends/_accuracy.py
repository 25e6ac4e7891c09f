"""How accurate an engine's functions are: for engines that compute with less precision than their dtype has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Function = Callable[..., Any]
Measure = Callable[[Function, Sequence[float]], "tuple[Sequence[float], Sequence[float]]"]
"""(a function of a vector, points) -> its values and its derivatives there, computed by the engine in float64."""

OF_POSITIVE = ("log", "log1p", "log2", "log10", "sqrt", "rsqrt")
POINTS = (-2.3, -0.9, 1e-3, 0.7, 1.9, 3.1)


def _sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def _softplus(a: float) -> float:
    return math.log1p(math.exp(a))


def _bell(a: float) -> float:
    return _sigmoid(a) * _sigmoid(-a)


def _silu_slope(a: float) -> float:
    return _sigmoid(a) * (1 + a * _sigmoid(-a))


def _distribution(a: float) -> float:
    return math.erfc(-a / math.sqrt(2)) / 2


def _gelu_slope(a: float) -> float:
    return _distribution(a) + a * math.exp(-a * a / 2) / math.sqrt(2 * math.pi)


TRUTH: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "exp": (math.exp, math.exp),
    "log": (math.log, lambda a: 1 / a),
    "log1p": (math.log1p, lambda a: 1 / (1 + a)),
    "expm1": (math.expm1, math.exp),
    "sqrt": (math.sqrt, lambda a: 0.5 / math.sqrt(a)),
    "tanh": (math.tanh, lambda a: 1 / math.cosh(a) ** 2),
    "sin": (math.sin, math.cos),
    "cos": (math.cos, lambda a: -math.sin(a)),
    "sigmoid": (_sigmoid, _bell),
    "softplus": (_softplus, _sigmoid),
    "exp2": (lambda a: 2.0**a, lambda a: 2.0**a * math.log(2)),
    "log2": (math.log2, lambda a: 1 / (a * math.log(2))),
    "log10": (math.log10, lambda a: 1 / (a * math.log(10))),
    "tan": (math.tan, lambda a: 1 + math.tan(a) ** 2),
    "sinh": (math.sinh, math.cosh),
    "cosh": (math.cosh, math.sinh),
    "atan": (math.atan, lambda a: 1 / (1 + a * a)),
    "asinh": (math.asinh, lambda a: 1 / math.sqrt(1 + a * a)),
    "asin": (math.asin, lambda a: 1 / math.sqrt(1 - a * a)),
    "acos": (math.acos, lambda a: -1 / math.sqrt(1 - a * a)),
    "atanh": (math.atanh, lambda a: 1 / (1 - a * a)),
    "acosh": (math.acosh, lambda a: 1 / math.sqrt(a * a - 1)),
    "log_sigmoid": (lambda a: -_softplus(-a), lambda a: _sigmoid(-a)),
    "elu": (lambda a: a if a > 0 else math.expm1(a), lambda a: math.exp(min(a, 0.0))),
    "rsqrt": (lambda a: 1 / math.sqrt(a), lambda a: -0.5 / (a * math.sqrt(a))),
    "erf": (math.erf, lambda a: 2 / math.sqrt(math.pi) * math.exp(-a * a)),
    "silu": (lambda a: a * _sigmoid(a), _silu_slope),
    "gelu": (lambda a: a * _distribution(a), _gelu_slope),
    "softmax": (_sigmoid, _bell),
    "log_softmax": (lambda a: -_softplus(-a), lambda a: _sigmoid(-a)),
    "logsumexp": (_softplus, _sigmoid),
    "logaddexp": (_softplus, _sigmoid),
    "conv": (lambda a: a / 3, lambda _a: 1 / 3),
}
"""Each function and its derivative, to some roundings of float64; softmax and the like take rows (a, 0)."""


def complaints(functions: Mapping[str, Function], rows: Function, measure: Measure, limit: float) -> dict[str, str]:
    """The errors of functions or their derivatives that exceed a relative error.

    Args:
        functions: the vocabulary in the engine's functions.
        rows: a vector -> the matrix of its entries, each beside a zero.
        measure: see the type.
        limit: the relative error.

    Returns:
        name -> "off by 6.8e-08 at 0.7".
    """
    tried = {
        **functions,
        "softmax": lambda a: functions["softmax"](rows(a), axis=1)[:, 0],
        "log_softmax": lambda a: functions["log_softmax"](rows(a), axis=1)[:, 0],
        "logsumexp": lambda a: functions["logsumexp"](rows(a), axis=1),
        "logaddexp": lambda a: functions["logaddexp"](a, a * 0.0),
        "conv": lambda a: functions["conv"](rows(a)[None, None], rows(a)[None, None, :1, :1] * 0 + 1 / 3)[0, 0, :, 0],
    }
    found = {name: _complaint(name, tried[name], measure, limit) for name in TRUTH if name in functions}
    return {name: error for name, error in found.items() if error is not None}


def inside(name: str, point: float) -> bool:
    """Whether a function has a value at a point."""
    if name in ("asin", "acos", "atanh"):
        return abs(point) < 1
    return point > {"acosh": 1.0}.get(name, 0.0) or name not in (*OF_POSITIVE, "acosh")


def _complaint(name: str, function: Function, measure: Measure, limit: float) -> str | None:
    points = [point for point in POINTS if inside(name, point)]
    for kind, results, true in zip(("", "its derivative "), measure(function, points), TRUTH[name]):
        errors = [abs(result / true(point) - 1) for result, point in zip(results, points)]
        if not max(errors) <= limit:
            return f"{kind}off by {max(errors):.1e} at {points[errors.index(max(errors))]}"
    return None
