"""Linear algebra in NumPy, for real and complex matrices of any precision.

NumPy's own has no longdouble, and takes a complex matrix as Hermitian. Only workers import it.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def cholesky(a: Any) -> Any:
    """The lower triangular L of (a + aᵀ)/2 = L Lᵀ, column by column."""
    a = (a + a.T) / 2
    result = np.zeros_like(a)
    for column in range(len(a)):
        rest = a[column:, column] - result[column:, :column] @ result[column, :column]
        result[column:, column] = rest / np.sqrt(np.where(np.real(rest[0]) > 0, rest[0], np.nan))
    return result


def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """The solution x of T x = b, T one triangle of a, by substitution."""
    x = np.zeros(b.shape, np.result_type(a, b))
    for row in range(len(a)) if lower else reversed(range(len(a))):
        known = slice(None, row) if lower else slice(row + 1, None)
        x[row] = (b[row] - a[row, known] @ x[known]) / a[row, row]
    return x
