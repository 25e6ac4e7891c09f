"""Words that make constant arrays: the graph has their entries, which engines get in their dtype."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.sources import RecordingError, user_line
from gradcheck.graphs.values import Recording, Value


def zeros(shape: Shape) -> Any:
    """Zeros in a shape."""
    return np.zeros(shape)


def ones(shape: Shape) -> Any:
    """Ones in a shape."""
    return np.ones(shape)


def full(shape: Shape, fill_value: float) -> Any:
    """One number in a shape."""
    return np.full(shape, fill_value, np.float64)


def eye(n_rows: int, n_cols: int | None = None, k: int = 0) -> Any:
    """A matrix with ones on its k-th diagonal above the main one, and zeros."""
    return np.eye(n_rows, n_cols, k)


def arange(start: float, stop: float | None = None, step: float = 1) -> Any:
    """The numbers from `start` in steps, before `stop`; with one argument, those from 0 before it."""
    return np.arange(start, stop, step) if stop is not None else np.arange(0, start, step)


def linspace(start: float, stop: float, num: int, endpoint: bool = True) -> Any:
    """So many numbers at equal distances from `start` to `stop`, or before it without the endpoint."""
    return np.linspace(start, stop, num, endpoint=endpoint)


def zeros_like(a: Value) -> Any:
    """Zeros in the shape of a value."""
    return np.zeros(a.shape)


def ones_like(a: Value) -> Any:
    """Ones in the shape of a value."""
    return np.ones(a.shape)


def full_like(a: Value, fill_value: float) -> Any:
    """One number in the shape of a value."""
    return np.full(a.shape, fill_value, np.float64)


MAKING: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (zeros, ones, full, eye, arange, linspace, zeros_like, ones_like, full_like)
}
"""By their names in ``ops``."""


def made(recording: Recording, name: str) -> Callable[..., Value]:
    """The word of a recording that makes a constant."""
    make = MAKING[name]

    def word(*arguments: Any, **options: Any) -> Value:
        try:
            return recording.constant(make(*arguments, **options))
        except RecordingError:
            raise
        except (TypeError, ValueError, AttributeError, MemoryError) as error:
            raise RecordingError(f"{user_line()}: ops.{name}: {error}: expected {signature(name)}") from error

    return word


def signature(name: str) -> str:
    """A word and its parameters, without their types."""
    parameters = inspect.signature(MAKING[name]).parameters.values()
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return f"ops.{name}{inspect.Signature(plain)}"
