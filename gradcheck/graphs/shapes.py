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
    """The shape of a product of vectors and matrices; of matrices, the axes before the last two broadcast.

    Raises:
        ValueError: the shapes do not fit.
    """
    if not (a and b):
        raise ValueError(f"shapes {a} and {b} do not fit: expected vectors and matrices; write a * b")
    rows = b[0] if len(b) == 1 else b[-2]
    if a[-1] != rows:
        raise ValueError(f"shapes {a} and {b} do not fit: expected {a[-1]} rows on the right")
    return broadcast_shape(a[:-2], b[:-2], (a, b)) + a[-2:-1] + (b[-1:] if len(b) > 1 else ())


def broadcast_shape(a: Shape, b: Shape, whole: tuple[Shape, Shape]) -> Shape:
    """The shape of axes that broadcast.

    Args:
        a: the sizes of some axes of the first operand.
        b: of the second one.
        whole: the shapes of both, for the message.

    Raises:
        ValueError: they do not fit.
    """
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        shapes = f"shapes {whole[0]} and {whole[1]} do not fit"
        raise ValueError(f"{shapes}: expected {a} and {b} to have equal sizes, or 1, from the right") from None


def paired_axes(a: Shape, b: Shape, axes: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of two operands that tensordot sums over, none of them negative.

    Args:
        a: the shape of the left operand.
        b: of the right one.
        axes: a number of axes, or a pair of axes or of tuples of them.

    Raises:
        TypeError: it is neither.
        ValueError: there are no such axes, or they have other lengths.
    """
    pair = axes
    if hasattr(axes, "__index__"):
        if not 0 <= axes <= min(len(a), len(b)):
            raise ValueError(f"axes={axes} of shapes {a} and {b}: expected at most {min(len(a), len(b))}")
        pair = (tuple(range(len(a) - axes, len(a))), tuple(range(axes)))
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"axes={axes!r}: expected a number of axes, or a pair of tuples of axes")
    mine, theirs = (tuple(each) if isinstance(each, (tuple, list)) else (each,) for each in pair)
    of_a, of_b = normalise_axes(mine, len(a)), normalise_axes(theirs, len(b))
    lengths = tuple(a[axis] for axis in of_a), tuple(b[axis] for axis in of_b)
    if lengths[0] != lengths[1]:
        raise ValueError(f"shapes {a} and {b} do not fit: the axes have lengths {lengths[0]} and {lengths[1]}")
    return of_a, of_b


def square_shape(a: Shape) -> Shape:
    """The shape of square matrices.

    Raises:
        ValueError: they are none.
    """
    if len(a) < 2 or a[-2] != a[-1]:
        raise ValueError(f"got shape {a}: expected square matrices, along the last two axes")
    return a


def system_shape(a: Shape, b: Shape) -> Shape:
    """The shape of the solutions x of a x = b, b a vector if it has one axis, and matrices if it has more.

    Raises:
        ValueError: the first are no square matrices, or the shapes do not fit.
    """
    rows = square_shape(a)[-1]
    if len(b) == 1 and b[0] == rows:
        return a[:-1]
    if len(b) < 2 or b[-2] != rows:
        expected = f"expected a vector of {rows} entries, or matrices of {rows} rows, on the right"
        hint = "; a vector for each matrix is b[..., None]" if len(a) > 2 and b[-1:] == (rows,) else ""
        raise ValueError(f"shapes {a} and {b} do not fit: {expected}{hint}")
    return broadcast_shape(a[:-2], b[:-2], (a, b)) + b[-2:]


def outer_shape(a: Shape, b: Shape) -> Shape:
    """The shape of the product a bᵀ of two vectors.

    Raises:
        ValueError: one is not a vector.
    """
    if len(a) != 1 or len(b) != 1:
        raise ValueError(f"two vectors are needed, got shapes {a} and {b}")
    return a + b


def permuted_shape(shape: Shape, axes: Any) -> Shape:
    """The shape with its axes in another order.

    Raises:
        TypeError: the order is not a tuple or list of whole numbers.
        ValueError: it does not have each axis once.
    """
    expected = f"expected each axis of shape {shape} once, such as {tuple(range(len(shape)))[::-1]}"
    if not isinstance(axes, (tuple, list, range)) or not all(hasattr(axis, "__index__") for axis in axes):
        raise TypeError(f"the axes are {described(axes)}: {expected}")
    if sorted(axis % max(len(shape), 1) for axis in axes) != list(range(len(shape))):
        raise ValueError(f"the axes are {tuple(axes)}: {expected}")
    return tuple(shape[axis] for axis in axes)


def moved_axes(source: Axes, destination: Axes, ndim: int) -> tuple[int, ...]:
    """The order of axes in which those at ``source`` are at ``destination``.

    Raises:
        TypeError: one is neither a whole number nor a tuple of them.
        ValueError: they do not have equally many axes, or no such ones.
    """
    if source is None or destination is None:
        raise TypeError("expected whole numbers, or tuples of them")
    places = dict(zip(normalise_axes(destination, ndim), normalise_axes(source, ndim), strict=False))
    if len(normalise_axes(source, ndim)) != len(normalise_axes(destination, ndim)):
        raise ValueError(f"got source {source} and destination {destination}: expected equally many axes")
    others = iter(axis for axis in range(ndim) if axis not in places.values())
    return tuple(places[place] if place in places else next(others) for place in range(ndim))


def squeezed_shape(shape: Shape, axis: Axes) -> Shape:
    """The shape without axes of length one.

    Raises:
        TypeError: they are neither a whole number nor a tuple of them.
        ValueError: one is longer, or there is no such axis.
    """
    if axis is None:
        raise TypeError("axis=None: expected a whole number, or a tuple of them")
    axes = normalise_axes(axis, len(shape))
    if any(shape[each] != 1 for each in axes):
        raise ValueError(f"axis={axis!r} of shape {shape}: expected axes of length 1")
    return reduced_shape(shape, axes, keepdims=False)


def broadcasted_shape(source: Shape, shape: Any) -> Shape:
    """The shape to which an array is copied.

    Raises:
        TypeError: it is not a tuple or list of whole numbers.
        ValueError: the array has other lengths, and not 1.
    """
    sizes = sizes_of(source, shape)
    fitting = len(sizes) >= len(source) and all(
        mine in (1, theirs) for mine, theirs in zip(source[::-1], sizes[::-1], strict=False)
    )
    if not fitting or any(size < 0 for size in sizes):
        raise ValueError(f"cannot broadcast {source} to {sizes}: expected equal lengths, or 1, from the right")
    return sizes


def sizes_of(source: Shape, shape: Any) -> Shape:
    """A shape as a tuple of whole numbers; raises TypeError if it is none."""
    if not isinstance(shape, (tuple, list)) or not all(hasattr(size, "__index__") for size in shape):
        raise TypeError(f"the shape is {described(shape)}: expected a tuple of sizes, such as {(math.prod(source),)}")
    return tuple(shape)


def stacked_shape(shapes: list[Shape], axis: int) -> Shape:
    """The shape of stacked arrays.

    Raises:
        TypeError: the axis is not a whole number.
        ValueError: there is no such axis, or the shapes differ.
    """
    if other := [shape for shape in shapes if shape != shapes[0]]:
        raise ValueError(f"shapes {shapes[0]} and {other[0]} do not fit: expected arrays of one shape")
    place = one_axis(axis, len(shapes[0]) + 1)
    return (*shapes[0][:place], len(shapes), *shapes[0][place:])


def indexed_shape(shape: Shape, index: Any) -> Shape:
    """The shape of a piece of an array; raises IndexError if there is no such piece."""
    piece: np.ndarray = np.broadcast_to(np.empty(()), shape)[index]
    return np.shape(piece)


def along_axis_shape(shape: Shape, indices: Shape, axis: int) -> Shape:
    """The shape of entries along an axis at integers; raises ValueError if the other axes do not fit."""
    others = [(*each[:axis], 1, *each[axis + 1 :]) for each in (shape, indices)]
    try:
        fits = len(shape) == len(indices) and np.broadcast_shapes(*others) == others[0]
    except ValueError:
        fits = False
    if not fits:
        expected = f"as many axes, each but axis {axis} of the same length or 1"
        raise ValueError(f"integers of shape {indices} for an array of shape {shape}: expected {expected}")
    return (*shape[:axis], indices[axis], *shape[axis + 1 :])


def check_indices(indices: np.ndarray, size: int) -> None:
    """Check integers that are places along an axis.

    Raises:
        IndexError: one is not among them.
    """
    outside = indices[(indices < 0) | (indices >= size)]
    if outside.size:
        expected = f"expected 0 to {size - 1}" if size else "expected none"
        raise IndexError(f"the index {outside.flat[0]} is outside of an axis of length {size}: {expected}")


def concatenated_shape(shapes: list[Shape], axis: int) -> Shape:
    """The shape of concatenated arrays; raises ValueError if they do not fit."""
    joined: np.ndarray = np.concatenate([np.broadcast_to(np.empty(()), each) for each in shapes], axis)
    return joined.shape


def checked_shape(source: Shape, shape: Any) -> Shape:
    """A shape to reshape into, with the length that −1 stands for.

    Raises:
        TypeError: it is not a tuple or list of whole numbers.
        ValueError: the sizes do not fit.
    """
    sizes = sizes_of(source, shape)
    known = math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) == 1 and known > 0 and math.prod(source) % known == 0:
        return tuple(math.prod(source) // known if size == -1 else size for size in sizes)
    if any(size < 0 for size in sizes) or math.prod(source) != known:
        raise ValueError(f"cannot reshape {source} into {sizes}")
    return sizes
