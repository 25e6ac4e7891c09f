"""ATen operators that work entry by entry, comparisons, and what has the shape of its operand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradcheck.graphs.rows import broadcast, constant, refuse_unless, word
from gradcheck.graphs.torch_rows import row
from gradcheck.graphs.values import Value

SAME_NAME = """abs acos acosh asin asinh atan atanh ceil cos cosh digamma erf erfc exp exp2 expm1 floor lgamma log log10
    log1p log2 log_sigmoid relu round rsqrt sigmoid sign silu sin sinh sqrt tan tanh"""
OF_TWO = "atan2 hypot logaddexp maximum minimum"


def _of_one(name: str) -> Any:
    return lambda self: word(name)(self)


def _of_two(name: str) -> Any:
    return lambda self, other: word(name)(self, other)


for _name in SAME_NAME.split():
    row(_name)(_of_one(_name))
for _name in OF_TWO.split():
    row(_name)(_of_two(_name))
row("fmax")(_of_two("maximum"))  # they differ where an entry is NaN
row("fmin")(_of_two("minimum"))


@row("add.Tensor", "add.Scalar")
def add(self: Any, other: Any, alpha: float = 1) -> Any:
    """The sum of a tensor and a multiple of another."""
    return self + (other if alpha == 1 else other * alpha)


@row("sub.Tensor", "sub.Scalar")
def sub(self: Any, other: Any, alpha: float = 1) -> Any:
    """The difference of a tensor and a multiple of another."""
    return self - (other if alpha == 1 else other * alpha)


@row("mul.Tensor", "mul.Scalar")
def mul(self: Any, other: Any) -> Any:
    """The product, entry by entry."""
    return self * other


@row("div.Tensor", "div.Scalar", "div.Tensor_mode", "div.Scalar_mode")
def div(self: Any, other: Any, rounding_mode: str | None = None) -> Any:
    """The quotient, which may be rounded to an integer."""
    quotient = self / other
    return {None: lambda a: a, "floor": word("floor"), "trunc": trunc}[rounding_mode](quotient)


@row("fmod.Tensor", "fmod.Scalar")
def fmod(self: Any, other: Any) -> Any:
    """What a division leaves, with the sign of the dividend."""
    return self - other * trunc(self / other)


@row("remainder.Tensor", "remainder.Scalar")
def remainder(self: Any, other: Any) -> Any:
    """What a division leaves, with the sign of the divisor."""
    return self - other * word("floor")(self / other)


@row("trunc")
def trunc(self: Any) -> Any:
    """The integer part."""
    return word("sign")(self) * word("floor")(word("abs")(self))


@row("neg")
def neg(self: Any) -> Any:
    """The negative."""
    return -self


@row("reciprocal")
def reciprocal(self: Any) -> Any:
    """One divided by each entry."""
    return 1.0 / self


@row("square")
def square(self: Any) -> Any:
    """The squares."""
    return word("square")(self)


@row("pow.Tensor_Scalar")
def power_of_tensor(self: Any, exponent: float) -> Any:
    """A power with a number as exponent."""
    return self**exponent


@row("pow.Tensor_Tensor", "pow.Scalar")
def power(self: Any, exponent: Any) -> Any:
    """A power with an array as exponent."""
    return word("exp2")(exponent) if isinstance(self, (int, float)) and self == 2 else self**exponent


@row("clamp", "hardtanh")
def clamp(self: Any, min: float | None = None, max: float | None = None, **ends: float) -> Any:
    """The nearest number of an interval."""
    low, high = ends.get("min_val", min), ends.get("max_val", max)
    low, high = (None if each is None or math.isinf(each) else each for each in (low, high))
    return self if low is None and high is None else word("clip")(self, low, high)


@row("clamp.Tensor")
def clamp_between_tensors(self: Any, min: Any = None, max: Any = None) -> Any:
    """The nearest number of an interval of each entry's own."""
    above = self if min is None else word("maximum")(self, min)
    return above if max is None else word("minimum")(above, max)


@row("gelu")
def gelu(self: Any, approximate: str = "none") -> Any:
    """The normal distribution's share of each entry, or its form with tanh."""
    return word("gelu")(self, approximate == "tanh")


@row("leaky_relu")
def leaky_relu(self: Any, negative_slope: float = 0.01) -> Any:
    """A multiple of the negative entries."""
    return word("leaky_relu")(self, negative_slope)


@row("elu")
def elu(self: Any, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Any:
    """ELU, and SELU and CELU, which are multiples of it."""
    if scale == input_scale == 1:
        return word("elu")(self, alpha)
    below = word("expm1")(self if input_scale == 1 else self * input_scale) * (alpha * scale)
    return word("where")(self > 0, self if scale == 1 else self * scale, below)


@row("softplus")
def softplus(self: Any, beta: float = 1, threshold: float = 20) -> Any:
    """log(1 + eᵃ); above its threshold PyTorch takes the entry itself."""
    scaled = self if beta == 1 else self * beta
    smooth = word("softplus")(scaled)
    return word("where")(scaled > threshold, self, smooth if beta == 1 else smooth / beta)


def _boolean(value: Any) -> Any:
    """A condition: numbers hold where they are not zero."""
    if isinstance(value, Value):
        return value if value.is_condition else ~equal(value, 0)
    return np.asarray(value) != 0


@row("eq.Tensor", "eq.Scalar")
def equal(self: Any, other: Any) -> Any:
    """Where both are equal; the vocabulary has this for integers alone."""
    if isinstance(self, Value) and self.kind == "integer":
        return self == other
    return (self >= other) & (self <= other)


@row("ne.Tensor", "ne.Scalar")
def not_equal(self: Any, other: Any) -> Any:
    """Where they differ."""
    return ~equal(self, other)


for _name, _compare in {
    "gt": lambda self, other: self > other,
    "ge": lambda self, other: self >= other,
    "lt": lambda self, other: self < other,
    "le": lambda self, other: self <= other,
}.items():
    row(f"{_name}.Tensor", f"{_name}.Scalar")(_compare)


@row("logical_and", "bitwise_and.Tensor", "bitwise_and.Scalar")
def logical_and(self: Any, other: Any) -> Any:
    """Where both hold."""
    return _boolean(self) & _boolean(other)


@row("logical_or", "bitwise_or.Tensor", "bitwise_or.Scalar")
def logical_or(self: Any, other: Any) -> Any:
    """Where one holds, or both."""
    return _boolean(self) | _boolean(other)


@row("logical_xor", "bitwise_xor.Tensor", "bitwise_xor.Scalar")
def logical_xor(self: Any, other: Any) -> Any:
    """Where exactly one holds."""
    mine, theirs = _boolean(self), _boolean(other)
    return (mine | theirs) & ~(mine & theirs)


@row("logical_not", "bitwise_not")
def logical_not(self: Any) -> Any:
    """Where it does not hold."""
    return ~_boolean(self)


@row("isnan")
def isnan(self: Any) -> Any:
    """Nowhere: the oracle reports a step that has no value."""
    return np.zeros(self.shape, np.bool_)


@row("where.self")
def where(condition: Any, self: Any, other: Any) -> Any:
    """One tensor where the condition holds, else the other."""
    if isinstance(condition, np.ndarray) and (condition.all() or not condition.any()):
        kept = self if condition.all() else other
        shape = np.broadcast_shapes(*(each.shape for each in (condition, self, other)))
        return broadcast(kept, shape) if isinstance(kept, Value) else np.broadcast_to(kept, shape)
    return word("where")(condition, self, other)


@row("clone", "alias", "lift_fresh_copy")
def same(self: Any, **_: Any) -> Any:
    """The tensor itself."""
    return self


@row("detach")
def detach(self: Any) -> Any:
    """The tensor as a constant."""
    return word("stop_gradient")(self)


@row("full_like")
def full_like(self: Any, fill_value: float, **_: Any) -> Any:
    """One number in the shape of a tensor."""
    array = np.full(self.shape, fill_value, np.float64)
    return array if np.isnan(fill_value) else constant(self, array)


@row("fill.Scalar")
def fill(self: Any, value: float) -> Any:
    """One number in the place of each entry."""
    return full_like(self, value)


@row("copy")
def copy(self: Any, src: Any, **_: Any) -> Any:
    """A tensor in the shape of another."""
    return broadcast(src, self.shape)


@row("native_dropout")
def dropout(input: Any, p: float, train: bool | None = None) -> Any:
    """The tensor itself, where no entry is dropped."""
    reason = f"dropout with p = {p:g} in training draws random numbers: write model.eval(), or p = 0"
    refuse_unless(not train or p == 0, reason)
    return input, None
