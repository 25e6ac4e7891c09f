"""Words that describe the entries along axes: their smallest, their spread, their norm."""

from __future__ import annotations

import math

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.shapes import Axes, normalise_axes, reduced_shape
from gradcheck.graphs.values import Value
from gradcheck.graphs.words.declaration import word


@word
def min_(a: Value, axis: Axes = None, keepdims: bool = False) -> Shape:
    """The smallest entry along an axis, several, or all."""
    return reduced_shape(a.shape, normalise_axes(axis, a.ndim), keepdims)


@word
def var(a: Value, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Shape:
    """The squared distances from the mean, summed and divided by their number n less the correction.

    Raises:
        ValueError: the correction is n or more.
    """
    return _corrected(a, axis, correction, keepdims)


@word
def std(a: Value, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Shape:
    """The square root of that variance.

    Raises:
        ValueError: the correction is n or more.
    """
    return _corrected(a, axis, correction, keepdims)


@word
def vector_norm(a: Value, axis: Axes = None, keepdims: bool = False, ord: float = 2) -> Shape:
    """The root of the sum of squares along an axis, several, or all; with ord=1 the sum of magnitudes.

    Raises:
        ValueError: ``ord`` is another number.
    """
    if ord not in (1, 2):
        hint = "write ops.max(ops.abs(a), axis)" if ord == math.inf else "expected 2 or 1"
        raise ValueError(f"ord={ord!r}: {hint}")
    return reduced_shape(a.shape, normalise_axes(axis, a.ndim), keepdims)


def _corrected(a: Value, axis: Axes, correction: float, keepdims: bool) -> Shape:
    axes = normalise_axes(axis, a.ndim)
    count = math.prod(a.shape[each] for each in axes)
    if not isinstance(correction, (int, float)) or not 0 <= correction < count:
        raise ValueError(f"correction={correction!r} of {count} entries: expected a number from 0 to below {count}")
    return reduced_shape(a.shape, axes, keepdims)
