"""Words and operators that work entry by entry."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.instead import described
from gradcheck.graphs.values import Operand, Value
from gradcheck.graphs.words.declaration import operation, word

Arithmetic = Operand
"""Integers, of which the result is made of integers too, if all operands are; else they become floats."""

MEANINGS = {
    "exp": "eᵃ",
    "log": "The natural logarithm of a",
    "sqrt": "√a",
    "rsqrt": "1/√a",
    "square": "a²",
    "tanh": "The hyperbolic tangent of a",
    "sigmoid": "1/(1 + e⁻ᵃ)",
    "log1p": "log(1 + a)",
    "expm1": "eᵃ − 1",
    "softplus": "log(1 + eᵃ)",
    "sin": "The sine of a",
    "cos": "The cosine of a",
    "tan": "The tangent of a",
    "asin": "The inverse sine of a",
    "acos": "The inverse cosine of a",
    "atan": "The inverse tangent of a",
    "sinh": "The hyperbolic sine of a",
    "cosh": "The hyperbolic cosine of a",
    "asinh": "The inverse hyperbolic sine of a",
    "acosh": "The inverse hyperbolic cosine of a",
    "atanh": "The inverse hyperbolic tangent of a",
    "exp2": "2ᵃ",
    "log2": "The logarithm of a to base 2",
    "log10": "The logarithm of a to base 10",
    "erf": "The error function 2/√π·∫₀ᵃ exp(−t²) dt",
    "erfc": "1 − erf(a)",
    "lgamma": "The logarithm of |Γ(a)|",
    "digamma": "The derivative of lgamma",
    "silu": "a/(1 + e⁻ᵃ)",
    "log_sigmoid": "−log(1 + e⁻ᵃ)",
}


@operation("+")
def add(a: Arithmetic, b: Arithmetic) -> Shape:
    """The sum a + b, entry by entry."""
    return together(a, b)


@operation("-")
def sub(a: Arithmetic, b: Arithmetic) -> Shape:
    """The difference a − b, entry by entry."""
    return together(a, b)


@operation("*")
def mul(a: Arithmetic, b: Arithmetic) -> Shape:
    """a·b, entry by entry."""
    return together(a, b)


@operation("/")
def truediv(a: Operand, b: Operand) -> Shape:
    """a/b."""
    return together(a, b)


@operation("unary -")
def neg(a: Arithmetic) -> Shape:
    """The negative −a."""
    return shape_of(a)


@operation("**")
def pow_(a: Operand, exponent: float) -> Shape:
    """The power aᵖ of a number p, entry by entry.

    Raises:
        TypeError: the exponent is not a Python number.
        ValueError: it is not finite, or an integer that float64 does not hold.
    """
    if not isinstance(exponent, (int, float)):
        raise TypeError(f"the exponent is {described(exponent)}: expected a number or an array as exponent")
    if not abs(exponent) < 2**1023 or exponent != float(exponent):
        raise ValueError(f"the exponent is {described(exponent)}: expected a finite number that float64 holds")
    return shape_of(a)


@word
def gelu(a: Operand, approximate: bool = False) -> Shape:
    """a·Φ(a), entry by entry, Φ the normal distribution; or with tanh, a/2·(1 + tanh(√(2/π)(a + 0.044715a³))).

    Raises:
        TypeError: ``approximate`` is neither true nor false.
    """
    if not isinstance(approximate, bool):
        raise TypeError(f"approximate is {described(approximate)}: expected False, or True for the form with tanh")
    return shape_of(a)


@word
def leaky_relu(a: Operand, negative_slope: float = 0.01) -> Shape:
    """a where it is above zero, else a multiple of it, entry by entry.

    Raises:
        TypeError: the slope is not a Python number.
        ValueError: it is negative, or not below 1.
    """
    if not is_number(negative_slope):
        raise TypeError(f"negative_slope is {described(negative_slope)}: expected a number, such as 0.01")
    if not 0 <= negative_slope < 1:
        raise ValueError(f"negative_slope is {described(negative_slope)}: expected a number from 0 to below 1")
    return shape_of(a)


@word
def elu(a: Operand, alpha: float = 1.0) -> Shape:
    """a where it is above zero, else α(eᵃ − 1), entry by entry.

    Raises:
        TypeError: α is not a Python number.
        ValueError: it is not positive and finite.
    """
    if not is_number(alpha):
        raise TypeError(f"alpha is {described(alpha)}: expected a number, such as 1.0")
    if not 0 < alpha < float("inf"):
        raise ValueError(f"alpha is {described(alpha)}: expected a positive number")
    return shape_of(a)


def is_number(value: Any) -> bool:
    """Whether an attribute is a Python number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@operation("**")
def power(a: Operand, b: Operand) -> Shape:
    """The power aᵇ of arrays, entry by entry; a is above zero, or b is whole."""
    return together(a, b)


@word
def logaddexp(a: Operand, b: Operand) -> Shape:
    """log(eᵃ + eᵇ), entry by entry."""
    return together(a, b)


@word
def hypot(a: Operand, b: Operand) -> Shape:
    """√(a² + b²), entry by entry."""
    return together(a, b)


@word
def atan2(a: Operand, b: Operand) -> Shape:
    """The angle of the point (b, a) from the first axis, entry by entry."""
    return together(a, b)


def together(a: Any, b: Any) -> Shape:
    """The shape of two operands that are broadcast."""
    return np.broadcast_shapes(shape_of(a), shape_of(b))


def shape_of(a: Any) -> Shape:
    """The shape of an operand, which is already a value."""
    assert isinstance(a, Value)
    return a.shape


def _declare(name: str, meaning: str) -> None:
    def rule(a: Operand) -> Shape:
        return shape_of(a)

    rule.__name__ = name
    rule.__doc__ = f"{meaning}, entry by entry."
    word(rule)


for _name, _meaning in MEANINGS.items():
    _declare(_name, _meaning)
