"""Products of the entries along an axis, and of those up to each entry, with their gradients (docs/math.md, R42)."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from operator import mul

import numpy as np

from gradcheck.graphs.shapes import Axes, normalise_axes, one_axis, reduced_shape
from gradcheck.oracle.operations.arithmetic import any_of
from gradcheck.oracle.operations.base import Operation, Variable, apply
from gradcheck.oracle.operations.cumulative import CumulativeSum
from gradcheck.oracle.operations.movements import moveaxis, permute_dims
from gradcheck.oracle.operations.places import filled
from gradcheck.oracle.operations.polynomials import Dual, Number, Numbers, Polynomial
from gradcheck.oracle.operations.reductions import broadcast_to, reshape
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import Array, Errors, Values


def _all(_zero: Number, one: Number, a: Numbers) -> Numbers:
    return list(accumulate(a, mul))[-1:] or [one]


def _up_to(_zero: Number, _one: Number, a: Numbers) -> Numbers:
    return list(accumulate(a, mul))


def _before(one: Number, a: Numbers) -> Numbers:
    return list(accumulate([one, *a[:-1]], mul))[: len(a)]


def _others(_zero: Number, one: Number, a: Numbers) -> Numbers:
    after = _before(one, a[::-1])[::-1]
    return list(map(mul, _before(one, a), after))


def _returned(_zero: Number, one: Number, g: Numbers, a: Numbers) -> Numbers:
    """Σ gₖ Π aⱼ over k ≥ i, of all j ≤ k but i: the products before i, by the sums Sᵢ = gᵢ + aᵢ₊₁Sᵢ₊₁."""
    sums = g[-1:]
    for own, factor in zip(g[-2::-1], a[:0:-1], strict=True):
        sums.append(own + factor * sums[-1])
    return list(map(mul, _before(one, a), sums[::-1]))


def _moved(function: Callable[..., Numbers]) -> Callable[..., Numbers]:
    """How a function moves where the last operand moves by the first one, to first order."""

    def moved(zero: Number, one: Number, h: Numbers, *operands: Numbers) -> Numbers:
        fixed = [[Dual(each, zero) for each in operand] for operand in operands[:-1]]
        duals = list(map(Dual, operands[-1], h))
        return [each.moved for each in function(Dual(zero, zero), Dual(one, zero), *fixed, duals)]

    return moved


OTHERS_MOVED = Polynomial("product of others moved", _moved(_others), lambda n: 2 * n, lambda n: n).operation()
"""Σ hᵢ Π aₖ over i but j, of all k but i and j."""
UP_TO_MOVED = Polynomial("cumulative product moved", _moved(_up_to), lambda n: 2 * n, lambda n: n).operation()
RETURNED_MOVED = Polynomial("product returned moved", _moved(_returned), lambda n: 3 * n, lambda n: n * n).operation()
OTHERS = Polynomial(
    "product of others",
    _others,
    lambda n: max(n - 2, 0),
    gradients=lambda h, _v, a: (apply(OTHERS_MOVED, h, a),),
    multiplies=True,
).operation()
"""The products of all others of each entry."""
RETURNED = Polynomial(
    "product returned",
    _returned,
    lambda n: 2 * n,
    lambda n: n,
    lambda h, _v, g, a: (apply(UP_TO_MOVED, h, a), apply(RETURNED_MOVED, h, g, a)),
).operation()
"""The gradient of products up to each entry, as sums of products of the others."""


def _unless_zero(a: Values, errors: Array) -> Errors:
    """The errors of entries; none of those that are exactly zero, and unknown ones of those that may be."""
    return np.where(a.native == 0, np.where(errors > 0, np.inf, 0.0), errors)


def _at_zeros(a: Array, others: Array, products: Array) -> Array:
    return np.where(a == 0, others, products)


DIVIDEND: Operation = Operation(
    "dividend",
    _at_zeros,
    lambda h, _v, a, _others, _products: (None, apply(DIVIDEND, a, h, 0.0), apply(DIVIDEND, a, 0.0, h)),
    lambda _format, _result, a, others, products: _at_zeros(a.native, others.errors, products.errors),
    lambda _format, _result, a, others, products: _at_zeros(a.native, others.variances, products.variances),
    ball=np.frompyfunc(lambda a, others, products: others if a.is_zero() else products, 3, 1),
)
"""What a program divides by entries: the products of all; and where an entry is zero, what it has for that."""
DIVISOR = Operation(
    "divisor",
    lambda a: np.where(a == 0, filled((), a.dtype, 1.0), a),
    lambda h, _v, a: (apply(DIVIDEND, a, 0.0, h),),
    lambda _format, _result, a: _unless_zero(a, a.errors),
    lambda _format, _result, a: _unless_zero(a, a.variances),
    ball=lambda a: np.asarray(np.frompyfunc(lambda ball: ball**0 if ball.contains(0) else ball, 1, 1)(a)),
)
"""The entries by which it divides; those that are zero it treats by themselves, and 1 takes their place."""


def _product_gradients(g: Variable, _v: Variable, a: Variable) -> tuple[Variable]:
    """g times the product of the others, or times v/a where a is not zero (PyTorch, autograd, MXNet)."""

    def by_others(g: Variable, a: Variable) -> Variable:
        return g * apply(OTHERS, a)

    def by_quotient(g: Variable, a: Variable) -> Variable:
        product = broadcast_to(apply(PRODUCT, a), a.shape)
        return g * (apply(DIVIDEND, a, apply(OTHERS, a), product) / apply(DIVISOR, a))

    return (any_of((by_others, by_quotient), broadcast_to(g, a.shape), a),)


def _gradients_up_to(g: Variable, _v: Variable, a: Variable) -> tuple[Variable]:
    """Sums of products of the others, or Σ gₖvₖ over k ≥ i, divided by aᵢ where that is not zero (PyTorch)."""

    def by_quotient(g: Variable, a: Variable) -> Variable:
        sums = apply(CumulativeSum(-1, reverse=True).operation(), g * apply(UP_TO, a))
        return apply(DIVIDEND, a, apply(RETURNED, g, a), sums) / apply(DIVISOR, a)

    return (any_of((lambda g, a: apply(RETURNED, g, a), by_quotient), g, a),)


PRODUCT = Polynomial(
    "prod", _all, lambda n: max(n - 1, 0), gradients=_product_gradients, unit=True, multiplies=True
).operation()
UP_TO = Polynomial("cumulative product", _up_to, np.arange, gradients=_gradients_up_to, multiplies=True).operation()


@rule(worst="θ(n − 1, u)", typical="√n")
def prod(a: Variable, axis: Axes = None, keepdims: bool = False) -> Variable:
    """The product over an axis, several, or all."""
    axes = normalise_axes(axis, a.ndim)
    kept = tuple(place for place in range(a.ndim) if place not in axes)
    count = math.prod(a.shape[place] for place in axes)
    rows = reshape(permute_dims(a, (*kept, *axes)), (*(a.shape[place] for place in kept), count))
    return reshape(apply(PRODUCT, rows), reduced_shape(a.shape, axes, keepdims))


@rule(worst="θ(m − 1, u) of the m factors", typical="√m")
def cumulative_prod(a: Variable, axis: int | None = None) -> Variable:
    """The products of the entries up to each one along an axis."""
    place = one_axis(0 if axis is None else axis, a.ndim)
    return moveaxis(apply(UP_TO, moveaxis(a, place, -1)), -1, place)
