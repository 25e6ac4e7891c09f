"""The table of ATen operators: a row is a function of an operator's arguments that records words.

Its parameters have the names of the operator's schema. A tensor comes as a value of the recording, or as a NumPy array
where it is made of known integers or booleans, or of NaN. An operator with several results gives a tuple, with None for
those that have no word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.values import Recording, Value
from gradcheck.graphs.vocabulary import VOCABULARY

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


def word(name: str) -> Callable[..., Any]:
    """A word of the vocabulary."""
    return VOCABULARY[name]


def constant(beside: Value, array: Any) -> Value:
    """A constant array of floats in the recording of a value."""
    recording: Recording = beside.recording
    return recording.constant(np.asarray(array, np.float64))


def known(value: Any) -> Any:
    """The entries of integers or booleans that a row needs.

    Raises:
        TypeError: they depend on floating numbers.
    """
    if isinstance(value, Value):
        raise TypeError("its indices depend on floating numbers: expected integers that do not")
    return value


def axes_of(dim: int | Sequence[int] | None) -> tuple[int, ...] | None:
    """Axes as words have them: None for all, where torch has an empty list too."""
    if dim is None or dim == []:
        return None
    return (dim,) if isinstance(dim, int) else tuple(dim)


def broadcast(value: Any, shape: Shape) -> Any:
    """A value in another shape, if it has none yet."""
    return value if value.shape == shape else word("broadcast_to")(value, shape)


def refuse_unless(fits: bool, reason: str) -> None:
    """Raise ValueError with a reason."""
    if not fits:
        raise ValueError(reason)
