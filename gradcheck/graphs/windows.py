"""The shapes of windows that slide along the last axes of an array (batch, channels, …)."""

from __future__ import annotations

from typing import NamedTuple

from gradcheck.graphs.graph import Shape

Steps = int | tuple[int, ...]
"""A number for all axes along which windows slide, or one for each."""
MOST_AXES = 3


class Windows(NamedTuple):
    """Windows along some axes, each with a number for each axis.

    Attributes:
        lengths: of a window, in entries that it takes.
        stride: from one window to the next.
        padding: entries before the first and behind the last one.
        dilation: from one entry of a window to the next.
    """

    lengths: Shape
    stride: Shape
    padding: Shape
    dilation: Shape

    def counts(self, sizes: Shape) -> Shape:
        """How many windows fit, along each axis."""
        return tuple(
            (size + 2 * padding - dilation * (length - 1) - 1) // stride + 1
            for size, length, stride, padding, dilation in zip(sizes, *self, strict=True)
        )


def windows_of(
    shape: Shape, lengths: Steps, stride: Steps | None = None, padding: Steps = 0, dilation: Steps = 1
) -> Windows:
    """The windows of an array.

    Args:
        shape: of the array: batch, channels, and one to three further axes.
        lengths: of a window.
        stride: None for the lengths.
        padding: see ``Windows``.
        dilation: see ``Windows``.

    Raises:
        TypeError: a step is not a whole number, or not one for each axis.
        ValueError: an array has other axes, a step is too small, or no window fits.
    """
    axes = len(shape) - 2
    if not 1 <= axes <= MOST_AXES:
        raise ValueError(f"shape {shape}: expected (batch, channels, …) with one to three further axes")
    size = _each("window", lengths, axes, 1)
    found = Windows(
        size,
        size if stride is None else _each("stride", stride, axes, 1),
        _each("padding", padding, axes, 0),
        _each("dilation", dilation, axes, 1),
    )
    if any(count < 1 for count in found.counts(shape[2:])):
        raise ValueError(f"a window of {size} does not fit into {shape[2:]} with padding {found.padding}")
    return found


def convolved_shape(x: Shape, w: Shape, stride: Steps, padding: Steps, dilation: Steps, groups: int) -> Shape:
    """The shape of a convolution.

    Raises:
        TypeError: see ``windows_of``.
        ValueError: see ``windows_of``; the numbers of channels, filters and groups do not fit.
    """
    if len(w) != len(x):
        raise ValueError(f"shapes {x} and {w}: expected as many axes of the filters, (filters, channels, …)")
    windows = windows_of(x, w[2:], stride, padding, dilation)
    if groups < 1 or x[1] != groups * w[1] or w[0] % groups:
        raise ValueError(
            f"shapes {x} and {w} with {groups} groups do not fit: "
            f"expected {w[1]} · groups channels and a multiple of groups filters"
        )
    return (x[0], w[0], *windows.counts(x[2:]))


def pooled_shape(x: Shape, window: Steps, stride: Steps | None, padding: Steps) -> Shape:
    """The shape of a pooled array.

    Raises:
        TypeError: see ``windows_of``.
        ValueError: see ``windows_of``; padding is more than half of a window, so that a window has no entry.
    """
    windows = windows_of(x, window, stride, padding)
    if any(2 * padding > length for padding, length in zip(windows.padding, windows.lengths, strict=True)):
        raise ValueError(f"padding {windows.padding}: expected at most half of the window {windows.lengths}")
    return (*x[:2], *windows.counts(x[2:]))


def _each(name: str, steps: Steps, axes: int, least: int) -> Shape:
    """A number for each axis."""
    several = tuple(steps) if isinstance(steps, (tuple, list)) else (steps,) * axes
    if len(several) != axes or not all(hasattr(step, "__index__") for step in several):
        raise TypeError(f"{name}={steps!r}: expected a whole number, or one for each of the {axes} axes")
    if min(several) < least:
        raise ValueError(f"{name}={steps!r}: expected at least {least}")
    return several
