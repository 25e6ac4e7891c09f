"""The table of ATen operators: a row is a function of an operator's arguments that records words.

Its parameters have the names of the operator's schema. A tensor comes as a value of the recording, or as a NumPy array
where it is made of known integers or booleans, or of NaN. An operator with several results gives a tuple, with None for
those that have no word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Row = Callable[..., Any]
ROWS: dict[str, Row] = {}
"""Each operator by its name, "aten.gelu.default"."""


def row(*names: str) -> Callable[[Row], Row]:
    """Put a row into the table, under operators' names without "aten." and ".default"."""

    def enter(function: Row) -> Row:
        for name in names:
            ROWS[f"aten.{name}" if "." in name else f"aten.{name}.default"] = function
        return function

    return enter


def axes_of(dim: int | Sequence[int] | None) -> tuple[int, ...] | None:
    """Axes as words have them: None for all, where torch has an empty list too."""
    if dim is None or dim == []:
        return None
    return (dim,) if isinstance(dim, int) else tuple(dim)
