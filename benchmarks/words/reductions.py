"""Words that reduce axes, and those that have every entry of an axis in each entry of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.words.declaration import (
    AXES,
    Array,
    Tie,
    Word,
    Words,
    along,
    chosen,
    has_axis,
    is_exact,
    log_sum_exp,
    nothing,
    shares,
)


def largest_gradient(g: Array, v: Array, a: Array, axis: int | None) -> Array:
    """The gradient of the largest or smallest entry; ties share it.

    Raises:
        Tie: balls leave it open.
    """
    largest = ~np.asarray(a < along(v, a, axis), bool) & ~np.asarray(a > along(v, a, axis), bool)
    count = np.sum(largest, axis=axis, keepdims=True)
    if is_exact(a) and np.any(count > 1):
        raise Tie
    return np.where(largest, along(g, a, axis) / count.astype(g.dtype), nothing(a))


def _count(a: Array, axis: int | None) -> int:
    return a.size if axis is None else a.shape[axis]


def _mean(a: Array, axis: int | None) -> Array:
    return np.asarray(np.sum(a, axis=axis, keepdims=True) / _count(a, axis))


def _variance(a: Array, axis: int | None) -> Array:
    """Divided by one less than the number of entries."""
    distance = a - _mean(a, axis)
    return np.asarray(np.sum(distance * distance, axis=axis) / (_count(a, axis) - 1))


def _root(a: Array) -> Array:
    """√a.

    Raises:
        Tie: it may be zero, where it has no gradient.
    """
    if is_exact(a) and not np.all(a > 0):
        raise Tie
    return np.asarray(np.sqrt(a))


def _variance_gradient(g: Array, a: Array, axis: int | None) -> Array:
    return np.asarray(along(g, a, axis) * (2 * (a - _mean(a, axis)) / (_count(a, axis) - 1)))


def _order(a: Array) -> Array:
    """The places of the entries in order along the last axis.

    Raises:
        Tie: balls leave the order open.
    """
    order = np.argsort(a, axis=-1, kind="stable")
    ranked = np.take_along_axis(a, order, axis=-1)
    if is_exact(a) and not np.all(ranked[..., :-1] < ranked[..., 1:]):
        raise Tie
    return order


def _put_back(g: Array, a: Array, places: Array) -> Array:
    """What was taken from places of an array goes back there."""
    found = nothing(a)
    np.put_along_axis(found, places, g, axis=-1)
    return found


def _taken_in_order(name: str, places: Callable[[Array], Array]) -> Word:
    """Entries at places that others decide, which have no gradient."""
    return Word(
        f"ops.take_along_axis({{0}}, {name}, axis=-1)",
        lambda _n, a, b: np.take_along_axis(a, places(b), axis=-1),
        lambda _n, g, _v, a, b: (_put_back(g, a, places(b)), nothing(b)),
        fits=lambda _n, a, b: a.ndim > 0 and a.shape == b.shape,
    )


def _long(_n: Any, a: Array) -> bool:
    """Whether a variance has two entries at least."""
    return min(a.shape, default=0) > 1


REDUCTIONS: Words = {
    "sum": Word("ops.sum({0}, axis={n})", lambda n, a: np.sum(a, axis=n),
                lambda n, g, v, a: (along(g, a, n) + nothing(a),), AXES, fits=has_axis),
    "mean": Word("ops.mean({0}, axis={n}, keepdims=True)", lambda n, a: _mean(a, n),
                 lambda n, g, v, a: (g / _count(a, n) + nothing(a),), AXES, fits=has_axis),
    "max": Word("ops.max({0}, axis={n})", lambda n, a: np.max(a, axis=n),
                lambda n, g, v, a: (largest_gradient(g, v, a, n),), AXES, fits=has_axis),
    "min": Word("ops.min({0}, axis={n})", lambda n, a: np.min(a, axis=n),
                lambda n, g, v, a: (largest_gradient(g, v, a, n),), AXES, fits=has_axis),
    "var": Word("ops.var({0}, axis={n}, correction=1)", lambda n, a: _variance(a, n),
                lambda n, g, v, a: (_variance_gradient(g, a, n),), (-1, 0), fits=_long),
    "std": Word("ops.std({0}, axis={n}, correction=1)", lambda n, a: _root(_variance(a, n)),
                lambda n, g, v, a: (_variance_gradient(g / (2 * v), a, n),), (-1, 0),
                fits=_long),
    "vector_norm": Word("ops.vector_norm({0}, axis={n})", lambda n, a: _root(np.sum(a * a, axis=n)),
                        lambda n, g, v, a: (along(g, a, n) * (a / along(v, a, n)),), AXES, fits=has_axis),
    "vector_norm of order 1": Word("ops.vector_norm({0}, axis={n}, ord=1)",
                                   lambda n, a: np.sum(np.abs(a), axis=n),
                                   lambda n, g, v, a: (chosen(a, 0, along(g, a, n), -along(g, a, n)),), AXES,
                                   fits=has_axis),
    "logsumexp": Word("ops.logsumexp({0}, axis={n}, keepdims=True)", lambda n, a: log_sum_exp(a, n),
                      lambda n, g, v, a: (g * shares(a, n),), AXES, fits=has_axis),
    "softmax": Word("ops.softmax({0}, axis={n})", lambda n, a: shares(a, n),
                    lambda n, g, v, a: (v * (g - np.sum(g * v, axis=n, keepdims=True)),), (-1, 0),
                    fits=has_axis),
    "log_softmax": Word("ops.log_softmax({0}, axis={n})", lambda n, a: a - log_sum_exp(a, n),
                        lambda n, g, v, a: (g - shares(a, n) * np.sum(g, axis=n, keepdims=True),), (-1, 0),
                        fits=has_axis),
    "cumulative_sum": Word("ops.cumulative_sum({0}, axis={n})", lambda n, a: np.cumsum(a, axis=n),
                           lambda n, g, v, a: (np.flip(np.cumsum(np.flip(g, n), axis=n), n),), (-1, 0),
                           fits=has_axis),
    "sort": Word("ops.sort({0})", lambda _n, a: np.sort(a, axis=-1), lambda _n, g, v, a: (_put_back(g, a, _order(a)),)),
    "argsort": _taken_in_order("ops.argsort({1})", _order),
    "argmax": _taken_in_order("ops.argmax({1}, axis=-1, keepdims=True)", lambda b: _order(b)[..., -1:]),
    "argmin": _taken_in_order("ops.argmin({1}, axis=-1, keepdims=True)", lambda b: _order(b)[..., :1]),
}  # fmt: skip
