"""ATen operators that slide windows, and that change the number of entries along axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcheck.graphs.rows import refuse_unless, word
from gradcheck.graphs.torch_arrays import constant_pad_nd, sliced
from gradcheck.graphs.torch_layers import by_channel
from gradcheck.graphs.torch_rows import row


@row("convolution")
def convolution(
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Any:
    """The cross-correlation with filters, or its transpose."""
    if transposed:
        product = _transposed(input, weight, stride, padding, dilation, output_padding, groups)
    else:
        product = word("conv")(input, weight, tuple(stride), tuple(padding), tuple(dilation), groups)
    return product if bias is None else product + by_channel(input, bias)[0]


def _transposed(
    x: Any, weight: Any, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    output_padding: Sequence[int], groups: int,
) -> Any:  # fmt: skip
    """The transpose: a convolution of x, with zeros between its entries, by the filters in reverse."""
    for axis, step in enumerate(stride, 2):
        size = x.shape[axis]
        if step > 1:
            apart = word("expand_dims")(x, axis + 1)
            apart = word("pad")(apart, tuple((0, step - 1 if each == axis + 1 else 0) for each in range(apart.ndim)))
            spread = word("reshape")(apart, (*x.shape[:axis], size * step, *x.shape[axis + 1 :]))
            x = sliced(spread, axis, 0, (size - 1) * step + 1)
    sizes = weight.shape[2:]
    before = [by * (size - 1) - width for by, size, width in zip(dilation, sizes, padding, strict=True)]
    pairs = [(width, width + more) for width, more in zip(before, output_padding, strict=True)]
    x = constant_pad_nd(x, [width for pair in pairs[::-1] for width in pair])
    of, into = weight.shape[0] // groups, weight.shape[1]
    filters = word("reshape")(weight, (groups, of, into, *sizes))
    filters = word("permute_dims")(filters, (0, 2, 1, *range(3, filters.ndim)))
    filters = word("flip")(word("reshape")(filters, (groups * into, of, *sizes)), tuple(range(2, weight.ndim)))
    ones = (1,) * len(sizes)
    return word("conv")(x, filters, ones, (0,) * len(sizes), tuple(dilation), groups)


@row("max_pool2d_with_indices", "max_pool3d_with_indices")
def max_pool(
    self: Any, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """The largest entries of windows, without their places."""
    refuse_unless(set(_each(dilation, 1)) == {1}, f"dilation={dilation}: expected 1")
    axes = 3 if len(np.atleast_1d(kernel_size)) == 3 or self.ndim == 5 else 2
    window, step, around = (_each(each, axes) for each in (kernel_size, stride or kernel_size, padding))
    if ceil_mode:
        sizes = self.shape[-axes:]
        pairs = list(zip(around, _after(sizes, window, step, around), strict=True))
        kept = np.ones([size + min(after, 0) for size, (_, after) in zip(sizes, pairs, strict=True)], bool)
        inside = np.pad(kept, [(before, max(after, 0)) for before, after in pairs])
        self, around = word("where")(inside, _padded(self, pairs, 0), -math.inf), (0,) * axes
    pool = lambda x: word("max_pool")(x, window, step, around)  # noqa: E731
    return _batched(self, axes, pool), None


@row("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(
    self: Any, kernel_size: Any, stride: Any = (), padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """The means of windows, or their sums divided by other numbers."""
    axes, sizes = len(kernel_size), self.shape[-len(kernel_size) :]
    window, step, around = (_each(each, axes) for each in (kernel_size, stride or kernel_size, padding))
    after = _after(sizes, window, step, around) if ceil_mode else around
    padded = _padded(self, list(zip(around, after, strict=True)), 0)
    means = _batched(padded, axes, lambda x: word("avg_pool")(x, window, step))
    entries, edge = math.prod(window), around if count_include_pad else (0,) * axes
    counts = np.ones(())
    for axis in range(axes):
        starts = np.arange(means.shape[axis - axes]) * step[axis] - around[axis]
        ends = np.minimum(starts + window[axis], sizes[axis] + edge[axis])
        counts = counts[..., None] * (ends - np.maximum(starts, -edge[axis]))
    divisors = np.full_like(counts, divisor_override) if divisor_override else counts
    return means if (divisors == entries).all() else means * entries / divisors


def _after(sizes: Sequence[int], window: Sequence[int], step: Sequence[int], around: Sequence[int]) -> tuple[int, ...]:
    """The widths of the padding after the entries in ceil_mode; a window that starts in it is none."""
    found = []
    for size, length, by, width in zip(sizes, window, step, around, strict=True):
        count = -(-(size + 2 * width - length) // by) + 1
        count -= (count - 1) * by >= size + width
        found.append((count - 1) * by + length - size - width)
    return tuple(found)


def _padded(a: Any, pairs: Sequence[tuple[int, int]], value: float) -> Any:
    """An array with numbers before and after the entries along its last axes."""
    return constant_pad_nd(a, [width for pair in pairs[::-1] for width in pair], value)


def _each(steps: Any, axes: int) -> tuple[int, ...]:
    """A number for each axis."""
    several = tuple(np.atleast_1d(steps).tolist())
    return several * axes if len(several) == 1 else several


def _batched(a: Any, axes: int, pool: Any) -> Any:
    """The pooled array of a batch, or of a single entry of a batch."""
    return pool(a) if a.ndim == axes + 2 else word("squeeze")(pool(word("expand_dims")(a, 0)), 0)


@row("_adaptive_avg_pool2d", "_adaptive_avg_pool3d")
def adaptive_avg_pool(self: Any, output_size: Sequence[int]) -> Any:
    """The means of as many pieces along each axis as the result has entries."""
    sizes = self.shape[-len(output_size) :]
    pieces = [
        [slice(place * size // count, -(-(place + 1) * size // count)) for place in range(count)]
        for size, count in zip(sizes, output_size, strict=True)
    ]
    axes = tuple(range(-len(output_size), 0))
    means = [word("mean")(self[(..., *each)], axes) for each in itertools.product(*pieces)]
    return word("reshape")(word("stack")(means, -1), (*self.shape[: -len(output_size)], *output_size))


@row("upsample_nearest1d.vec", "upsample_nearest2d.vec", "upsample_nearest3d.vec")
def upsample_nearest(
    input: Any, output_size: Sequence[int] | None = None, scale_factors: Sequence[float] | None = None
) -> Any:
    """The nearest entries along the last axes, whose places PyTorch computes in float32."""
    for axis, (size, length, factor) in enumerate(_lengths(input, output_size, scale_factors), 2):
        scale = np.float32(size / length if factor is None else 1 / factor)
        places = np.floor(np.arange(length, dtype=np.float32) * scale).astype(int)
        input = word("take")(input, np.minimum(places, size - 1), axis)
    return input


@row("upsample_bilinear2d.vec")
def upsample_bilinear(
    input: Any, output_size: Sequence[int] | None = None, align_corners: bool = False,
    scale_factors: Sequence[float] | None = None,
) -> Any:  # fmt: skip
    """Means of four neighbours each, with weights that no dtype rounds."""
    weights = [
        _weights(size, length, factor, align_corners)
        for size, length, factor in _lengths(input, output_size, scale_factors)
    ]
    return word("einsum")("bchw,Hh,Ww->bcHW", input, *weights)


def _lengths(
    input: Any, output_size: Sequence[int] | None, factors: Sequence[float] | None
) -> list[tuple[int, int, float | None]]:
    """Of each axis of an image its length, that of the result, and the factor between them, if it is given."""
    sizes = input.shape[2:]
    if output_size:
        return [(size, length, None) for size, length in zip(sizes, output_size, strict=True)]
    return [(size, int(size * factor), factor) for size, factor in zip(sizes, factors or (), strict=True)]


def _weights(size: int, length: int, factor: float | None, align_corners: bool) -> Any:
    """The weights of entries in linear interpolation, length × size.

    Raises:
        RecordingError: a dtype may round one.
    """
    if align_corners:
        scale = (size - 1) / (length - 1) if length > 1 else 0.0
        places = np.arange(length) * scale
    else:
        scale = size / length if factor is None else 1 / factor
        places = np.maximum((np.arange(length) + 0.5) * scale - 0.5, 0)
    exact = math.frexp(scale)[0] in (0.0, 0.5)  # zero, or a power of two
    expected = "expected a factor of a power of two"
    refuse_unless(exact, f"{size} entries become {length}, with rounded weights: {expected}")
    first = np.minimum(places.astype(int), size - 1)
    found = np.zeros((length, size))
    found[np.arange(length), first] = 1 - (places - first)
    np.add.at(found, (np.arange(length), np.minimum(first + 1, size - 1)), places - first)
    return found
