"""Convolution and pooling (docs/math.md, R30): products of matrices whose columns are windows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.windows import Steps, Windows, windows_of
from gradcheck.oracle.operations.base import Operation, Variable, apply, no_gradients
from gradcheck.oracle.operations.branches import max_
from gradcheck.oracle.operations.contractions import contract
from gradcheck.oracle.operations.indexing import pick
from gradcheck.oracle.operations.movements import permute_dims, stack
from gradcheck.oracle.operations.places import Part, filled
from gradcheck.oracle.operations.reductions import mean, reshape
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.structure import structural, with_gradients
from gradcheck.oracle.operations.terms import Array


@dataclass(frozen=True)
class Convolution:
    """A cross-correlation of groups of channels.

    Attributes:
        windows: of the filters.
        groups: of channels, each with filters of its own.
    """

    windows: Windows
    groups: int

    def __call__(self, x: Variable, w: Variable) -> Variable:
        """The sum of products of each window and each filter, whose gradients are such sums too."""
        counts = self.windows.counts(x.shape[2:])
        columns, filters = self.columns(x), self.filters(w)
        summed = contract(filters, ("group", "filter", "tap"), columns, ("batch", "group", "tap", "place"), OUTPUT)
        result = reshape(summed, (x.shape[0], w.shape[0], *counts))
        return with_gradients(result, partial(self._gradients, columns), x, w)

    def columns(self, x: Variable) -> Variable:
        """(batch, groups, channels of a group · entries of a window, windows)."""
        moved = structural("windows", self._windows, no_gradients, self._windows_shape)
        taps = x.shape[1] // self.groups * math.prod(self.windows.lengths)
        places = math.prod(self.windows.counts(x.shape[2:]))
        return reshape(apply(moved, x), (x.shape[0], self.groups, taps, places))

    def filters(self, w: Variable) -> Variable:
        """(groups, filters of a group, channels of a group · entries of a window)."""
        return reshape(w, (self.groups, w.shape[0] // self.groups, math.prod(w.shape[1:])))

    def _windows_shape(self, shape: Shape) -> Shape:
        return (*shape[:2], *self.windows.lengths, *self.windows.counts(shape[2:]))

    def _windows(self, x: Array) -> Array:
        """(batch, channels, entries of a window …, windows …)."""
        padded = _padded(x, self.windows.padding)
        spans = [dilation * (length - 1) + 1 for length, _, _, dilation in zip(*self.windows, strict=True)]
        axes = tuple(range(2, x.ndim))
        seen = np.lib.stride_tricks.sliding_window_view(padded, spans, axes)
        steps = (*(slice(None, None, step) for step in self.windows.stride),)
        inner = (*(slice(None, None, step) for step in self.windows.dilation),)
        taken = seen[(slice(None), slice(None), *steps, *inner)]
        return np.moveaxis(taken, tuple(range(x.ndim, 2 * x.ndim - 2)), axes)

    def _gradients(self, columns: Variable, g: Variable, x: Variable, w: Variable) -> tuple[Variable, Variable]:
        """Sums of products in any order, as the convolution is, and their gradients are."""
        return self._gradient_of_x(g, x, w), self._gradient_of_w(g, x, w, columns)

    def _gradient_of_w(self, g: Variable, x: Variable, w: Variable, columns: Variable) -> Variable:
        """The sum over all windows of all examples; some engines store that of each example (R27)."""
        batch, filters = g.shape[0], g.shape[1] // self.groups
        rows = reshape(g, (batch, self.groups, filters, math.prod(g.shape[2:])))
        found = contract(
            rows, OUTPUT, columns, ("batch", "group", "tap", "place"), ("group", "filter", "tap"), pieces=batch
        )

        def products(moved: Variable, g: Variable, x: Variable) -> tuple[Variable, Variable]:
            return self(x, moved), self._gradient_of_x(g, x, moved)

        return with_gradients(reshape(found, w.shape), products, g, x)

    def _gradient_of_x(self, g: Variable, x: Variable, w: Variable) -> Variable:
        """A convolution of g, with zeros between its entries, by the filters in reverse."""
        lengths, stride, padding, dilation = self.windows
        back = Windows(lengths, (1,) * len(stride), (0,) * len(stride), dilation)
        spans = [step * (length - 1) for step, length in zip(dilation, lengths, strict=True)]
        offsets = [span - pad for span, pad in zip(spans, padding, strict=True)]
        sizes = tuple(size + span for size, span in zip(x.shape[2:], spans, strict=True))
        spaced = apply(_spacing(offsets, stride, sizes), g)
        transposed = Convolution(back, self.groups)
        columns = transposed.columns(spaced)
        filters = self._reversed(w)
        summed = contract(filters, ("group", "filter", "tap"), columns, ("batch", "group", "tap", "place"), OUTPUT)

        def products(moved: Variable, g: Variable, w: Variable) -> tuple[Variable, Variable]:
            return self(moved, w), self._gradient_of_w(g, moved, w, self.columns(moved))

        return with_gradients(reshape(summed, x.shape), products, g, w)

    def _reversed(self, w: Variable) -> Variable:
        """(groups, channels of a group, filters of a group · entries of a window in reverse)."""
        flipped = pick(w, (slice(None), slice(None), *(slice(None, None, -1) for _ in self.windows.lengths)))
        grouped = reshape(flipped, (self.groups, w.shape[0] // self.groups, *w.shape[1:]))
        swapped = permute_dims(grouped, (0, 2, 1, *range(3, grouped.ndim)))
        return reshape(swapped, (*swapped.shape[:2], math.prod(swapped.shape[2:])))


OUTPUT = ("batch", "group", "filter", "place")


def _padded(x: Array, padding: Shape, value: float = 0.0) -> Array:
    """An array with equal entries around it along its last axes."""
    if not any(padding):
        return x
    sizes = (*x.shape[:2], *(size + 2 * pad for size, pad in zip(x.shape[2:], padding, strict=True)))
    padded = filled(sizes, x.dtype, value)
    padded[_inner(x.shape, padding)] = x
    return padded


def _inner(shape: Shape, padding: Shape) -> tuple[slice, ...]:
    """The place of an array in the padded one."""
    inner = (slice(pad, pad + size) for size, pad in zip(shape[2:], padding, strict=True))
    return (slice(None), slice(None), *inner)


def _spacing(offsets: list[int], stride: Shape, sizes: Shape) -> Operation:
    """Entries at offset + stride · place in zeros; those outside are left out."""

    def places(shape: Shape) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        taken, placed = [], []
        for count, offset, step, size in zip(shape[2:], offsets, stride, sizes, strict=True):
            first = max(0, -(offset // step)) if offset < 0 else 0
            last = min(count, (size - 1 - offset) // step + 1)
            taken.append(slice(first, last))
            placed.append(slice(offset + first * step, offset + (last - 1) * step + 1, step))
        return tuple(taken), tuple(placed)

    def spaced(g: Array) -> Array:
        taken, placed = places(g.shape)
        result = filled((*g.shape[:2], *sizes), g.dtype)
        result[(slice(None), slice(None), *placed)] = g[(slice(None), slice(None), *taken)]
        return result

    return structural("spaced", spaced, no_gradients, lambda shape: (*shape[:2], *sizes))


def _padding(padding: Shape, value: float) -> Operation:
    """Equal, exact numbers around an array."""
    with_zeros = structural(
        "pad",
        lambda x: _padded(x, padding),
        lambda g, x: (pick(g, _inner(x.shape, padding)),),
        lambda shape: (*shape[:2], *(size + 2 * pad for size, pad in zip(shape[2:], padding, strict=True))),
    )
    return replace(with_zeros, value=lambda x: _padded(x, padding, value), lifted=lambda _shape: None)


def _pieces(x: Variable, windows: Windows) -> Variable:
    """The entries of each window along a new first axis."""
    counts = windows.counts(x.shape[2:])

    def part(offset: int, count: int, step: int) -> Part:
        return slice(offset, offset + (count - 1) * step + 1, step)

    pieces = [
        pick(x, (slice(None), slice(None), *map(part, offsets, counts, windows.stride)))
        for offsets in product(*map(range, windows.lengths))
    ]
    return stack(pieces)


@rule(worst=r"ρ(n) of Σ|x||w|", typical="√(1 + n/2)")
def conv(
    x: Variable, w: Variable, stride: Steps = 1, padding: Steps = 0, dilation: Steps = 1, groups: int = 1
) -> Variable:
    """The cross-correlation of x with filters w."""
    return Convolution(windows_of(x.shape, w.shape[2:], stride, padding, dilation), groups)(x, w)


@rule(worst="exact", typical="0")
def max_pool(x: Variable, window: Steps, stride: Steps | None = None, padding: Steps = 0) -> Variable:
    """The largest entry of each window."""
    windows = windows_of(x.shape, window, stride, padding)
    padded = apply(_padding(windows.padding, -math.inf), x) if any(windows.padding) else x
    return max_(_pieces(padded, windows._replace(padding=(0,) * len(windows.padding))), 0)


@rule(worst="θ(n + 2, u) of Σ|x|/n", typical="√(n/2 + 2)")
def avg_pool(x: Variable, window: Steps, stride: Steps | None = None) -> Variable:
    """The mean of each window."""
    return mean(_pieces(x, windows_of(x.shape, window, stride)), 0)
