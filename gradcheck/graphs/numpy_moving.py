"""Functions of NumPy that are products, or move entries, as words of the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradcheck.graphs.sources import RecordingError, user_line
from gradcheck.graphs.values import Value, operated
from gradcheck.graphs.vocabulary import VOCABULARY


def word(name: str) -> Callable[..., Any]:
    """A word of the vocabulary."""
    return VOCABULARY[name]


def dot(a: Any, b: Any) -> Value:
    """The product of vectors and matrices, or with a number; NumPy's `dot` of more axes is no matrix product."""
    if np.ndim(a) > 1 and np.ndim(b) > 2:
        raise RecordingError(f"{user_line()}: np.dot: {np.ndim(b)} axes on the right: write a @ b, or np.einsum")
    return operated("mul" if np.ndim(a) == 0 or np.ndim(b) == 0 else "matmul", a, b)


def transpose(a: Value, axes: Any = None) -> Value:
    """The axes in another order, by default reversed."""
    return a.T if axes is None else word("permute_dims")(a, axes)


def moveaxis(a: Value, source: Any, destination: Any) -> Value:
    """Some axes at other places; NumPy takes lists of them too."""
    places = [tuple(each) if isinstance(each, list) else each for each in (source, destination)]
    return word("moveaxis")(a, *places)  # type: ignore[no-any-return]


def swapaxes(a: Value, axis1: int, axis2: int) -> Value:
    """Two axes at each other's places."""
    order = list(range(a.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return word("permute_dims")(a, order)  # type: ignore[no-any-return]


def vstack(tup: Sequence[Any]) -> Value:
    """Arrays as rows."""
    rows = [np.reshape(array, (1, -1)) if np.ndim(array) < 2 else array for array in tup]
    return word("concat")(rows, 0)  # type: ignore[no-any-return]


def hstack(tup: Sequence[Any]) -> Value:
    """Arrays beside each other."""
    flat = [np.reshape(array, (1,)) if np.ndim(array) == 0 else array for array in tup]
    return word("concat")(flat, 0 if np.ndim(flat[0]) == 1 else 1)  # type: ignore[no-any-return]


def split(ary: Value, indices_or_sections: Any, axis: int = 0) -> list[Value]:
    """Pieces along an axis."""
    length = ary.shape[axis]
    if isinstance(indices_or_sections, int):
        if length % indices_or_sections:
            raise RecordingError(f"{user_line()}: np.split: {length} entries do not divide into {indices_or_sections}")
        width = length // indices_or_sections
        ends = [width * number for number in range(1, indices_or_sections)]
    else:
        ends = list(indices_or_sections)
    before = (slice(None),) * (axis % ary.ndim)
    return [ary[(*before, slice(start, end))] for start, end in zip([0, *ends], [*ends, length], strict=True)]


def expand_dims(a: Value, axis: Any) -> Value:
    """New axes of length one."""
    if isinstance(axis, (tuple, list)):
        return reshaped(a, np.expand_dims(np.empty(a.shape), tuple(axis)).shape)
    return word("expand_dims")(a, axis)  # type: ignore[no-any-return]


def squeeze(a: Value, axis: Any = None) -> Value:
    """Without axes of length one."""
    axes = tuple(place for place, size in enumerate(a.shape) if size == 1) if axis is None else axis
    return a if axes == () else word("squeeze")(a, axes)


def reshaped(a: Value, shape: Any) -> Value:
    """The entries in another shape, of which one size may be −1."""
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    return a if sizes == a.shape else word("reshape")(a, sizes)
