"""What rows of tables of other frameworks' operators are written with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.values import Recording, Value
from gradcheck.graphs.vocabulary import VOCABULARY


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


def broadcast(value: Any, shape: Shape) -> Any:
    """A value in another shape, if it has none yet."""
    return value if value.shape == shape else word("broadcast_to")(value, shape)


def refuse_unless(fits: bool, reason: str) -> None:
    """Raise ValueError with a reason."""
    if not fits:
        raise ValueError(reason)
