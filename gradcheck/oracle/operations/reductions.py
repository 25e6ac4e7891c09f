"""Sums and means over axes (docs/math.md, R10), and the copies that are their gradients (R19)."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from gradcheck.graphs.shapes import Axes, checked_shape, normalise_axes, reduced_shape
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Lifted,
    Operation,
    Shape,
    Variable,
    apply,
    square,
    summing_variance,
)
from gradcheck.oracle.operations.coherence import of_equal_terms, of_shared_errors
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.structure import structural
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances

PAIRWISE = 128
"""NumPy adds up to so many numbers in a plain loop, and more of them pairwise, but only along the fastest axis."""


def pairwise_sum(a: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """NumPy's sum, pairwise along every axis (Higham 2002, section 4.1), so that our own sum has only a small error."""
    if a.dtype == object or (_are_last(axes, a) and a.flags.c_contiguous):
        return np.asarray(np.sum(a, axis=axes, keepdims=keepdims))
    if math.prod(a.shape[axis] for axis in axes) <= PAIRWISE:
        return _sum_over(a, axes, keepdims)
    return _sum_of_rows(a, axes, keepdims)


def _are_last(axes: tuple[int, ...], a: Array) -> bool:
    return all(axis >= a.ndim - len(axes) for axis in axes)


def _sum_over(a: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """NumPy's sum; it orders the terms of several axes by all axes of the array, of which others may not matter."""
    if len(axes) == 1 or _are_last(axes, a):
        return np.asarray(np.sum(a, axis=axes, keepdims=keepdims))
    return _sum_of_rows(a, axes, keepdims)


def _sum_of_rows(a: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    last = np.moveaxis(a, axes, range(-len(axes), 0))
    kept, summed = last.shape[: -len(axes)], last.shape[-len(axes) :]
    sums = np.sum(np.ascontiguousarray(last).reshape(*kept, math.prod(summed)), axis=-1)
    return np.asarray(sums.reshape(reduced_shape(a.shape, axes, keepdims)))


def _summation(axes: tuple[int, ...], keepdims: bool) -> Operation:
    def value(a: Array) -> Array:
        return _sum_over(a, axes, keepdims)

    def terms(a: Values) -> int:
        return math.prod(a.size.shape[axis] for axis in axes)

    def worst(format: Format, _result: Values, a: Bounded) -> Errors:
        """ΣE + θ(n, u)·Σ(|v|+E) + nt, in any order (R10; Higham 2002, section 4.2)."""
        relative = format.sum_error(terms(a))
        local = relative * value(a.reach) + terms(a) * format.underflow
        return local if a.error is None else local + value(a.error)

    def variance(format: Format, result: Values, a: Spread) -> Variances:
        """max(Σs², (Σ±s)²) + (0.6u)²((n/2)Σv² + (1+n/3)(Σv)²), and the part of equal terms (docs/math.md, W1 to W3)."""
        squares, sums = summing_variance(terms(a))
        squared, size = value(square(a.size)), square(result.size)
        summing = squares * squared + (1 + sums) * size
        local = (ROUNDING_DEVIATION * format.roundoff) ** 2 * summing + format.variance_floor
        shape = reduced_shape(a.size.shape, axes, keepdims=True)
        equal = of_equal_terms(a.middle, np.sqrt(size + squared).reshape(shape), axes, format.roundoff)
        local = local + np.reshape(equal, local.shape if np.ndim(equal) else ())
        if a.variance is not None:
            local = local + np.maximum(value(a.variance), of_shared_errors(a, value))
        return np.asarray(local)

    def gradients(g: Variable, _v: Variable, a: Variable) -> tuple[Variable]:
        return (spread_over(g, a.shape, axes),)

    return Operation(
        "sum",
        lambda a: pairwise_sum(a, axes, keepdims),
        gradients,
        worst,
        variance,
        shape=lambda shape: reduced_shape(shape, axes, keepdims),
        partial_sums=lambda _format, a: value(a.reach),
        lifted=cache(lambda shape: Lifted(_summation(tuple(axis + 1 for axis in axes), keepdims), (shape,))),
    )


@rule(worst=r"θ(n, u) of Σ|a|", typical="√(n/2)")
def sum_(a: Variable, axis: Axes = None, keepdims: bool = False) -> Variable:
    """The sum over an axis, several, or all."""
    return apply(_summation(normalise_axes(axis, a.ndim), keepdims), a)


@rule(worst=r"θ(n + 2, u) of Σ|a|/n", typical="√(n/2 + 2)")
def mean(a: Variable, axis: Axes = None, keepdims: bool = False) -> Variable:
    """The sum divided by the number of its terms."""
    count = math.prod(a.shape[i] for i in normalise_axes(axis, a.ndim))
    return apply(_summation(normalise_axes(axis, a.ndim), keepdims), a) / count


@rule(worst="exact", typical="0")
def reshape(a: Variable, shape: Shape) -> Variable:
    """The entries in another shape of the same size; one length may be −1, for the rest."""
    target = checked_shape(a.shape, shape)
    return a if a.shape == target else apply(_reshaping(target), a)


@rule(worst="exact", typical="0")
def broadcast_to(a: Variable, shape: Shape) -> Variable:
    """Copies along new axes, and along those of length one."""
    return a if a.shape == tuple(shape) else apply(_broadcasting(tuple(shape)), a)


def spread_over(a: Variable, shape: Shape, axes: tuple[int, ...]) -> Variable:
    """Undo a reduction from ``shape``: copy along the axes that it removed."""
    return broadcast_to(reshape(a, reduced_shape(shape, axes, keepdims=True)), shape)


def sum_to(a: Variable, shape: Shape) -> Variable:
    """Undo a broadcast from ``shape``: sum over the axes along which it copied."""
    extra = a.ndim - len(shape)
    copied = [axis for axis, size in enumerate(shape, extra) if size != a.shape[axis]]
    axes = (*range(extra), *copied)
    return reshape(sum_(a, axes), shape) if axes else a


def _reshaping(target: Shape) -> Operation:
    return structural(
        "reshape", lambda a: a.reshape(target), lambda g, a: (reshape(g, a.shape),), lambda _shape: target
    )


def _broadcasting(target: Shape) -> Operation:
    return structural(
        "broadcast_to",
        lambda a: np.broadcast_to(a, target),
        lambda g, a: (sum_to(g, a.shape),),
        lambda _shape: target,
    )
