"""Linear algebra in NumPy, for real and complex matrices of any precision, along the last two axes.

NumPy's own has no longdouble, and takes a complex matrix as Hermitian. Only workers import it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np


def of_each(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes a matrix of one of its shape, for each matrix of an array."""

    @functools.wraps(function)
    def batched(a: Any) -> Any:
        results = np.empty_like(a)
        for place in np.ndindex(a.shape[:-2]):
            results[place] = function(a[place])
        return results

    return batched


def of_each_system(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a matrix and a right-hand side, for arrays of them that broadcast; a vector has one axis."""

    @functools.wraps(function)
    def batched(a: Any, b: Any, **options: Any) -> Any:
        right = b[:, None] if b.ndim == 1 else b
        batch = np.broadcast_shapes(a.shape[:-2], right.shape[:-2])
        matrices, rights = (np.broadcast_to(each, (*batch, *each.shape[-2:])) for each in (a, right))
        x = np.empty(rights.shape, np.result_type(a, b))
        for place in np.ndindex(batch):
            x[place] = function(matrices[place], rights[place], **options)
        return x[..., 0] if b.ndim == 1 else x

    return batched


@of_each
def cholesky(a: Any) -> Any:
    """The lower triangular L of (a + aᵀ)/2 = L Lᵀ, column by column."""
    a = (a + a.T) / 2
    result = np.zeros_like(a)
    for column in range(len(a)):
        rest = a[column:, column] - result[column:, :column] @ result[column, :column]
        result[column:, column] = rest / np.sqrt(np.where(np.real(rest[0]) > 0, rest[0], np.nan))
    return result


@of_each_system
def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """The solution x of T x = b, T one triangle of a, by substitution."""
    x = np.zeros(b.shape, np.result_type(a, b))
    for row in range(len(a)) if lower else reversed(range(len(a))):
        known = slice(None, row) if lower else slice(row + 1, None)
        x[row] = (b[row] - a[row, known] @ x[known]) / a[row, row]
    return x


@of_each_system
def solve(a: Any, b: Any) -> Any:
    """The solution x of a x = b, by elimination with the largest real part as pivot."""
    return solve_triangular(*eliminated(a, np.array(b, np.result_type(a, b))))


def eliminated(a: Any, x: Any) -> Any:
    """An upper triangular matrix, and the right-hand side that belongs to it."""
    rest = a.copy()
    for column in range(len(a)):
        pivot = column + int(np.argmax(np.abs(np.real(rest[column:, column]))))
        rest[[column, pivot]], x[[column, pivot]] = rest[[pivot, column]], x[[pivot, column]]
        factors = rest[column + 1 :, column] / rest[column, column]
        rest[column + 1 :] -= np.multiply.outer(factors, rest[column])
        x[column + 1 :] -= np.multiply.outer(factors, x[column])
    return rest, x


@of_each
def inv(a: Any) -> Any:
    """The inverse."""
    return solve_triangular(*eliminated(a, np.eye(len(a), dtype=a.dtype)))


@of_each
def upper(a: Any) -> Any:
    """The upper triangular matrix of an elimination."""
    return eliminated(a, np.zeros(len(a), a.dtype))[0]


def slogdet(a: Any) -> Any:
    """The logarithm of the magnitude of the determinant."""
    pivots = np.diagonal(upper(a), axis1=-2, axis2=-1)
    return np.sum(np.log(np.where(np.real(pivots) < 0, -pivots, pivots)), axis=-1)
