"""Sorted entries, and gradients that go back to where the entries came from (docs/math.md, R33).

All works along the last axis. Where errors or ties leave the order open, an entry has several possible ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gradcheck.graphs.shapes import one_axis
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import Operation, Variable, apply
from gradcheck.oracle.operations.indexing import pick
from gradcheck.oracle.operations.movements import moveaxis
from gradcheck.oracle.operations.ordering import reach_of
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import DOUBT, Array, Bounded, Errors, Spread, Values, Variances

WITHIN = DOUBT - 1
"""The deviations at which an entry of another rank lies: its own later roundings, which add in squares, stay within
``DOUBT``."""


class Ranks(NamedTuple):
    """The lowest and the highest possible rank of each entry, rows of whole numbers."""

    low: Array
    high: Array

    def visit(self, function: Callable[[Array], Any]) -> None:
        """Call a function with one possible rank of each entry after the other, until all were visited."""
        for shift in range(int(np.max(self.high - self.low, initial=-1)) + 1):
            function(np.minimum(self.low + shift, self.high))


def ranks_of(a: Bounded) -> Ranks:
    """The possible ranks."""
    rows = _rows(a.native)
    reach = _rows(reach_of(a))
    low, high = np.zeros(rows.shape, np.intp), np.full(rows.shape, rows.shape[1] - 1)
    for number, (row, by) in enumerate(zip(rows, reach, strict=True)):
        if np.isfinite(by).all() and not np.isnan(row).any():
            low[number] = np.searchsorted(np.sort(row + by), row - by, "left")
            high[number] = np.searchsorted(np.sort(row - by), row + by, "right") - 1
    return Ranks(low, high)


def _rows(a: Array) -> Array:
    return a.reshape(-1, a.shape[-1]) if a.size else a.reshape(0, a.shape[-1])


def _sorted_worst(_format: Format, result: Values, a: Bounded) -> Errors:
    """The largest E of the entries that may have the rank."""
    if a.error is None:
        return None
    errors = _rows(np.broadcast_to(a.error, a.native.shape))
    found, numbers = np.zeros(errors.shape), np.arange(len(errors))[:, None]
    ranks_of(a).visit(lambda rank: np.maximum.at(found, (numbers, rank), errors))
    return found.reshape(result.native.shape)


def _sorted_variance(format: Format, result: Values, a: Spread) -> Variances:
    """The same for ``DOUBT`` standard deviations."""
    error = _sorted_worst(format, result, a.at_doubt)
    return None if error is None else np.square(error / WITHIN)


def _returned(a: Array, g: Array) -> Array:
    """The gradients of sorted entries in the places of these."""
    order = np.argsort(a, axis=-1, kind="stable")
    result = np.empty_like(g)
    np.put_along_axis(result, order, g, axis=-1)
    return result


def _returned_apart(result: Values, a: Bounded, g: Bounded, far: float, off: float) -> Errors:
    """The largest of far · the distance and off · E, of the gradients of all possible ranks."""
    gradients, errors = _rows(g.native), _rows(np.broadcast_to(g.errors, g.native.shape))
    middles = _rows(result.native)
    found = np.zeros(middles.shape)

    def widen(rank: Array) -> None:
        away = np.abs(np.take_along_axis(gradients, rank, -1) - middles).astype(np.float64)
        np.maximum(found, far * away + off * np.take_along_axis(errors, rank, -1), out=found)

    ranks_of(a).visit(widen)
    return found.reshape(result.native.shape)


def _possible_ranks(balls: Array) -> list[range]:
    """The possible ranks of Arb balls."""
    certain = [sum(bool(other < each) for other in balls) for each in balls]
    above = [sum(bool(other > each) for other in balls) for each in balls]
    return [range(low, len(balls) - high) for low, high in zip(certain, above, strict=True)]


def _union(balls: list[Any]) -> Any:
    union = balls[0]
    for each in balls[1:]:
        union = union.union(each)
    return union


def _sorted_ball(a: Array) -> Array:
    return _followed_ball(a, a)


def _returned_ball(a: Array, g: Array) -> Array:
    result = np.empty(a.shape, dtype=object)
    for place in np.ndindex(a.shape[:-1]):
        for number, ranks in enumerate(_possible_ranks(a[place])):
            result[(*place, number)] = _union([g[(*place, rank)] for rank in ranks])
    return result


def _followed(a: Array, g: Array) -> Array:
    """The entries of g in the order of a."""
    return np.take_along_axis(g, np.argsort(a, axis=-1, kind="stable"), axis=-1)


def _followed_apart(result: Values, a: Bounded, g: Bounded, far: float, off: float) -> Errors:
    """The largest of far · the distance and off · E, of all entries that may have the rank."""
    entries, errors = _rows(g.native), _rows(np.broadcast_to(g.errors, g.native.shape))
    middles, numbers = _rows(result.native), np.arange(len(entries))[:, None]
    found = np.zeros(middles.shape)

    def widen(rank: Array) -> None:
        away = np.abs(entries - np.take_along_axis(middles, rank, -1)).astype(np.float64)
        np.maximum.at(found, (numbers, rank), far * away + off * errors)

    ranks_of(a).visit(widen)
    return found.reshape(result.native.shape)


def _by_ranks(apart: Callable[[Values, Bounded, Bounded, float, float], Errors]) -> dict[str, Any]:
    """The error rules of entries that move with the order of others: which rank it is, is a choice (W5)."""

    def variance(_format: Format, result: Values, a: Spread, g: Spread) -> Variances:
        error = apart(result, a.at_doubt, g.at_doubt, 0.0, 1.0)
        return None if error is None else np.square(error / WITHIN)

    return {
        "worst": lambda _format, result, a, g: apart(result, a, g, 1.0, 1.0),
        "variance": variance,
        "coherent": lambda _format, result, a, g: apart(result, a.at_doubt, g.at_doubt, 1.0, 0.0),
        "shape": lambda a, _g: a,
    }


def _followed_ball(a: Array, g: Array) -> Array:
    result = np.empty(a.shape, dtype=object)
    for place in np.ndindex(a.shape[:-1]):
        ranks = _possible_ranks(a[place])
        for rank in range(a.shape[-1]):
            result[(*place, rank)] = _union([ball for ball, each in zip(g[place], ranks, strict=True) if rank in each])
    return result


def _followed_gradients(moved: Variable, _v: Variable, a: Variable, _g: Variable) -> tuple[None, Variable]:
    return None, apply(RETURNED, a, moved)


FOLLOWED = Operation(
    "sort like",
    _followed,
    _followed_gradients,
    ball=_followed_ball,
    **_by_ranks(_followed_apart),
)
RETURNED: Operation = Operation(
    "unsort",
    _returned,
    lambda moved, _v, a, _g: (None, apply(FOLLOWED, a, moved)),
    ball=_returned_ball,
    **_by_ranks(_returned_apart),
)
SORTED = Operation(
    "sort",
    lambda a: np.sort(a, axis=-1),
    lambda g, _v, a: (apply(RETURNED, a, g),),
    _sorted_worst,
    _sorted_variance,
    shape=lambda shape: shape,
    ball=_sorted_ball,
)


@rule(worst="exact", typical="0")
def sort(a: Variable, axis: int = -1, descending: bool = False) -> Variable:
    """The entries in order along an axis."""
    place = one_axis(axis, a.ndim)
    ascending = apply(SORTED, moveaxis(a, place, -1))
    ordered = pick(ascending, (..., slice(None, None, -1))) if descending else ascending
    return moveaxis(ordered, -1, place)
