"""Pieces of arrays, entries at integers, and sums of entries that are put there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcheck.graphs.graph import Piece, Shape, Slice, python_index
from gradcheck.graphs.instead import described
from gradcheck.graphs.shapes import along_axis_shape, check_indices, indexed_shape, one_axis
from gradcheck.graphs.sources import RecordingError, user_line
from gradcheck.graphs.values import Value
from gradcheck.graphs.vocabulary import OPERATORS
from gradcheck.graphs.words.declaration import Word, operation, word
from gradcheck.graphs.words.moving import Entries

Indices = Value
"""Integers that ``sample`` gives, or an array of integers."""
IndexList = tuple[Value, ...]
"""Such integers, or a tuple of them for several axes."""


class Indexing(Word):
    """`a[...]`: a piece, which is the node "index", of which entries at arrays of integers are taken, "gather"."""

    def __call__(self, a: Value, pieces: tuple[Any, ...]) -> Value:
        """Record it; see `Word`."""
        if not any(map(_is_index_array, pieces)):
            return super().__call__(a, pieces)
        try:
            axis, basic, arrays = _split(a, pieces)
        except (TypeError, IndexError) as error:
            raise RecordingError(f"{user_line()}: {self.title}: {error}") from error
        if any(piece != slice(None) for piece in basic):
            a = super().__call__(a, basic)
        sizes = a.shape[axis : axis + len(arrays)]
        indices = tuple(from_the_front(each, size) for each, size in zip(arrays, sizes, strict=True))
        result: Value = OPERATORS["gather"](a, indices, axis)
        return result


def _is_index_array(piece: Any) -> bool:
    """Integers that ``sample`` gives, or an array or list of integers, or a constant mask."""
    if isinstance(piece, Value):
        return piece.kind == "integer"
    return isinstance(piece, (list, np.ndarray)) and np.ndim(piece) > 0 and np.asarray(piece).dtype.kind in "iub"


def _split(a: Value, pieces: tuple[Any, ...]) -> tuple[int, tuple[Any, ...], list[Any]]:
    """The first axis of the index arrays in what remains of a, the index without them, and these arrays.

    Raises:
        TypeError: the index has new axes, or slices between its arrays.
        IndexError: it has more axes than a, or a mask of another shape.
    """
    if any(piece is None for piece in pieces):
        raise TypeError("None beside an index array: expected two steps; write a[i][:, None]")
    each_axis: list[Any] = []
    for piece in _without_ellipsis(a, pieces):
        each_axis += _places_of_mask(piece, a.shape[len(each_axis) :]) if _is_mask(piece) else [piece]
    picked = [axis for axis, piece in enumerate(each_axis) if not isinstance(piece, slice)]
    if picked[-1] - picked[0] + 1 != len(picked):
        expected = "expected integers and index arrays side by side; write a[0][:, i].T for a[0, :, i]"
        raise TypeError(f"slices between index arrays: {expected}")
    arrays = [piece for piece in each_axis if _is_index_array(piece)]
    return picked[0], tuple(slice(None) if _is_index_array(piece) else piece for piece in each_axis), arrays


def _without_ellipsis(a: Value, pieces: tuple[Any, ...]) -> list[Any]:
    """Pieces of every axis of a."""
    missing = a.ndim - sum(np.ndim(piece) if _is_mask(piece) else 1 for piece in pieces if piece is not ...)
    if missing < 0:
        raise IndexError(f"an index of {a.ndim - missing} axes for a value of shape {a.shape}")
    place = next((number for number, piece in enumerate(pieces) if piece is ...), len(pieces))
    return [*pieces[:place], *[slice(None)] * missing, *(piece for piece in pieces[place:] if piece is not ...)]


def _is_mask(piece: Any) -> bool:
    """Whether it is an array of booleans of the loss itself."""
    return not isinstance(piece, Value) and _is_index_array(piece) and np.asarray(piece).dtype == np.bool_


def _places_of_mask(mask: Any, axes: Shape) -> Sequence[Any]:
    """The places where it is true, an array for each axis."""
    if np.shape(mask) != axes[: np.ndim(mask)]:
        raise IndexError(f"a mask of shape {np.shape(mask)} for axes of shape {axes}: expected the same shape")
    return np.nonzero(mask)


def from_the_front(indices: Any, size: int) -> Any:
    """Constant indices, those that count from the end as those from the front; others as they are."""
    if isinstance(indices, Value):
        return indices
    array = np.asarray(indices)
    return np.where((array < 0) & (array >= -size), array + size, array)


def index(a: Entries, index: tuple[Piece, ...]) -> Shape:
    """A piece of an array: integers and slices, negative ones too, `...`, and `None` for a new axis."""
    for piece in index:
        if fault := _fault(piece):
            raise TypeError(fault)
    return indexed_shape(a.shape, python_index(index))


OPERATORS["index"] = Indexing("index", "operator []", index, None)


def _fault(piece: Any) -> str:
    """Why some engine lacks an index, if one does; all have integers, slices, an ellipsis and new axes."""
    if piece is None or isinstance(piece, Slice):
        return ""
    if not isinstance(piece, bool) and (isinstance(piece, int) or (isinstance(piece, str) and piece == "...")):
        return ""
    is_condition = isinstance(piece, Value) and piece.is_condition
    expected = "write ops.where(condition, a, b)" if is_condition else "let sample give integers"
    return f"an index is made of integers and slices, got {described(piece)}; {expected}"


@operation("[i]")
def gather(a: Entries, indices: IndexList, axis: int = 0) -> Shape:
    """The entries at integers, which are broadcast together, along one axis or several that follow each other.

    Raises:
        IndexError: an integer of the loss itself is outside of its axis.
    """
    sizes = a.shape[axis : axis + len(indices)]
    for each, size in zip(indices, sizes, strict=True):
        _check(each, size)
    together = np.broadcast_shapes(*(each.shape for each in indices))
    return (*a.shape[:axis], *together, *a.shape[axis + len(indices) :])


@word
def take(a: Entries, indices: Indices, axis: int = 0) -> Shape:
    """The entries at integers along an axis, in the place of which the result has the axes of the integers.

    Raises:
        IndexError: an integer of the loss itself is outside of the axis.
    """
    place = one_axis(axis, a.ndim)
    _check(indices, a.shape[place])
    return (*a.shape[:place], *indices.shape, *a.shape[place + 1 :])


@word
def take_along_axis(a: Entries, indices: Indices, axis: int = -1) -> Shape:
    """The entries at integers along an axis, of each row at its own: the other axes are broadcast together.

    Raises:
        ValueError: the shapes do not fit.
        IndexError: an integer of the loss itself is outside of the axis.
    """
    place = one_axis(axis, a.ndim)
    shape = along_axis_shape(a.shape, indices.shape, place)
    _check(indices, a.shape[place])
    return shape


@word
def one_hot(indices: Indices, num_classes: int) -> Shape:
    """Rows of zeros with 1 at each integer, along a new last axis of length num_classes.

    Raises:
        TypeError: num_classes is not a whole number.
        IndexError: an integer of the loss itself is not below it.
    """
    if not isinstance(num_classes, int) or isinstance(num_classes, bool):
        raise TypeError(f"num_classes is {described(num_classes)}: expected a whole number")
    _check(indices, num_classes)
    return (*indices.shape, num_classes)


@word
def at_add(a: Value, index: IndexList, b: Value) -> Shape:
    """The array a, to which b is added at integers along its first axes; what comes twice is added twice.

    Raises:
        ValueError: b cannot be broadcast to the shape of `a[index]`.
        IndexError: an integer of the loss itself is outside of its axis.
    """
    if len(index) > a.ndim:
        raise ValueError(f"integers for {len(index)} axes of a value of shape {a.shape}: expected at most {a.ndim}")
    place = gather.rule(a, index)
    if np.broadcast_shapes(b.shape, place) != place:
        raise ValueError(f"b has shape {b.shape}: expected {place}, the shape of a at the indices, or fewer axes")
    return a.shape


def _check(indices: Value, size: int) -> None:
    """Check integers of the loss itself; those of ``sample`` are checked when they are drawn."""
    known = indices.recording.known(indices)
    if known is not None:
        check_indices(known, size)
