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
        return word("tensordot")(a, b, (np.ndim(a) - 1, np.ndim(b) - 2))  # type: ignore[no-any-return]
    return operated("mul" if np.ndim(a) == 0 or np.ndim(b) == 0 else "matmul", a, b)


def inner(a: Any, b: Any) -> Value:
    """The products summed over the last axes of both, or with a number."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return operated("mul", a, b)
    return word("tensordot")(a, b, (np.ndim(a) - 1, np.ndim(b) - 1))  # type: ignore[no-any-return]


def tensordot(a: Any, b: Any, axes: Any = 2) -> Value:
    """The products summed over some axes of both."""
    return word("tensordot")(a, b, axes)  # type: ignore[no-any-return]


def einsum(*operands: Any, optimize: Any = False) -> Value:
    """The sums of products over labels of axes, in any order."""
    if not operands or not isinstance(operands[0], str):
        raise RecordingError(f"{user_line()}: np.einsum: expected subscripts first, as in np.einsum('ij,jk->ik', a, b)")
    return word("einsum")(*operands)  # type: ignore[no-any-return]


def vecdot(x1: Any, x2: Any, axis: int = -1) -> Value:
    """The products of vectors along an axis."""
    return word("vecdot")(x1, x2, axis)  # type: ignore[no-any-return]


def pad(array: Value, pad_width: Any, mode: str = "constant", constant_values: Any = 0.0) -> Value:
    """A number before and after the entries along each axis."""
    if mode != "constant":
        raise RecordingError(f"{user_line()}: np.pad: mode={mode!r}: write np.concatenate of pieces")
    pairs = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    return word("pad")(array, pairs, constant_values)  # type: ignore[no-any-return]


def tile(A: Value, reps: Any) -> Value:
    """The whole array repeated along each axis."""
    return word("tile")(A, reps if isinstance(reps, (tuple, list)) else (reps,))  # type: ignore[no-any-return]


def diagonal(a: Value, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """The diagonals along two axes, as the last axis."""
    return word("diagonal")(moveaxis(a, [axis1, axis2], [-2, -1]), offset)  # type: ignore[no-any-return]


def trace(a: Value, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """The sums of these diagonals."""
    return word("sum")(diagonal(a, offset, axis1, axis2), -1)  # type: ignore[no-any-return]


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
