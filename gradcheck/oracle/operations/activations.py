"""Activations of neural networks that are made of other words: silu, gelu and log_sigmoid.

An engine has a function of its own for each. The rules of the words cover its forms (docs/math.md, R24).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradcheck.oracle.operations.base import (
    Operation,
    Variable,
    apply,
    constant,
    no_gradients,
    operated,
    rounding_variance,
)
from gradcheck.oracle.operations.by_balls import value_of
from gradcheck.oracle.operations.gaussian import distribution
from gradcheck.oracle.operations.rules import rule

CUBIC = 0.044715
"""The factor in the tanh form of gelu: D. Hendrycks and K. Gimpel, Gaussian error linear units, 2016, section 2."""


def _root_ball(a: Any) -> Any:
    from flint import arb

    return (a / arb.pi()).sqrt()


ROOT = Operation(
    "root of a share of π",
    value_of(_root_ball, math.inf, math.nan),
    no_gradients,
    lambda format, result, _a: 2 * format.function_roundoff * result.size,
    lambda format, result, _a: rounding_variance(format, result.size),
    ball=np.frompyfunc(_root_ball, 1, 1),
)
"""√(a/π) of a constant, as accurate as a square root: no arithmetic has π, so that none may take it as a number."""


@rule(worst="(9 u + λ) of |a|", typical="√10")
def silu(a: Variable) -> Variable:
    """a·σ(a), entry by entry."""
    return a * operated("sigmoid", a)


@rule(worst="9 u of |a|, approximate: 8 u of |a| and more", typical="√2 of |a|")
def gelu(a: Variable, approximate: bool = False) -> Variable:
    """a·Φ(a), entry by entry, or its tanh form."""
    if not approximate:
        return a * distribution(a)
    root = apply(ROOT, a.recorder.append(constant(2.0), ()))
    bent = operated("tanh", root * (a + CUBIC * operated("pow", a, 3)))
    return (0.5 * a) * (1.0 + bent)


@rule(worst="14 u + λ", typical="3")
def log_sigmoid(a: Variable) -> Variable:
    """−log(1 + e⁻ᵃ), entry by entry."""
    return -operated("softplus", -a)
