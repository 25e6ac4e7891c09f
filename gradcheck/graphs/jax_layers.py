"""JAX's primitives that reduce axes, multiply, slide windows, and solve linear systems."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck.graphs.jax_arrays import spaced
from gradcheck.graphs.jax_rows import row
from gradcheck.graphs.rows import refuse_unless, word

REDUCTIONS = {
    "reduce_sum": "sum",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_prod": "prod",
    "reduce_or": "any",
    "reduce_and": "all",
}


def _reduced(name: str) -> Any:
    def reduced(a: Any, axes: Sequence[int], **_: Any) -> Any:
        if isinstance(a, np.ndarray):  # conditions that are known, as NumPy has them
            return getattr(np, name)(a, axis=tuple(axes))
        return word(name)(a, tuple(axes)) if axes else a

    return reduced


for _primitive, _name in REDUCTIONS.items():
    row(_primitive)(_reduced(_name))


@row("cumsum")
def cumsum(a: Any, axis: int, reverse: bool = False) -> Any:
    """The sums up to each entry along an axis, or from it on."""
    return _cumulative("cumulative_sum", a, axis, reverse)


@row("cumprod")
def cumprod(a: Any, axis: int, reverse: bool = False) -> Any:
    """The products up to each entry along an axis, or from it on."""
    return _cumulative("cumulative_prod", a, axis, reverse)


def _cumulative(name: str, a: Any, axis: int, reverse: bool) -> Any:
    if not reverse:
        return word(name)(a, axis)
    return word("flip")(word(name)(word("flip")(a, axis), axis), axis)


@row("sort")
def sort(a: Any, *others: Any, dimension: int, num_keys: int = 1, **_: Any) -> Any:
    """The entries in order, and what moves with them."""
    refuse_unless(num_keys == 1, f"it sorts by {num_keys} keys: expected one")
    ordered = word("sort")(a, dimension)
    if not others:
        return ordered
    places = word("argsort")(a, dimension)
    return ordered, *(_moved(each, places, dimension) for each in others)


def _moved(a: Any, places: Any, axis: int) -> Any:
    """Entries at the places of others; the numbers of the entries themselves are these places."""
    numbers = np.arange(a.shape[axis]).reshape(*[1] * axis, -1, *[1] * (a.ndim - axis - 1))
    if isinstance(a, np.ndarray) and np.array_equal(a, np.broadcast_to(numbers, a.shape)):
        return places
    return word("take_along_axis")(a, places, axis)


@row("argmax")
def argmax(a: Any, axes: Sequence[int], **_: Any) -> Any:
    """The place of the largest entry along an axis."""
    return word("argmax")(a, axes[0])


@row("argmin")
def argmin(a: Any, axes: Sequence[int], **_: Any) -> Any:
    """The place of the smallest entry along an axis."""
    return word("argmin")(a, axes[0])


@row("top_k")
def top_k(a: Any, k: int, axis: int = -1, **_: Any) -> Any:
    """The k largest entries along an axis in order, and their places."""
    first = (*(slice(None),) * (axis % a.ndim), slice(0, k))
    return word("sort")(a, axis, True)[first], word("argsort")(a, axis, True)[first]


@row("jit[log_softmax]")
def log_softmax(a: Any, axes: Sequence[int]) -> Any:
    """The logarithms of the shares of eᵃ along an axis."""
    return word("log_softmax")(a, axes[0])


@row("jit[_var]")
def var(a: Any, _: Any, axes: Sequence[int], correction: float, keepdims: bool) -> Any:
    """The variance along axes."""
    return word("var")(a, tuple(axes), correction, keepdims)


@row("dot_general")
def dot_general(a: Any, b: Any, dimension_numbers: Any, **_: Any) -> Any:
    """The products summed over some axes of both; batch axes come first in the result."""
    (of_a, of_b), (batch_a, batch_b) = dimension_numbers
    if not batch_a and len(of_a) == 1 and a.ndim <= 2 and b.ndim <= 2:
        left = a if of_a[0] == a.ndim - 1 else a.mT
        right = b if of_b[0] == 0 else b.mT
        return left @ right
    letters = iter(string.ascii_letters)
    of_left = [next(letters) for _ in range(a.ndim)]
    of_right = [next(letters) for _ in range(b.ndim)]
    for mine, theirs in zip((*of_a, *batch_a), (*of_b, *batch_b), strict=True):
        of_right[theirs] = of_left[mine]
    shared = [of_left[axis] for axis in batch_a]
    left = [each for axis, each in enumerate(of_left) if axis not in (*of_a, *batch_a)]
    right = [each for axis, each in enumerate(of_right) if axis not in (*of_b, *batch_b)]
    result = "".join((*shared, *left, *right))
    return word("einsum")(f"{''.join(of_left)},{''.join(of_right)}->{result}", a, b)


@row("conv_general_dilated")
def convolution(
    x: Any,
    w: Any,
    window_strides: Sequence[int],
    padding: Sequence[Sequence[int]],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    dimension_numbers: Mapping[str, Sequence[int]],
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    **_: Any,
) -> Any:
    """The cross-correlation with filters; entries of a transposed one have zeros between them."""
    refuse_unless(batch_group_count == 1, f"batch_group_count={batch_group_count}: expected 1")
    axes = range(2, x.ndim)
    x = word("permute_dims")(x, tuple(dimension_numbers["lhs_spec"]))
    w = word("permute_dims")(w, tuple(dimension_numbers["rhs_spec"]))
    for axis, step in zip(axes, lhs_dilation, strict=True):
        x = spaced(x, axis, step - 1)
    x, around = _padded(x, padding, 0.0)
    result = word("conv")(x, w, tuple(window_strides), around, tuple(rhs_dilation), feature_group_count)
    return word("permute_dims")(result, tuple(int(at) for at in np.argsort(dimension_numbers["out_spec"])))


def _padded(x: Any, padding: Sequence[Sequence[int]], number: float) -> tuple[Any, tuple[int, ...]]:
    """An array with those widths that a word does not take, and the widths that it takes, equal on both sides."""
    around = tuple(max(min(pair), 0) for pair in padding)
    rest = [(before - each, after - each) for (before, after), each in zip(padding, around, strict=True)]
    for axis, (before, after) in enumerate(rest, 2):
        cut = slice(max(-before, 0), x.shape[axis] - max(-after, 0))
        x = x if cut == slice(0, x.shape[axis]) else x[(*(slice(None),) * axis, cut)]
    pairs = ((0, 0), (0, 0), *((max(before, 0), max(after, 0)) for before, after in rest))
    return (word("pad")(x, pairs, number) if any(map(any, pairs)) else x), around


@row("reduce_window_max")
def max_pool(x: Any, **settings: Any) -> Any:
    """The largest entries of windows; around the array stands what is lower than all entries."""

    def pooled(x: Any, window: Any, stride: Any, padding: Any) -> Any:
        is_inside = all(max(pair) < size for pair, size in zip(padding, window, strict=True))
        refuse_unless(is_inside, f"padding={padding} has windows of window={window} without entries: expected less")
        around = tuple(before if before == after else 0 for before, after in padding)
        lowest = word("stop_gradient")(word("min")(x)) - 1.0
        for axis, pair in enumerate(padding, 2):
            sizes = pair if pair[0] != pair[1] else (0, 0)
            shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
            ends = [[word("broadcast_to")(lowest, shape)] if shape[axis] else [] for shape in shapes]
            x = word("concat")([*ends[0], x, *ends[1]], axis) if any(ends) else x
        return word("max_pool")(x, window, stride, around)

    return _windows(x, pooled, **settings)


@row("reduce_window_min")
def min_pool(x: Any, **settings: Any) -> Any:
    """The smallest entries of windows."""
    return -max_pool(-x, **settings)


@row("reduce_window_sum")
def sum_pool(x: Any, **settings: Any) -> Any:
    """The sums of windows."""

    def pooled(x: Any, window: Any, stride: Any, padding: Any) -> Any:
        widths = ((0, 0), (0, 0), *map(tuple, padding))
        padded = word("pad")(x, widths) if any(map(any, padding)) else x
        return word("avg_pool")(padded, window, stride) * float(math.prod(window))

    return _windows(x, pooled, **settings)


def _windows(
    x: Any,
    pooled: Any,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Sequence[Sequence[int]],
    base_dilation: Sequence[int] = (),
    window_dilation: Sequence[int] = (),
    **_: Any,
) -> Any:
    """The result of a pool over the axes along which windows are longer than one; the others become one."""
    refuse_unless({*base_dilation, *window_dilation} <= {1}, "dilated windows have no word: expected dilation 1")
    settings = list(zip(window_dimensions, window_strides, map(tuple, padding), strict=True))
    sliding = [axis for axis, each in enumerate(settings) if each != (1, 1, (0, 0))]
    if not sliding:
        return x
    others = [axis for axis in range(x.ndim) if axis not in sliding]
    moved = word("permute_dims")(x, (*others, *sliding))
    flat = word("reshape")(moved, (-1, 1, *(x.shape[axis] for axis in sliding)))
    window, stride, around = zip(*(settings[axis] for axis in sliding), strict=True)
    result = pooled(flat, window, stride, around)
    back = word("reshape")(result, (*(x.shape[axis] for axis in others), *result.shape[2:]))
    return word("permute_dims")(back, tuple(int(at) for at in np.argsort((*others, *sliding))))


@row("cholesky")
def cholesky(a: Any, **_: Any) -> Any:
    """The lower triangular factor."""
    return word("cholesky")(a)


@row("triangular_solve")
def triangular_solve(
    a: Any,
    b: Any,
    left_side: bool,
    lower: bool,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    """The solution of a triangular system."""
    refuse_unless(not unit_diagonal, "unit_diagonal=True: expected False")
    if not left_side:  # x a = b is aᵀ xᵀ = bᵀ
        return triangular_solve(a, b.mT, True, lower, not transpose_a).mT
    return word("solve_triangular")(a.mT if transpose_a else a, b, lower != transpose_a)


@row("jit[solve]")
def solve(a: Any, b: Any) -> Any:
    """The solution of a linear system."""
    return word("solve")(a, b)


@row("jit[inv]")
def inverse(a: Any) -> Any:
    """The inverse of a matrix."""
    return word("inv")(a)


@row("jit[slogdet]")
def slogdet(a: Any) -> Any:
    """The logarithm of the magnitude of a determinant, without its sign."""
    return None, word("slogdet")(a)
