"""The table of JAX's primitives: a row is a function of a primitive's operands, and of its parameters by name.

An operand comes as a value of the recording, or as a NumPy array where it is made of known integers or booleans, or of
NaN. A primitive with several results gives a tuple, with None for those that have no word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Row = Callable[..., Any]
ROWS: dict[str, Row] = {}
"""Each primitive by its name, "dot_general"; "jit[inv]" is a function of JAX that stays as it is."""


def row(*names: str) -> Callable[[Row], Row]:
    """Put a row into the table."""

    def enter(function: Row) -> Row:
        ROWS.update(dict.fromkeys(names, function))
        return function

    return enter
