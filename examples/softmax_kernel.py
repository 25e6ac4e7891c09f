"""dx = p·(g − Σ g·p), a row for each program."""

import triton
import triton.language as tl


@triton.jit
def softmax_backward(dx, p, g, columns, WIDTH: tl.constexpr):
    """Write the gradient of one row.

    Args:
        dx: of the result, rows of `columns` entries.
        p: the shares.
        g: the gradient of the shares.
        columns: the length of a row.
        WIDTH: a power of two, at least as large.
    """
    place = tl.program_id(0) * columns + tl.arange(0, WIDTH)
    inside = tl.arange(0, WIDTH) < columns
    shares = tl.load(p + place, mask=inside, other=0.0)
    gradient = tl.load(g + place, mask=inside, other=0.0)
    tl.store(dx + place, shares * (gradient - tl.sum(shares * gradient)), mask=inside)
