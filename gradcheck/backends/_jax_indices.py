"""Entries at known places: the places are those at which JAX finds the numbers 0, 1, 2, … of an array of that shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Moved(NamedTuple):
    """A step "take" or "put" of the flat array.

    Attributes:
        operator: "take" gives the entries at places; "put" writes entries there, or adds them.
        operands: of "take" the array and the places; of "put" the array, the entries, and their places.
        options: "adds" of "put"; "fill_value" of "take", None where JAX has NaN.
    """

    operator: str
    operands: list[Any]
    options: dict[str, Any]


ShapeOf = Callable[[Any], "tuple[int, ...]"]


def gather(jax: Any, equation: Any, operands: list[Any], shape_of: ShapeOf) -> Moved | None:
    """Entries at integers; −1 is the place of one that is out of bounds, in place of which `fill_value` stands."""
    array, at = operands
    if isinstance(at, dict):
        return None
    options = {**equation.params, "fill_value": -1}
    places = equation.primitive.bind(_numbered(jax, shape_of(array)), at, **options)
    return Moved("take", [array, places], {"fill_value": equation.params.get("fill_value")})


def dynamic_slice(jax: Any, equation: Any, operands: list[Any], shape_of: ShapeOf) -> Moved | None:
    """A piece that begins at integers."""
    array, *starts = operands
    if any(isinstance(each, dict) for each in starts):
        return None
    places = equation.primitive.bind(_numbered(jax, shape_of(array)), *starts, **equation.params)
    return Moved("take", [array, places], {})


def dynamic_update_slice(jax: Any, equation: Any, operands: list[Any], shape_of: ShapeOf) -> Moved | None:
    """An array with another in a piece that begins at integers."""
    array, update, *starts = operands
    if any(isinstance(each, dict) for each in starts):
        return None
    numbered = _numbered(jax, shape_of(array))
    places = jax.lax.dynamic_slice(numbered, starts, shape_of(update))
    return Moved("put", [array, update, places], {"adds": False})


def scatter(jax: Any, equation: Any, operands: list[Any], shape_of: ShapeOf) -> Moved | None:
    """Entries that are put at integers, or added there.

    The place of an entry is where its cotangent comes from; −1 is that of one that is out of bounds.
    """
    array, at, updates = operands
    if isinstance(at, dict):
        return None
    shape = shape_of(array)
    settings = {name: equation.params[name] for name in ("dimension_numbers", "mode")}

    def added(entries: Any) -> Any:
        return jax.lax.scatter_add(jax.numpy.zeros(shape, entries.dtype), at, entries, **settings)

    zeros = jax.numpy.zeros(shape_of(updates), float)
    if math.prod(shape) >= 2 ** (53 if zeros.dtype == "float64" else 24):
        return None
    back = jax.linear_transpose(added, zeros)
    (places,) = back(_numbered(jax, shape).astype(zeros.dtype) + 1)
    return Moved("put", [array, updates, places.astype(int) - 1], {"adds": equation.primitive.name != "scatter"})


def _numbered(jax: Any, shape: tuple[int, ...]) -> Any:
    return jax.numpy.arange(math.prod(shape)).reshape(shape)


PLACES = {
    "gather": gather,
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "scatter": scatter,
    "scatter-add": scatter,
}
