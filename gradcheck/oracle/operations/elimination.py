"""Gaussian elimination with partial pivoting, and bounds of errors that feed back into themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck.oracle.operations.terms import Array

FURTHER = 2.0**-10
"""How much of the errors themselves a proved bound adds to them, before they are fed back."""
DOUBLINGS = 12
"""How often the number of powers in that sum is doubled."""


def eliminated(a: Array) -> tuple[Array, Array]:
    """The factors of a[rows] = L U in one matrix, in any arithmetic, and the rows in the order of the pivots.

    Of a batch of matrices, each has its own rows.
    """
    size = a.shape[-1]
    upper, rows = a.copy(), np.broadcast_to(np.arange(size), a.shape[:-1])
    for column in range(size):
        order = _exchanging(column, column + np.argmax(_sizes(upper[..., column:, column]), axis=-1), size)
        upper, rows = in_order(upper, order), np.take_along_axis(rows, order, axis=-1)
        factors = upper[..., column + 1 :, column] / upper[..., column, column, None]
        upper[..., column + 1 :, column] = factors
        upper[..., column + 1 :, column + 1 :] -= factors[..., None] * upper[..., column, None, column + 1 :]
    return upper, rows


def in_order(a: Array, rows: Array) -> Array:
    """The rows of matrices in an order; leading axes broadcast."""
    batch = np.broadcast_shapes(a.shape[:-2], rows.shape[:-1])
    whole = np.broadcast_to(a, (*batch, *a.shape[-2:]))
    return np.take_along_axis(whole, np.broadcast_to(rows, (*batch, rows.shape[-1]))[..., None], axis=-2)


def _exchanging(one: int, others: Array, size: int) -> Array:
    """The orders of rows in which one is exchanged with another."""
    order = np.array(np.broadcast_to(np.arange(size), (*others.shape, size)))
    order[..., one] = others
    np.put_along_axis(order, others[..., None], one, axis=-1)
    return order


def _sizes(a: Array) -> Array:
    """Magnitudes by which a pivot is chosen; any choice is right."""
    if a.dtype != object:
        return np.where(np.isnan(a), 0, np.abs(a))
    size = np.frompyfunc(lambda ball: float(abs(ball.mid())) if ball.is_finite() else 0.0, 1, 1)
    return np.asarray(size(a), np.float64)


def growth(a: Array) -> Array:
    """|L||U| of float64 matrices, their rows in their own order: the scale of the rounding errors of an elimination."""
    packed, rows = eliminated(a)
    product = (np.tril(np.abs(packed), -1) + np.eye(a.shape[-1])) @ np.triu(np.abs(packed))
    return in_order(product, np.argsort(rows, axis=-1))


def fed_back(feedback: Array, error: Array) -> Array:
    """A bound of e where e ≤ error + feedback·e, with a positive error; infinite where none is found.

    An e with error + feedback·e ≤ e proves it: then feedback·e < e, so that the spectral radius is below 1. Of a batch
    of matrices, each is bounded by itself. One such e is b + εc, with the sums b = Σ Fᵏ·error and c = Σ Fᵏb over k < K,
    where Fᴷb is at most εb/8: F(b + εc) is b − error + Fᴷ·error + ε(c − b + Fᴷb), so εb is left for Fᴷ(error + εb).
    """
    bound, again = _powers_summed(feedback, error)
    bound = bound + FURTHER * again(bound)
    return np.where(_of_matrices(np.all, error + feedback @ bound <= bound), bound, np.inf)


def _powers_summed(feedback: Array, error: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Σ Fᵏ·error over k < K, K of each matrix so large that Fᴷ changes little; and the same of another array."""
    bound: Any = error
    power = feedback
    doublings: list[tuple[Array, Array]] = []
    for _ in range(DOUBLINGS):
        further = power @ bound
        grows = _of_matrices(np.any, further > bound * (FURTHER / 8)) & _of_matrices(np.all, further < np.inf)
        if not grows.any():
            break
        bound = np.where(grows, bound + further, bound)
        doublings.append((grows, power))
        power = power @ power

    def again(of: Array) -> Array:
        for grows, power in doublings:
            of = np.where(grows, of + power @ of, of)
        return of

    return bound, again


def largest(a: Array) -> Array:
    """The largest entry of each matrix, with unit axes; 0 where there is none."""
    return np.asarray(np.max(a, axis=(-2, -1), keepdims=True, initial=0.0))


def _of_matrices(which: Any, condition: Array) -> Array:
    """Whether any or all entries of each matrix are so, with unit axes."""
    return np.asarray(which(condition, axis=(-2, -1), keepdims=True))
