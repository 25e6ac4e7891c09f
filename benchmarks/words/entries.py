"""Words that work entry by entry."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb

from benchmarks.words.declaration import (
    BOOLEANS,
    FLOATS,
    INTEGERS,
    NUMBERS,
    Array,
    Tie,
    Word,
    Words,
    chosen,
    greater,
    has_axis,
    is_exact,
    nothing,
    numbers,
)

EXPONENTS = (2, 3, -1, 0.5, -0.5, 0.1, 0.3, -0.7, 1.7, 2.4)
POSITIVE, ABOVE_ONE, BELOW_ONE = "√(·² + ¼)", "√(·² + 3/2)", "0.9 tanh"


def _function(floats: Callable[[Array], Array], balls: str | Callable[[Any], Any]) -> Callable[[Array], Array]:
    """A function of floats, and the method, or a function, of Arb's balls."""
    exact = np.frompyfunc(balls if callable(balls) else lambda x: getattr(x, balls)(), 1, 1)
    return lambda a: np.asarray(exact(a) if is_exact(a) else floats(a))


def _scalar(function: Callable[[float], Any]) -> Callable[[Array], Array]:
    """A function of Python's floats on arrays, in float64 and rounded."""

    def guarded(x: float) -> float:
        try:
            return float(function(x))
        except (OverflowError, ValueError):  # from the standard library's `math`
            return math.nan

    return lambda a: np.asarray(np.frompyfunc(guarded, 1, 1)(a)).astype(a.dtype)


def _digamma(x: float) -> float:
    return float(arb(x).digamma())


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    **{name: _function(getattr(np, name), name) for name in ("exp", "expm1", "log", "log1p", "sqrt", "tanh", "sin",
                                                            "cos", "tan", "sinh", "cosh")},
    **{name: _function(getattr(np, f"arc{name[1:]}"), name) for name in ("asin", "acos", "atan", "asinh", "acosh",
                                                                        "atanh")},
    "erf": _function(_scalar(math.erf), "erf"),
    "erfc": _function(_scalar(math.erfc), "erfc"),
    "lgamma": _function(_scalar(math.lgamma), lambda x: x.lgamma() if x > 0 else abs(x.gamma()).log()),
    "digamma": _function(_scalar(_digamma), "digamma"),
    "sigmoid": lambda a: np.asarray(1 / (1 + np.exp(-a))),
}  # fmt: skip


def _entrywise(name: str, derivative: Callable[[Array, Array], Array], before: str | None = None) -> Word:
    """A smooth function: `derivative(a, value)`."""
    return _smooth(name, FUNCTIONS[name], derivative, before)


def _smooth(
    name: str,
    function: Callable[[Array], Array],
    derivative: Callable[[Array, Array], Array],
    before: str | None = None,
    options: str = "",
) -> Word:
    return Word(
        f"ops.{name}({{0}}{options})",
        lambda _n, a: np.asarray(function(a)),
        lambda _n, g, v, a: (g * derivative(a, v),),
        before=before,
    )


def _constant(like: Array, name: str) -> Array:
    """A constant in the arithmetic of an array."""
    balls = {"π": arb.pi(), "log 2": arb(2).log(), "log 10": arb(10).log()}
    floats = {"π": math.pi, "log 2": math.log(2), "log 10": math.log(10)}
    return np.asarray(balls[name], object) if is_exact(like) else np.asarray(floats[name], like.dtype)


def _bell(a: Array) -> Array:
    """The density of the normal distribution."""
    return np.asarray(np.exp(-a * a / 2) / np.sqrt(2 * _constant(a, "π")))


def _below(a: Array) -> Array:
    """The normal distribution."""
    return np.asarray(FUNCTIONS["erfc"](-a / np.sqrt(numbers(a, 2.0))) / 2)


def _inner(a: Array) -> Array:
    """What the approximate gelu has the tanh of."""
    return np.asarray(np.sqrt(2 / _constant(a, "π")) * (a + numbers(a, 0.044715) * a * a * a))


def _approximate(a: Array, _v: Array) -> Array:
    t = np.tanh(_inner(a))
    slope = np.sqrt(2 / _constant(a, "π")) * (1 + 3 * numbers(a, 0.044715) * a * a)
    return np.asarray((1 + t) / 2 + a / 2 * (1 - t * t) * slope)


def _softplus(a: Array) -> Array:
    return np.asarray(chosen(a, 0, a, nothing(a)) + np.log1p(np.exp(-np.abs(a))))


def _power(a: Array, p: float) -> Array:
    return np.asarray(a ** (p if not is_exact(a) else arb(p)))


def _power_gradient(g: Array, a: Array, p: float) -> Array:
    """In Arb p − 1 is as exact as p."""
    exact = p if not is_exact(a) else arb(p)
    return np.asarray(g * (exact * np.asarray(a ** (exact - 1))))


def _root(a: Array) -> Array:
    return np.asarray(np.sqrt(a * a + 0.25))


def _length(a: Array, b: Array) -> Array:
    """√(a² + b²).

    Raises:
        Tie: it is zero, where it has no gradient.
    """
    if is_exact(a) or is_exact(b):
        found = np.sqrt(a * a + b * b)
        if not np.all(found > 0):
            raise Tie
        return np.asarray(found)
    return np.asarray(np.hypot(a, b))


def _angle(a: Array, b: Array) -> Array:
    if is_exact(a) or is_exact(b):
        _length(a, b)
        return np.asarray(np.frompyfunc(arb.atan2, 2, 1)(a, b))
    return np.asarray(np.arctan2(a, b))


def _log_sum(a: Array, b: Array) -> Array:
    """log(eᵃ + eᵇ)."""
    return np.asarray(np.log(np.exp(a) + np.exp(b)) if is_exact(a) else np.logaddexp(a, b))


def _step(name: str) -> Word:
    """A function with a gradient of zero."""
    numpy = {"round": "rint"}.get(name, name)
    return Word(
        f"{{0}} * ops.{name}({{0}})",
        lambda _n, a: np.asarray(a * (_whole(name, a) if is_exact(a) else getattr(np, numpy)(a))),
        lambda _n, g, v, a: (g * (_whole(name, a) if is_exact(a) else getattr(np, numpy)(a)),),
    )


def _whole(name: str, a: Array) -> Array:
    """The same of balls.

    Raises:
        Tie: a ball may be on either side of a step.
    """

    def whole(x: arb) -> arb:
        found = {"sign": x.sgn, "floor": x.floor, "ceil": x.ceil, "round": (x + 0.5).floor}[name]()
        if not found.is_exact() or (name == "round" and found == x + 0.5):
            raise Tie
        return found

    return np.asarray(np.frompyfunc(whole, 1, 1)(a), object)


def _where_both(n: float, a: Array, b: Array, yes: Array, no: Array) -> Array:
    return np.where(greater(a, n) & greater(b, 0.5), yes, no)


def _some(n: float, a: Array) -> Array:
    return np.asarray(np.any(greater(a, n), axis=-1, keepdims=True))


OPERATORS: Words = {
    "+": Word("{0} + {1}", lambda _n, a, b: a + b, lambda _n, g, _v, a, b: (g, g)),
    "-": Word("{0} - {1}", lambda _n, a, b: a - b, lambda _n, g, _v, a, b: (g, -g)),
    "negative": Word("-{0}", lambda _n, a: -a, lambda _n, g, _v, a: (-g,)),
    "*": Word("{0} * {1}", lambda _n, a, b: a * b, lambda _n, g, _v, a, b: (g * b, g * a)),
    "/": Word("{0} / ({1} * {1} + 0.5)", lambda _n, a, b: a / (b * b + 0.5),
              lambda _n, g, v, a, b: (g / (b * b + 0.5), -2 * (g * b) * (v / (b * b + 0.5)))),
    "· number": Word("{0} * {n}", lambda n, a: a * n, lambda n, g, _v, a: (g * n,), NUMBERS),
    "+ number": Word("{0} + {n}", lambda n, a: a + n, lambda n, g, _v, a: (g,), NUMBERS),
    "**": Word("{0} ** {n}", lambda p, a: _power(a, p), lambda p, g, _v, a: (_power_gradient(g, a, p),),
               EXPONENTS, POSITIVE),
    "** array": Word("ops.sqrt({0} * {0} + 0.25) ** {1}", lambda _n, a, b: _root(a) ** b,
                     lambda _n, g, v, a, b: (g * (b * _root(a) ** (b - 1)) * (a / _root(a)),
                                             g * (v * np.log(_root(a))))),
    "stop_gradient": Word("{0} * ops.stop_gradient({0})", lambda _n, a: a * a, lambda _n, g, v, a: (g * a,)),
}  # fmt: skip

SMOOTH: Words = {
    POSITIVE: Word("ops.sqrt({0} * {0} + 0.25)", lambda _n, a: _root(a), lambda _n, g, v, a: (g * (a / v),)),
    ABOVE_ONE: Word("ops.sqrt({0} * {0} + 1.5)", lambda _n, a: np.sqrt(a * a + 1.5),
                    lambda _n, g, v, a: (g * (a / v),)),
    BELOW_ONE: Word("0.9 * ops.tanh({0})", lambda _n, a: 0.9 * np.tanh(a),
                    lambda _n, g, v, a: (0.9 * g * (1 - np.tanh(a) * np.tanh(a)),)),
    "exp": _entrywise("exp", lambda a, v: v),
    "exp2": _smooth("exp2", lambda a: np.exp(a * _constant(a, "log 2")) if is_exact(a) else np.exp2(a),
                    lambda a, v: v * _constant(a, "log 2")),
    # Far below zero engines lose the digits of v + 1: a finding of its own (tests/conformance/findings.py).
    "expm1": _entrywise("expm1", lambda a, v: v + 1, before="tanh"),
    "log": _entrywise("log", lambda a, v: 1 / a, before=POSITIVE),
    "log2": _smooth("log2", lambda a: np.log(a) / _constant(a, "log 2") if is_exact(a) else np.log2(a),
                    lambda a, v: 1 / (a * _constant(a, "log 2")), POSITIVE),
    "log10": _smooth("log10", lambda a: np.log(a) / _constant(a, "log 10") if is_exact(a) else np.log10(a),
                     lambda a, v: 1 / (a * _constant(a, "log 10")), POSITIVE),
    "log1p": _entrywise("log1p", lambda a, v: 1 / (1 + a), before=POSITIVE),
    "sqrt": _entrywise("sqrt", lambda a, v: 0.5 / v, before=POSITIVE),
    "rsqrt": _smooth("rsqrt", lambda a: 1 / np.sqrt(a), lambda a, v: -0.5 * (v / a), POSITIVE),
    "square": _smooth("square", lambda a: a * a, lambda a, v: 2 * a),
    "tanh": _entrywise("tanh", lambda a, v: 1 - v * v),
    "sin": _entrywise("sin", lambda a, v: np.cos(a)),
    "cos": _entrywise("cos", lambda a, v: -np.sin(a)),
    "tan": _entrywise("tan", lambda a, v: 1 + v * v),
    "sinh": _entrywise("sinh", lambda a, v: np.cosh(a)),
    "cosh": _entrywise("cosh", lambda a, v: np.sinh(a)),
    "asin": _entrywise("asin", lambda a, v: 1 / np.sqrt((1 - a) * (1 + a)), BELOW_ONE),
    "acos": _entrywise("acos", lambda a, v: -1 / np.sqrt((1 - a) * (1 + a)), BELOW_ONE),
    "atan": _entrywise("atan", lambda a, v: 1 / (1 + a * a)),
    "asinh": _entrywise("asinh", lambda a, v: 1 / np.sqrt(1 + a * a)),
    "acosh": _entrywise("acosh", lambda a, v: 1 / np.sqrt((a - 1) * (a + 1)), ABOVE_ONE),
    "atanh": _entrywise("atanh", lambda a, v: 1 / ((1 - a) * (1 + a)), BELOW_ONE),
    # Near zero PyTorch's kernels of narrow dtypes lose its digits: a finding too, so no operand is there.
    "erf": Word("ops.erf(ops.sqrt({0} * {0} + 0.25))", lambda _n, a: FUNCTIONS["erf"](_root(a)),
                lambda _n, g, v, a: (g * (2 * np.exp(-a * a - 0.25) / np.sqrt(_constant(a, "π"))) * (a / _root(a)),)),
    "erfc": _entrywise("erfc", lambda a, v: -2 * np.exp(-a * a) / np.sqrt(_constant(a, "π"))),
    "lgamma": _entrywise("lgamma", lambda a, v: FUNCTIONS["digamma"](a), POSITIVE),
    "sigmoid": _entrywise("sigmoid", lambda a, v: v * (1 - v)),
    "softplus": _smooth("softplus", _softplus, lambda a, v: FUNCTIONS["sigmoid"](a)),
    "log_sigmoid": _smooth("log_sigmoid", lambda a: -_softplus(np.asarray(-a)), lambda a, v: FUNCTIONS["sigmoid"](-a)),
    "silu": _smooth("silu", lambda a: a * FUNCTIONS["sigmoid"](a),
                    lambda a, v: FUNCTIONS["sigmoid"](a) * (1 + a * FUNCTIONS["sigmoid"](-a))),
    "gelu": _smooth("gelu", lambda a: a * _below(a), lambda a, v: _below(a) + a * _bell(a)),
    "gelu by tanh": _smooth("gelu", lambda a: a / 2 * (1 + np.tanh(_inner(a))), _approximate,
                            options=", approximate=True"),
    "hypot": Word("ops.hypot({0}, {1})", lambda _n, a, b: _length(a, b),
                  lambda _n, g, v, a, b: (g * (a / v), g * (b / v))),
    "atan2": Word("ops.atan2({0}, {1})", lambda _n, a, b: _angle(a, b),
                  lambda _n, g, v, a, b: (g * (b / _length(a, b) / _length(a, b)),
                                          -g * (a / _length(a, b) / _length(a, b)))),
    "logaddexp": Word("ops.logaddexp({0}, {1})", lambda _n, a, b: _log_sum(a, b),
                      lambda _n, g, v, a, b: (g * FUNCTIONS["sigmoid"](a - b), g * FUNCTIONS["sigmoid"](b - a))),
}  # fmt: skip

BRANCHES: Words = {
    "abs": Word("ops.abs({0})", lambda _n, a: np.abs(a), lambda _n, g, v, a: (chosen(a, 0, g, -g),)),
    "relu": Word("ops.relu({0})", lambda _n, a: chosen(a, 0, a, nothing(a)),
                 lambda _n, g, v, a: (chosen(a, 0, g, nothing(g)),)),
    "leaky_relu": Word("ops.leaky_relu({0}, {n})", lambda n, a: chosen(a, 0, a, a * n),
                       lambda n, g, v, a: (chosen(a, 0, g, g * n),), (0.01, 0.5)),
    "elu": Word("ops.elu({0}, {n})", lambda n, a: chosen(a, 0, a, n * np.expm1(a)),
                lambda n, g, v, a: (chosen(a, 0, g, g * (n * np.exp(a))),), (1.0, 0.7)),
    "maximum": Word("ops.maximum({0}, {1})", lambda _n, a, b: chosen(a, b, a, b),
                    lambda _n, g, v, a, b: (chosen(a, b, g, nothing(g)), chosen(a, b, nothing(g), g))),
    "minimum": Word("ops.minimum({0}, {1})", lambda _n, a, b: chosen(a, b, b, a),
                    lambda _n, g, v, a, b: (chosen(a, b, nothing(g), g), chosen(a, b, g, nothing(g)))),
    "clip": Word("ops.clip({0}, -0.3, 0.7)",
                 lambda _n, a: chosen(a, 0.7, numbers(a, 0.7), chosen(a, -0.3, a, numbers(a, -0.3))),
                 lambda _n, g, v, a: (chosen(a, 0.7, nothing(g), chosen(a, -0.3, g, nothing(g))),)),
    **{name: _step(name) for name in ("sign", "floor", "ceil", "round")},
    "where": Word("ops.where({0} > {n}, {0}, {1})", lambda n, a, b: chosen(a, n, a, b),
                  lambda n, g, v, a, b: (chosen(a, n, g, nothing(g)), chosen(a, n, nothing(g), g)), NUMBERS),
    "&, ~": Word("ops.where(({0} > {n}) & ~({1} < 0.5), {0}, {1})", lambda n, a, b: _where_both(n, a, b, a, b),
                 lambda n, g, v, a, b: (_where_both(n, a, b, g, nothing(g)), _where_both(n, a, b, nothing(g), g)),
                 NUMBERS),
    "any": Word("ops.where(ops.any({0} > {n}, axis=-1, keepdims=True), {0}, -{0})",
                lambda n, a: np.where(_some(n, a), a, -a), lambda n, g, v, a: (np.where(_some(n, a), g, -g),),
                NUMBERS, fits=has_axis),
    "mask": Word("ops.where({1}, {0}, 0.1)", lambda _n, a, m: np.where(m, a, numbers(a, 0.1)),
                 lambda _n, g, v, a, m: (np.where(m, g, nothing(g)), None), kinds=FLOATS + BOOLEANS),
    "* mask": Word("{0} * {1}", lambda _n, a, m: a * numbers(a, m),
                   lambda _n, g, v, a, m: (g * numbers(a, m), None), kinds=FLOATS + BOOLEANS),
    "==": Word("ops.where(({1} == 1) | ({1} > 1), {0}, -{0})", lambda _n, a, i: np.where(i >= 1, a, -a),
               lambda _n, g, v, a, i: (np.where(i >= 1, g, -g), None), kinds=FLOATS + INTEGERS),
    "astype": Word("{0} * ops.astype({1})", lambda _n, a, i: a * numbers(a, i),
                   lambda _n, g, v, a, i: (g * numbers(a, i), None), kinds=FLOATS + INTEGERS),
    "one_hot": Word("{0} * ops.one_hot({1}, 3)", lambda _n, a, i: a * numbers(a, i[..., None] == np.arange(3)),
                    lambda _n, g, v, a, i: (g * numbers(a, i[..., None] == np.arange(3)), None),
                    kinds=FLOATS + INTEGERS),
}  # fmt: skip

ENTRIES: Words = {**OPERATORS, **SMOOTH, **BRANCHES}
