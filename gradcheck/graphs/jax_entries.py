"""JAX's primitives that work entry by entry, and comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck.graphs import torch_entries as common
from gradcheck.graphs.jax_rows import row
from gradcheck.graphs.rows import refuse_unless, word
from gradcheck.graphs.values import Value

SAME_NAME = """abs acos acosh asin asinh atan atanh ceil cos cosh digamma erf erfc exp exp2 expm1 floor lgamma log
    log1p rsqrt sign sin sinh sqrt square tan tanh"""
OF_JAX = "silu log_sigmoid softplus"


def _of_one(name: str) -> Any:
    return lambda a, **_: word(name)(a)


for _name in SAME_NAME.split():
    row(_name)(_of_one(_name))
for _name in OF_JAX.split():
    row(f"jit[{_name}]")(_of_one(_name))
row("logistic")(_of_one("sigmoid"))


@row("jit[hypot]")
def hypot(a: Any, b: Any) -> Any:
    """√(a² + b²)."""
    return word("hypot")(a, b)


@row("jit[logaddexp]")
def logaddexp(a: Any, b: Any) -> Any:
    """log(eᵃ + eᵇ)."""
    return word("logaddexp")(a, b)


@row("add", "add_any")
def add(a: Any, b: Any) -> Any:
    """The sum."""
    return a + b


@row("sub")
def sub(a: Any, b: Any) -> Any:
    """The difference."""
    return a - b


@row("mul")
def mul(a: Any, b: Any) -> Any:
    """The product, entry by entry."""
    return a * b


@row("div")
def div(a: Any, b: Any) -> Any:
    """The quotient."""
    return a / b


@row("rem")
def rem(a: Any, b: Any) -> Any:
    """What a division leaves, with the sign of the dividend."""
    return common.fmod(a, b)


@row("neg")
def neg(a: Any) -> Any:
    """The negative."""
    return -a


@row("integer_pow")
def integer_pow(a: Any, y: int) -> Any:
    """A power with a whole number as exponent."""
    return a**y


@row("pow")
def power(a: Any, b: Any) -> Any:
    """A power; a constant number as exponent is one."""
    exponent = _number(b)
    return a**b if exponent is None else a**exponent


def _number(value: Any) -> float | None:
    """The number of a constant without axes."""
    if not isinstance(value, Value) or value.shape:
        return None
    return value.recording.number_of(value)


@row("max")
def maximum(a: Any, b: Any) -> Any:
    """The larger of both; −∞ is smaller than all."""
    return _nearest("maximum", a, b, -np.inf)


@row("min")
def minimum(a: Any, b: Any) -> Any:
    """The smaller of both; ∞ is larger than all."""
    return _nearest("minimum", a, b, np.inf)


def _nearest(name: str, a: Any, b: Any, neutral: float) -> Any:
    for each, other in ((a, b), (b, a)):
        if _number(each) == neutral:
            return other
    return word(name)(a, b)


@row("clamp")
def clamp(low: Any, a: Any, high: Any) -> Any:
    """The nearest number of an interval."""
    return minimum(maximum(a, low), high)


@row("atan2")
def atan2(a: Any, b: Any) -> Any:
    """The angle of the point (b, a)."""
    return word("atan2")(a, b)


@row("round")
def round_(a: Any, rounding_method: Any = 1) -> Any:
    """The nearest integer, of two the even one."""
    refuse_unless(
        rounding_method in (1, "TO_NEAREST_EVEN"), "it rounds halves away from zero: expected jax.numpy.round"
    )
    return word("round")(a)


@row("eq")
def equal(a: Any, b: Any) -> Any:
    """Where both are equal, or both conditions hold or not; no finite number is infinite."""
    if _is_condition(a) and _is_condition(b):
        return ~common.logical_xor(a, b)
    if _is_infinite(a) or _is_infinite(b):
        return np.zeros(np.broadcast_shapes(a.shape, b.shape), np.bool_)
    return common.equal(a, b)


@row("ne")
def not_equal(a: Any, b: Any) -> Any:
    """Where they differ; a number differs not from itself, since the oracle reports a step that has no value."""
    if a is b:
        return np.zeros(a.shape, np.bool_)
    return ~equal(a, b)


def _is_condition(value: Any) -> bool:
    return value.is_condition if isinstance(value, Value) else value.dtype == np.bool_


def _is_infinite(value: Any) -> bool:
    return abs(_number(value) or 0.0) == np.inf


for _name, _compare in {
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}.items():
    row(_name)(_compare)


@row("and")
def logical_and(a: Any, b: Any) -> Any:
    """Where both hold."""
    return common.logical_and(a, b)


@row("or")
def logical_or(a: Any, b: Any) -> Any:
    """Where one holds, or both."""
    return common.logical_or(a, b)


@row("xor")
def logical_xor(a: Any, b: Any) -> Any:
    """Where exactly one holds."""
    return common.logical_xor(a, b)


@row("not")
def logical_not(a: Any) -> Any:
    """Where it does not hold."""
    return common.logical_not(a)


@row("is_finite")
def is_finite(a: Any) -> Any:
    """Everywhere: the oracle reports a step that has no value."""
    return np.ones(a.shape, np.bool_)


@row("select_n")
def select_n(which: Any, *cases: Any) -> Any:
    """The first array where the condition does not hold, else the second."""
    refuse_unless(len(cases) == 2, f"it selects one of {len(cases)} arrays by integers: expected jax.numpy.where")
    off, on = cases
    if isinstance(which, np.ndarray) and which.shape == () and off.shape:
        which = np.broadcast_to(which, off.shape)
    return common.where(which, on, off)


@row("copy", "device_put", "name", "optimization_barrier", "sharding_constraint")
def same(*arrays: Any, **_: Any) -> Any:
    """The array itself, or several."""
    return arrays[0] if len(arrays) == 1 else arrays


@row("stop_gradient")
def stop_gradient(a: Any) -> Any:
    """The array as a constant."""
    return word("stop_gradient")(a) if isinstance(a, Value) else a
