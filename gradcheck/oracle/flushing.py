"""Whether this process computes with subnormal numbers, on which every enclosure relies (docs/math.md, H1)."""

from __future__ import annotations

from gradcheck.errors import RequestError

_SMALLEST, _NORMAL, _TWO, _HALF = 5e-324, 2.0**-1022, 2.0, 0.5  # variables, so that the compiler multiplies nothing


def require_subnormal_numbers() -> None:
    """Check that this thread neither reads subnormal numbers as zero (DAZ) nor makes them zero (FTZ).

    Raises:
        RequestError: it does.
    """
    if not (_SMALLEST * _TWO and _NORMAL * _HALF):
        raise RequestError(
            "this process flushes subnormal numbers to zero, so that nothing can be proved in it: expected IEEE "
            "arithmetic; call torch.set_flush_denormal(False), or leave out the library that was built with -ffast-math"
        )
