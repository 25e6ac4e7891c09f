"""The dtypes in which a case may be computed: their names and their layouts, declared here alone.

Layouts are those of IEEE 754-2019, section 3.6; bfloat16 is the upper half of float32.
"""

from __future__ import annotations

import sys
from typing import Literal, NamedTuple, get_args

Dtype = Literal["float64", "float32", "float16", "bfloat16"]
DTYPES: tuple[str, ...] = get_args(Dtype)
"""The names, as NumPy spells them, and "bfloat16"; from the widest to that with the fewest bits."""

Kind = Literal["floating", "integer", "boolean"]
"""The kind of an array's entries: a run determines the dtype of floating ones; booleans are conditions."""


class Layout(NamedTuple):
    """How a dtype's numbers are laid out.

    Attributes:
        bits: of the significand.
        lowest_exponent: of a normal number: the smallest one is two to it.
        largest: the largest finite number.
        container: NumPy's dtype for them: float32 for bfloat16, which NumPy lacks.
    """

    bits: int
    lowest_exponent: int
    largest: float
    container: str


LAYOUTS = dict(
    zip(
        DTYPES,
        (
            Layout(53, -1022, sys.float_info.max, "float64"),
            Layout(24, -126, (2 - 2**-23) * 2.0**127, "float32"),
            Layout(11, -14, 65504.0, "float16"),
            Layout(8, -126, (2 - 2**-7) * 2.0**127, "float32"),
        ),
        strict=True,
    )
)
WIDE_DTYPES = tuple(name for name in DTYPES if LAYOUTS[name].bits >= LAYOUTS["float32"].bits)
"""Those with at least the bits of float32."""
