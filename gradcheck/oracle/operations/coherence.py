"""Roundings that are not independent: their part of the variance of a sum (docs/math.md, W2 and W3).

Two things repeat in a sum. Equal terms round in the same way, so that their roundings add up instead of averaging out.
Terms that come from one computed number share its error.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gradcheck.oracle.operations.base import square
from gradcheck.oracle.operations.terms import Array, Spread

COVERED = 64
"""Sums of so few terms need no coherent part: even if all their roundings are as large as equal terms allow, n·u/3 of
the sum (W2), they lie within eight of the 0.6u·√(n/3) that independent roundings have."""

SAWTOOTH = 4 / 15 / 12
"""The variance of equal terms' rounding, in units of (n·u·|sum|)²: W2."""


def of_equal_terms(values: Array, size: Array, axes: tuple[int, ...], roundoff: float) -> Array | float:
    """The variance of the roundings that equal terms of a sum have in common.

    Args:
        values: the terms, float64.
        size: the typical largest partial sum, √(S² + Σv²), with unit axes where the terms are summed.
        axes: the axes summed over.
        roundoff: u of the sum.
    """
    terms = math.prod(values.shape[axis] for axis in axes)
    if terms <= COVERED:
        return 0.0
    quantum = 2 * roundoff * size
    seen = np.minimum(12 * square(values / quantum), 1.0)
    share = np.ones(())
    for axis in axes:
        if values.shape[axis] > 1:
            share = share * _repeated(values / quantum, seen, axis, axes)
    return SAWTOOTH * square(terms * roundoff * size) * share


def _repeated(values: Array, seen: Array, axis: int, axes: tuple[int, ...]) -> Array:
    """The share of the terms that round alike along an axis: the autocorrelation of r(v) = v − round(v) at lag 1.

    For a uniform phase it is 1 − 6t(1 − t) of the fractional part t of the neighbours' distance, less the part that is
    chance.
    """
    phase = np.diff(values, axis=axis)
    phase -= np.floor(phase)
    alike = (1 - 6 * phase * (1 - phase)) * np.delete(seen, 0, axis)
    pairs = math.prod(alike.shape[each] for each in axes)
    mean = np.sum(alike, axis=axes, keepdims=True) / pairs
    return np.asarray(np.maximum(mean - 1 / math.sqrt(pairs), 1 / values.shape[axis]))


def of_equal_products(a: Array, b: Array, size: Array, roundoff: float) -> Array | float:
    """The same for the terms of a matrix product, which are equal if those of both factors are.

    Args:
        a: the left factor, float64: a vector, or matrices.
        b: the right one; a vector where the left one is.
        size: |AB|.
        roundoff: u of the sum.
    """
    terms = a.shape[-1]
    if terms <= COVERED:
        return 0.0
    near = terms * roundoff / 4
    columns = _share_of_equals(b if b.ndim == 1 else np.swapaxes(b, -1, -2), near)
    if not columns.any():
        return 0.0
    rows = _share_of_equals(a, near)
    both = rows * columns if b.ndim == 1 else rows[..., np.newaxis] * columns[..., np.newaxis, :]
    return np.asarray(SAWTOOTH * square(terms * roundoff * size) * both)


def _share_of_equals(factors: Array, near: float) -> Array:
    """In each row, the share of neighbours that are equal within a fraction of a unit of the sum, and not zero."""
    equal = np.abs(np.diff(factors)) <= near * np.abs(factors[..., 1:])
    equal &= factors[..., 1:] != 0
    share = np.mean(equal, axis=-1)
    return np.asarray(np.where(share > 1 / math.sqrt(equal.shape[-1]), share, 0.0))


def of_equal_occurrences(values: Array, targets: Array, size: Array, counts: Array, roundoff: float) -> Array:
    """The same for entries that are added at their places into an array: those at one place are the terms of a sum.

    Args:
        values: the terms, float64, flat.
        targets: the place of each in the flat array.
        size: the typical largest partial sum of each place, in the array's shape.
        counts: the number of terms of each place.
        roundoff: u of the sum.
    """
    order = np.argsort(targets, kind="stable")
    places, quantum = targets[order], 2 * roundoff * np.ravel(size)
    scaled = values[order] / quantum[places]
    phase = np.diff(scaled)
    phase -= np.floor(phase)
    alike = (1 - 6 * phase * (1 - phase)) * np.minimum(12 * square(scaled[1:]), 1.0)
    same = places[1:] == places[:-1]
    total = np.bincount(places[1:][same], alike[same], minlength=counts.size).reshape(counts.shape)
    pairs = np.maximum(counts - 1, 1)
    share = np.maximum(total / pairs - 1 / np.sqrt(pairs), 1 / np.maximum(counts, 1))
    return np.where(counts > COVERED, SAWTOOTH * square(counts * roundoff * size) * share, 0.0)


def of_shared_errors(term: Spread, combine: Callable[[Array], Array]) -> Array:
    """The variance of a sum whose terms all share one relative error, (Σ±s)²: W3.

    Args:
        term: with its variance.
        combine: signed deviations -> their sums.
    """
    return np.asarray(np.square(combine(np.copysign(np.sqrt(term.variances), term.middle))))
