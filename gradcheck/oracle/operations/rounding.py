"""What rounding does to a result: its worst error, and its variance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck.oracle.formats import Format

Shape = tuple[int, ...]
Array = NDArray[Any]
Errors = Array | None
"""Absolute errors or variances, entry by entry; None where an array is exact, so that no work is done on zeros."""

ROUNDING_DEVIATION = 0.6
"""Standard deviation of one rounding error, in units of u·|result|.

A relative error uniform in ±u has 1/√3 = 0.58 (its independence: Higham and Mary 2019, "A new approach to probabilistic
rounding error analysis").
"""


def total(*errors: Errors) -> Errors:
    """The sum of those that are not exact."""
    result: Errors = None
    for error in errors:
        if error is not None:
            result = error if result is None else result + error
    return result


def rounded(format: Format, size: Array, propagated: Errors, roundings: int = 1) -> Array:
    """The error of a result with its own roundings, E + θ(n, u)·(|v|+E) + nt (Higham 2002, sections 2.2 and 3.1)."""
    relative = format.sum_error(roundings)
    local = relative * size + roundings * format.underflow
    return local if propagated is None else local + (1 + relative) * propagated


def rounding_variance(format: Format, size: Array, roundings: float = 1.0) -> Array:
    """The variance of a result's own rounding, (0.6·n·u·v)² + λ²."""
    return np.square((ROUNDING_DEVIATION * roundings * format.roundoff) * size) + format.variance_floor


def summing_variance(terms: int) -> tuple[float, float]:
    """What the rounding of partial sums adds to a variance: (0.6u)²·(first·Σv² + second·(Σv)²).

    The error of a sum is Σ δₖSₖ over its partial sums (Higham 2002, section 4.2). In random order Sₖ has mean k·Σv/n
    and a variance below k·Σv²/n; Σk² is about n³/3 and Σk n²/2. Engines that sum in blocks stay below.
    """
    return terms / 2, terms / 3


def square(size: Array) -> Array:
    """Squares that do not underflow: a variance that is too large costs power and raises no alarm."""
    squares = np.asarray(size * size)
    squares += 2.0**-1022
    return squares
