"""The shapes of results, and the axes of words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.instead import described

Axes = int | tuple[int, ...] | None


def normalise_axes(axis: Axes, ndim: int) -> tuple[int, ...]:
    """The axes as non-negative numbers; all of them for None.

    Raises:
        TypeError: it is neither a whole number nor a tuple of them.
        ValueError: there is no such axis, or one comes twice.
    """
    axes = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if not all(hasattr(a, "__index__") for a in axes):
        raise TypeError(f"axis={axis!r}: expected a whole number, or a tuple of them")
    if any(not -ndim <= a < ndim for a in axes):
        raise ValueError(f"no axis {axis} in {ndim} dimensions")
    if len({a % ndim for a in axes}) < len(axes):
        raise ValueError(f"axis={axis!r}: expected each axis once")
    return tuple(a % ndim for a in axes)


def one_axis(axis: int, ndim: int) -> int:
    """An axis as a non-negative number.

    Raises:
        TypeError: it is not a whole number.
        ValueError: there is no such axis.
    """
    if axis is None or isinstance(axis, tuple):
        raise TypeError(f"axis={axis!r}: expected a whole number")
    return normalise_axes(axis, ndim)[0]


def reduced_shape(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """The shape that remains after a sum over the axes."""
    if keepdims:
        return tuple(1 if a in axes else n for a, n in enumerate(shape))
    return tuple(n for a, n in enumerate(shape) if a not in axes)


def matrix_shape(a: Shape, b: Shape) -> Shape:
    """The shape of a product of vectors and matrices.

    Raises:
        ValueError: the shapes do not fit.
    """
    if not (1 <= len(a) <= 2 and 1 <= len(b) <= 2 and a[-1] == b[0]):
        vectors = max(len(a), len(b)) > 2 or not (a and b)
        expected = "vectors and matrices" if vectors else f"{a[-1]} rows on the right"
        raise ValueError(f"shapes {a} and {b} do not fit: expected {expected}")
    return a[:-1] + b[1:]


def outer_shape(a: Shape, b: Shape) -> Shape:
    """The shape of the product a bᵀ of two vectors.

    Raises:
        ValueError: one is not a vector.
    """
    if len(a) != 1 or len(b) != 1:
        raise ValueError(f"two vectors are needed, got shapes {a} and {b}")
    return a + b


def transposed_shape(shape: Shape) -> Shape:
    """The shape of a transpose.

    Raises:
        ValueError: there are more than two axes.
    """
    if len(shape) > 2:
        raise ValueError(f"a vector or a matrix is needed, got shape {shape}")
    return shape[::-1]


def indexed_shape(shape: Shape, index: Any) -> Shape:
    """The shape of a piece of an array; raises IndexError if there is no such piece."""
    piece: np.ndarray = np.broadcast_to(np.empty(()), shape)[index]
    return np.shape(piece)


def concatenated_shape(shapes: list[Shape], axis: int) -> Shape:
    """The shape of concatenated arrays; raises ValueError if they do not fit."""
    joined: np.ndarray = np.concatenate([np.broadcast_to(np.empty(()), each) for each in shapes], axis)
    return joined.shape


def checked_shape(source: Shape, shape: Any) -> Shape:
    """A shape to reshape into: sizes alone.

    Raises:
        TypeError: it is not a tuple or list of whole numbers.
        ValueError: a size is negative, or the sizes do not fit.
    """
    if not isinstance(shape, (tuple, list)) or not all(hasattr(size, "__index__") for size in shape):
        raise TypeError(f"the shape is {described(shape)}: expected a tuple of sizes, such as {(math.prod(source),)}")
    if any(size < 0 for size in shape):
        known = math.prod(size for size in shape if size >= 0)
        rest = math.prod(source) // known if known else 0
        written = tuple(size if size >= 0 else rest for size in shape)
        raise ValueError(f"the shape is {tuple(shape)}: expected every size in numbers; write {written}")
    if math.prod(source) != math.prod(shape):
        raise ValueError(f"cannot reshape {source} into {tuple(shape)}")
    return tuple(shape)
