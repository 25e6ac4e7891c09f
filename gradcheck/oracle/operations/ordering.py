"""The places of entries in order: integers that entries of a case decide (docs/math.md, R43).

They are known before a walk; a walk tells whether errors of the entries leave them open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck.graphs.shapes import normalise_axes, one_axis, reduced_shape
from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import Operation, Shape, Variable, apply, no_gradients
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Values

IsOpen = Callable[[Array, Array, Array], Array]
"""(entries, their errors, places) -> where errors leave the places open; booleans of the shape of the places."""


def reach_of(a: Bounded) -> Array:
    """The errors of entries, widened by more than the rounding of sums with them."""
    if a.error is None:
        return np.zeros(a.native.shape)
    errors = np.broadcast_to(a.error, a.native.shape)
    return np.where(errors > 0, errors * WIDENING + 4 * np.finfo(a.native.dtype).eps * a.size, 0.0)


def _settling(name: str, places: Callable[[Array], Array], is_open: IsOpen, shape: Callable[[Shape], Shape]) -> Any:
    """An operation that awaits the entries of a case."""

    def unknown(*_: Any) -> Any:
        raise TypeError(f"{name}: the entries of the case are not known: expected a tape at its inputs")

    def settle(entries: Array) -> Operation:
        known = places(entries)

        def worst(_format: Format, _result: Values, a: Bounded) -> Errors:
            open_ = is_open(a.native, reach_of(a), known)
            return np.where(open_, np.inf, 0.0) if open_.any() else None

        return Operation(name, lambda _a: known, no_gradients, worst, lambda *_: None, shape=shape)

    return Operation(name, unknown, no_gradients, unknown, unknown, shape=shape, settle=settle)


def _in_order(a: Array, axis: int, descending: bool) -> Array:
    return np.argsort(-a if descending else a, axis, kind="stable")


def _order_is_open(a: Array, reach: Array, order: Array, axis: int, descending: bool) -> Array:
    """Rows in which the intervals of two neighbours meet; equal entries without errors keep their order."""
    sign = -1 if descending else 1
    middles = np.moveaxis(sign * np.take_along_axis(a, order, axis), axis, -1)
    reaches = np.moveaxis(np.take_along_axis(reach, order, axis), axis, -1)
    places = np.moveaxis(order, axis, -1)
    apart = middles[..., :-1] + reaches[..., :-1] < middles[..., 1:] - reaches[..., 1:]
    equal = middles[..., :-1] == middles[..., 1:]
    exact = (reaches[..., :-1] == 0) & (reaches[..., 1:] == 0)
    certain = apart | (equal & exact & (places[..., :-1] < places[..., 1:]))
    return np.broadcast_to(np.expand_dims(~certain.all(axis=-1), axis), order.shape)


def _place_is_open(a: Array, reach: Array, place: Array, axis: int, sign: int) -> Array:
    """Where another entry may be as large; an equal one without errors comes later."""
    best = np.take_along_axis(a, place, axis), np.take_along_axis(reach, place, axis)
    numbers = np.arange(a.shape[axis]).reshape(*[1] * axis, -1, *[1] * (a.ndim - axis - 1))
    apart = sign * a + reach < sign * best[0] - best[1]
    later = (a == best[0]) & (reach == 0) & (best[1] == 0) & (numbers > place)
    certain = (apart | later | (numbers == place)).all(axis=axis, keepdims=True)
    return np.asarray(~certain)


@rule(worst="exact", typical="0")
def argsort(a: Variable, axis: int = -1, descending: bool = False) -> Variable:
    """The places of the entries in order along an axis."""
    place = one_axis(axis, a.ndim)
    operation = _settling(
        "argsort",
        lambda entries: _in_order(entries, place, descending),
        lambda entries, reach, order: _order_is_open(entries, reach, order, place, descending),
        lambda shape: shape,
    )
    return apply(operation, a)


@rule(worst="exact", typical="0")
def argmax(a: Variable, axis: int | None = None, keepdims: bool = False) -> Variable:
    """The place of the largest entry."""
    return _extreme("argmax", a, axis, keepdims, 1)


@rule(worst="exact", typical="0")
def argmin(a: Variable, axis: int | None = None, keepdims: bool = False) -> Variable:
    """The place of the smallest entry."""
    return _extreme("argmin", a, axis, keepdims, -1)


def _extreme(name: str, a: Variable, axis: int | None, keepdims: bool, sign: int) -> Variable:
    axes = normalise_axes(None if axis is None else one_axis(axis, a.ndim), a.ndim)
    along = 0 if axis is None else axes[0]
    shape = reduced_shape(a.shape, axes, keepdims)

    def rows(entries: Array) -> Array:
        return entries.reshape(-1) if axis is None else entries

    def is_open(entries: Array, reach: Array, places: Array) -> Array:
        kept = places.reshape(1) if axis is None else places.reshape(reduced_shape(a.shape, axes, True))
        return _place_is_open(rows(entries), rows(reach), kept, along, sign).reshape(shape)

    def places(entries: Array) -> Array:
        return np.asarray(np.argmax(sign * rows(entries), along)).reshape(shape)

    return apply(_settling(name, places, is_open, lambda _: shape), a)
