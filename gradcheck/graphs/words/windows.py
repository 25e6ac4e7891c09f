"""Words of windows that slide along the last axes: convolution and pooling."""

from __future__ import annotations

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.values import Value
from gradcheck.graphs.windows import Steps, convolved_shape, pooled_shape
from gradcheck.graphs.words.declaration import word


@word
def conv(x: Value, w: Value, stride: Steps = 1, padding: Steps = 0, dilation: Steps = 1, groups: int = 1) -> Shape:
    """The cross-correlation of x (batch, channels, …) with filters w (filters, channels / groups, …).

    Raises:
        ValueError: the shapes, or the numbers of channels and groups, do not fit.
    """
    return convolved_shape(x.shape, w.shape, stride, padding, dilation, groups)


@word
def max_pool(x: Value, window: Steps, stride: Steps | None = None, padding: Steps = 0) -> Shape:
    """The largest entry of each window of x (batch, channels, …); a stride left out is the window's length.

    Raises:
        ValueError: no window fits, or padding is more than half of a window.
    """
    return pooled_shape(x.shape, window, stride, padding)


@word
def avg_pool(x: Value, window: Steps, stride: Steps | None = None) -> Shape:
    """The mean of each window of x (batch, channels, …); a stride left out is the window's length.

    Raises:
        ValueError: no window fits.
    """
    return pooled_shape(x.shape, window, stride, 0)
