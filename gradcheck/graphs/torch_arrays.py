"""ATen operators that move entries, take them at indices, and put them there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.rows import broadcast, constant, known, refuse_unless, word
from gradcheck.graphs.torch_rows import row
from gradcheck.graphs.values import Value


@row("view")
def view(self: Any, size: Sequence[int]) -> Any:
    """The entries in another shape."""
    return word("reshape")(self, tuple(size))


@row("permute")
def permute(self: Any, dims: Sequence[int]) -> Any:
    """The axes in another order."""
    return word("permute_dims")(self, tuple(dims))


@row("expand")
def expand(self: Any, size: Sequence[int], implicit: bool = False) -> Any:
    """Copies along axes of length one; −1 keeps a length."""
    own = (1,) * (len(size) - self.ndim) + self.shape
    return broadcast(self, tuple(mine if each == -1 else each for each, mine in zip(size, own, strict=True)))


@row("squeeze", "squeeze.dim", "squeeze.dims")
def squeeze(self: Any, dim: int | Sequence[int] | None = None) -> Any:
    """Without axes of length one."""
    axes = range(self.ndim) if dim is None else dim if isinstance(dim, (list, tuple)) else [dim]
    long = tuple(axis for axis in axes if self.shape[axis] == 1) if self.ndim else ()
    return word("squeeze")(self, long) if long else self


@row("unsqueeze")
def unsqueeze(self: Any, dim: int) -> Any:
    """A new axis of length one."""
    return word("expand_dims")(self, dim)


@row("select.int")
def select(self: Any, dim: int, index: int) -> Any:
    """The entries at one place along an axis."""
    return self[(*(slice(None),) * (dim % self.ndim), index)]


@row("slice.Tensor")
def sliced(self: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    """A range of places along an axis."""
    piece = _range(self.shape[dim], start, end, step)
    return self if piece == slice(None) else self[(*(slice(None),) * (dim % self.ndim), piece)]


def _range(size: int, start: int | None, end: int | None, step: int) -> slice:
    """A slice with the places that the axis has."""
    first, last, step = slice(start, end, step).indices(size)
    whole = (first, last, step) == (0, size, 1)
    return slice(None) if whole else slice(first, max(first, last), None if step == 1 else step)


@row("split_with_sizes")
def split_with_sizes(self: Any, split_sizes: Sequence[int], dim: int = 0) -> Any:
    """Ranges of given lengths along an axis, one behind the other."""
    ends = [0, *itertools.accumulate(split_sizes)]
    return tuple(sliced(self, dim, start, end) for start, end in itertools.pairwise(ends))


@row("cat")
def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Several tensors, one behind the other."""
    return word("concat")(list(tensors), dim) if len(tensors) > 1 else tensors[0]


@row("stack")
def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Several tensors beside each other."""
    return word("stack")(list(tensors), dim)


@row("repeat")
def repeat(self: Any, repeats: Sequence[int]) -> Any:
    """The whole tensor several times along each axis."""
    return word("tile")(self, tuple(repeats))


@row("flip")
def flip(self: Any, dims: Sequence[int]) -> Any:
    """The entries in reverse."""
    return word("flip")(self, tuple(dims))


@row("roll")
def roll(self: Any, shifts: Sequence[int], dims: Sequence[int] = ()) -> Any:
    """The entries moved on along axes."""
    if dims:
        return word("roll")(self, tuple(shifts), tuple(dims))
    return word("roll")(self, shifts[0])


@row("tril")
def tril(self: Any, diagonal: int = 0) -> Any:
    """The lower triangles."""
    return word("tril")(self, diagonal)


@row("triu")
def triu(self: Any, diagonal: int = 0) -> Any:
    """The upper triangles."""
    return word("triu")(self, diagonal)


@row("diagonal")
def diagonal(self: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonals along two axes, as the last axis."""
    axes = [axis for axis in range(self.ndim) if axis not in (dim1 % self.ndim, dim2 % self.ndim)]
    matrices = word("permute_dims")(self, (*axes, dim1 % self.ndim, dim2 % self.ndim))
    return word("diagonal")(matrices, offset)


@row("constant_pad_nd")
def constant_pad_nd(self: Any, pad: Sequence[int], value: float = 0) -> Any:
    """Numbers before and after the entries; a negative width cuts entries off."""
    widths = [(pad[at], pad[at + 1]) for at in range(0, len(pad), 2)][::-1]
    widths = [(0, 0)] * (self.ndim - len(widths)) + widths
    for axis, (before, after) in enumerate(widths):
        self = sliced(self, axis, max(-before, 0), self.shape[axis] - max(-after, 0))
    pairs = tuple((max(before, 0), max(after, 0)) for before, after in widths)
    return word("pad")(self, pairs, value) if any(map(any, pairs)) else self


@row("embedding")
def embedding(weight: Any, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False, **_: Any) -> Any:
    """Rows of a table; no gradient flows back into the row of the padding."""
    refuse_unless(not scale_grad_by_freq, "scale_grad_by_freq=True changes the gradient: expected False")
    rows = index(weight, [indices])
    if isinstance(indices, Value):
        refuse_unless(padding_idx < 0, "padding_idx with computed indices: expected constant ones")
        return rows
    padding = np.asarray(indices) == padding_idx
    return word("where")(padding[..., None], word("stop_gradient")(rows), rows) if padding.any() else rows


@row("index_select")
def index_select(self: Any, dim: int, index: Any) -> Any:
    """The entries at integers along an axis."""
    return word("take")(self, index, dim)


@row("gather")
def gather(self: Any, dim: int, index: Any, sparse_grad: bool = False) -> Any:
    """The entries at integers along an axis, of each row at its own."""
    if isinstance(index, Value):
        axis = dim % self.ndim
        same = all(index.shape[each] == size for each, size in enumerate(self.shape) if each != axis)
        refuse_unless(same, f"computed indices of shape {index.shape} for {self.shape}: expected the other axes whole")
        return word("take_along_axis")(self, index, axis)
    return _taken(self, _places_along(self.shape, dim, np.asarray(known(index))))


@row("index.Tensor", "_unsafe_index.Tensor")
def index(self: Any, indices: Sequence[Any]) -> Any:
    """The entries at integers, or where booleans hold, along several axes."""
    if any(isinstance(each, Value) and each.kind == "integer" for each in indices):
        return self[tuple(slice(None) if each is None else each for each in indices)]
    pieces = tuple(slice(None) if each is None else np.asarray(known(each)) for each in indices)
    arrays = [each for each in pieces if isinstance(each, np.ndarray)]
    if len(arrays) == 1 and arrays[0].dtype != np.bool_ and arrays[0].ndim:
        axis = next(at for at, each in enumerate(pieces) if isinstance(each, np.ndarray))
        size = self.shape[axis]
        return word("take")(self, np.where(arrays[0] < 0, arrays[0] + size, arrays[0]), axis)
    return _taken(self, _places(self.shape)[pieces])


@row("index_put", "_unsafe_index_put")
def index_put(self: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """A tensor whose entries at some places are others, or have others added."""
    if len(indices) == 1 and isinstance(indices[0], Value) and indices[0].is_condition and values.shape == ():
        return word("where")(indices[0], values, self)
    pieces = tuple(slice(None) if each is None else np.asarray(known(each)) for each in indices)
    return _put(self, _places(self.shape)[pieces], values, accumulate)


@row("scatter_add")
def scatter_add(self: Any, dim: int, index: Any, src: Any) -> Any:
    """A tensor to which entries of another are added at integers along an axis."""
    places = np.asarray(known(index))
    return _put(self, _places_along(self.shape, dim, places), _corner(src, places.shape), accumulate=True)


@row("scatter_reduce.two")
def scatter_reduce(self: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool = True) -> Any:
    """A tensor with sums or means of entries of another at integers along an axis."""
    refuse_unless(reduce in ("sum", "mean"), f"reduce={reduce!r}: expected sum or mean")
    places = np.asarray(known(index))
    targets = _places_along(self.shape, dim, places)
    counts = np.bincount(targets.ravel(), minlength=math.prod(self.shape)).reshape(self.shape)
    start = self if include_self else word("where")(counts > 0, 0.0, self)
    summed = _put(start, targets, _corner(src, places.shape), accumulate=True)
    return summed if reduce == "sum" else summed / np.maximum(counts + include_self, 1)


@row("scatter.src")
def scatter(self: Any, dim: int, index: Any, src: Any) -> Any:
    """A tensor with entries of another at integers along an axis."""
    places = np.asarray(known(index))
    return _put(self, _places_along(self.shape, dim, places), _corner(src, places.shape), accumulate=False)


@row("scatter.value")
def scatter_value(self: Any, dim: int, index: Any, value: float) -> Any:
    """A tensor with one number at integers along an axis."""
    mask = np.zeros(math.prod(self.shape), np.bool_)
    mask[_places_along(self.shape, dim, np.asarray(known(index)))] = True
    return word("where")(mask.reshape(self.shape), value, self)


@row("select_scatter")
def select_scatter(self: Any, src: Any, dim: int, index: int) -> Any:
    """A tensor with another at one place along an axis."""
    places = np.take(_places(self.shape), index, dim)
    return _put(self, places, src, accumulate=False)


@row("slice_scatter")
def slice_scatter(
    self: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """A tensor with another in a range of places along an axis."""
    pieces = (*(slice(None),) * (dim % self.ndim), slice(start, end, step))
    return _put(self, _places(self.shape)[pieces], src, accumulate=False)


def _places(shape: Shape) -> Any:
    """The place of each entry in the flat array."""
    return np.arange(math.prod(shape)).reshape(shape)


def _places_along(shape: Shape, dim: int, index: Any) -> Any:
    """The places in the flat array that integers along an axis mean, of each row its own."""
    if index.ndim == 0:
        return _places(shape).reshape(-1)[index]
    grids = list(np.indices(index.shape))
    grids[dim] = index
    return _places(shape)[tuple(grids)]


def _taken(self: Any, places: Any) -> Any:
    """The entries at places of the flat array."""
    flat = word("reshape")(self, (-1,))
    if np.ndim(places) == 0:
        return flat[int(places)]
    return word("take")(flat, places, 0)


def _corner(src: Any, shape: Shape) -> Any:
    """The first entries of a tensor along each axis, as many as a shape has."""
    for axis, size in enumerate(shape):
        src = sliced(src, axis, 0, size)
    return src


def _put(self: Any, places: Any, values: Any, accumulate: bool) -> Any:
    """A tensor with others at places of the flat array, or added there."""
    count = math.prod(self.shape)
    places = np.atleast_1d(places)
    twice = np.unique(places).size < places.size
    refuse_unless(accumulate or not twice, "it writes a place twice, in no order: expected each place once")
    flat = word("reshape")(self, (count,))
    added = broadcast(values, places.shape) if isinstance(values, Value) else np.broadcast_to(values, places.shape)
    if accumulate:
        result = word("at_add")(flat, places, added)
    else:
        mask = np.zeros(count, np.bool_)
        mask[places] = True
        result = word("where")(mask, word("at_add")(constant(self, np.zeros(count)), places, added), flat)
    return word("reshape")(result, self.shape)
