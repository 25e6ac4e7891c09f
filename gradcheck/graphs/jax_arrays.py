"""JAX's primitives that move entries, take them at known places, and put them there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.jax_rows import row
from gradcheck.graphs.rows import broadcast, constant, refuse_unless, word
from gradcheck.graphs.torch_arrays import cat, stack
from gradcheck.graphs.values import Value


@row("reshape")
def reshape(a: Any, new_sizes: Sequence[int], dimensions: Any = None, **_: Any) -> Any:
    """The entries in another shape."""
    refuse_unless(dimensions is None, "dimensions: expected None")
    return word("reshape")(a, tuple(new_sizes))


@row("squeeze")
def squeeze(a: Any, dimensions: Sequence[int]) -> Any:
    """Without axes of length one."""
    return word("squeeze")(a, tuple(dimensions)) if dimensions else a


@row("transpose")
def transpose(a: Any, permutation: Sequence[int]) -> Any:
    """The axes in another order."""
    return word("permute_dims")(a, tuple(permutation))


@row("rev")
def rev(a: Any, dimensions: Sequence[int]) -> Any:
    """The entries in reverse."""
    return word("flip")(a, tuple(dimensions)) if dimensions else a


@row("broadcast_in_dim")
def broadcast_in_dim(a: Any, shape: Sequence[int], broadcast_dimensions: Sequence[int] = (), **_: Any) -> Any:
    """Copies along new axes, and along those of length one."""
    places = dict(zip(broadcast_dimensions, a.shape, strict=True))
    between = tuple(places.get(axis, 1) for axis in range(len(shape)))
    spread = a if between[len(between) - a.ndim :] == a.shape else word("reshape")(a, between)
    return broadcast(spread, tuple(shape))


@row("slice")
def sliced(a: Any, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Any = None) -> Any:
    """A range of places along each axis."""
    steps = strides or (1,) * a.ndim
    ranges = zip(start_indices, limit_indices, steps, a.shape, strict=True)
    pieces = tuple(
        slice(None) if (start, stop, step) == (0, size, 1) else slice(start, stop, None if step == 1 else step)
        for start, stop, step, size in ranges
    )
    return a if all(piece == slice(None) for piece in pieces) else a[pieces]


@row("split")
def split(a: Any, sizes: Sequence[int], axis: int) -> Any:
    """Ranges of given lengths along an axis, one behind the other."""
    ends = [0, *itertools.accumulate(sizes)]
    return tuple(a[(*(slice(None),) * axis, slice(start, end))] for start, end in itertools.pairwise(ends))


@row("unstack")
def unstack(a: Any, axis: int) -> Any:
    """The pieces along an axis, without it."""
    return word("unstack")(a, axis)


@row("concatenate")
def concatenate(*arrays: Any, dimension: int) -> Any:
    """Several arrays, one behind the other."""
    return cat(arrays, dimension)


@row("stack")
def stacked(*arrays: Any, axis: int = 0) -> Any:
    """Several arrays beside each other, such as the results of all turns of a loop."""
    return stack(arrays, axis)


@row("tile")
def tile(a: Any, reps: Sequence[int]) -> Any:
    """The whole array several times along each axis."""
    return word("tile")(a, tuple(reps))


@row("pad")
def pad(a: Any, value: Any, padding_config: Sequence[Sequence[int]]) -> Any:
    """A number before, after and between the entries; a negative width cuts entries off."""
    number = value.recording.number_of(value) if isinstance(value, Value) else float(value)
    if number is None:
        raise ValueError("it pads with a number that depends on others: expected a constant")
    for axis, (_, _, between) in enumerate(padding_config):
        a = spaced(a, axis, between, number)
    for axis, (before, after, _) in enumerate(padding_config):
        first, last = max(-before, 0), a.shape[axis] - max(-after, 0)
        a = a if (first, last) == (0, a.shape[axis]) else a[(*(slice(None),) * axis, slice(first, last))]
    pairs = tuple((max(before, 0), max(after, 0)) for before, after, _ in padding_config)
    return word("pad")(a, pairs, number) if any(map(any, pairs)) else a


def spaced(a: Any, axis: int, between: int, number: float = 0.0) -> Any:
    """An array with some copies of a number between two entries along an axis."""
    if not between or a.shape[axis] < 2:
        return a
    size = a.shape[axis]
    apart = word("expand_dims")(a, axis + 1)
    widths = tuple((0, between if each == axis + 1 else 0) for each in range(apart.ndim))
    wide = word("pad")(apart, widths, number)
    flat = word("reshape")(wide, (*a.shape[:axis], size * (between + 1), *a.shape[axis + 1 :]))
    return flat[(*(slice(None),) * axis, slice(0, size * (between + 1) - between))]


@row("take")
def take(a: Any, places: Any, fill_value: Any = None) -> Any:
    """The entries at places of the flat array."""
    if (places < 0).any():
        refuse_unless(isinstance(fill_value, float), "an index is out of bounds, where JAX has NaN: expected none")
        kept = take(a, np.maximum(places, 0))
        return word("where")(places >= 0, kept, fill_value)
    for axis, size in enumerate(a.shape):
        indices = _along(a.shape, axis, places)
        if indices is not None and indices.size:
            if indices.ndim:
                return word("take")(a, indices, axis)
            return a[(*(slice(None),) * axis, int(indices))] if size else a
    flat = word("reshape")(a, (-1,))
    return word("take")(flat, places, 0) if places.ndim else flat[int(places)]


def _along(shape: Shape, axis: int, places: Any) -> Any:
    """The integers along one axis that mean these places, or None."""
    before, after = shape[:axis], shape[axis + 1 :]
    between = places.ndim - len(before) - len(after)
    if between < 0 or places.shape[:axis] != before or places.shape[places.ndim - len(after) :] != after:
        return None
    indices = places[(*(0,) * axis, ..., *(0,) * len(after))] // math.prod(after) % shape[axis]
    numbered = np.arange(math.prod(shape)).reshape(shape)
    return indices if np.array_equal(np.take(numbered, indices, axis), places) else None


@row("put")
def put(a: Any, entries: Any, places: Any, adds: bool) -> Any:
    """An array with others at places of the flat array, or added there; −1 is no place."""
    is_inside = places >= 0
    if not is_inside.all():
        entries, places = word("take")(word("reshape")(entries, (-1,)), np.flatnonzero(is_inside), 0), places[is_inside]
    twice = np.unique(places).size < places.size
    refuse_unless(adds or not twice, "it writes a place twice, in no order: expected each place once")
    flat, places = word("reshape")(a, (-1,)), places.reshape(-1)
    entries = word("reshape")(entries, (-1,))
    if adds:
        result = word("at_add")(flat, places, entries)
    else:
        mask = np.zeros(flat.shape, np.bool_)
        mask[places] = True
        alone = word("at_add")(constant(a, np.zeros(flat.shape)), places, entries)
        result = word("where")(mask, alone, flat)
    return word("reshape")(result, a.shape)
