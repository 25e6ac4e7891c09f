"""Gaussian elimination with partial pivoting, and bounds of errors that feed back into themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck.oracle.operations.terms import Array

FURTHER = 1.01
"""How much larger than the last sum of powers a proved bound is."""
DOUBLINGS = 12
"""How often the number of powers in that sum is doubled."""


def eliminated(a: Array) -> tuple[Array, list[int]]:
    """The factors of a[rows] = L U in one matrix, in any arithmetic, and the rows in the order of the pivots."""
    size = len(a)
    upper, rows = a.copy(), list(range(size))
    for column in range(size):
        pivot = column + int(np.argmax(_sizes(upper[column:, column])))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        upper[[column, pivot]] = upper[[pivot, column]]
        upper[column + 1 :, column] = upper[column + 1 :, column] / upper[column, column]
        upper[column + 1 :, column + 1 :] -= upper[column + 1 :, column, None] * upper[column, None, column + 1 :]
    return upper, rows


def _sizes(a: Array) -> Array:
    """Magnitudes by which a pivot is chosen; any choice is right."""
    if a.dtype != object:
        return np.where(np.isnan(a), 0, np.abs(a))
    return np.array([float(abs(ball.mid())) if ball.is_finite() else 0.0 for ball in a])


def growth(a: Array) -> Array:
    """|L||U| of a float64 matrix, its rows in their own order: the scale of the rounding errors of an elimination."""
    packed, rows = eliminated(a)
    product = (np.tril(np.abs(packed), -1) + np.eye(len(a))) @ np.triu(np.abs(packed))
    result = np.empty_like(product)
    result[rows] = product
    return result


def fed_back(feedback: Array, error: Array) -> Array:
    """A bound of e where e ≤ error + feedback·e, with a positive error; infinite where none is found.

    An e with error + feedback·e ≤ e proves it: then feedback·e < e, so that the spectral radius is below 1.
    """
    bound: Any = error
    power = feedback
    for _ in range(DOUBLINGS):
        further = power @ bound
        if not np.all(further < np.inf) or np.all(further <= bound * ((FURTHER - 1) / 8)):
            break
        bound, power = bound + further, power @ power
    bound = FURTHER * bound
    return np.asarray(bound if np.all(error + feedback @ bound <= bound) else np.full(error.shape, np.inf))
