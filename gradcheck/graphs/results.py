"""The return value of a loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from gradcheck.graphs.instead import described
from gradcheck.graphs.sources import RecordingError
from gradcheck.graphs.values import Value


def checked(loss: Callable[..., Any], result: Any, summing: str) -> Value:
    """The scalar that a loss returned.

    Args:
        loss: the function.
        result: its return value.
        summing: the name of the function that sums an array in the loss.

    Raises:
        RecordingError: it is not a value of the problem, or not a scalar.
    """
    if isinstance(result, Value) and result.shape == () and result.kind == "floating":
        return result
    raise RecordingError(f"{line_of(loss)}: the loss returns {_instead_of_a_loss(result, summing)}")


def _instead_of_a_loss(result: object, summing: str) -> str:
    """The description of a wrong return value, and what to write."""
    if result is None:
        return "None: expected one number, computed from the inputs: is a return missing?"
    if isinstance(result, Value) and result.kind == "integer":
        return f"{described(result)}: expected one number, computed from inputs that have a gradient"
    if isinstance(result, Value) and not result.is_condition:
        return f"{described(result)}: expected one number; write {summing} of it"
    if isinstance(result, (tuple, list, dict)) and any(isinstance(each, Value) for each in _entries(result)):
        return f"{described(result)}: expected one number: return the loss alone"
    depends = "" if isinstance(result, Value) else ", which does not depend on the inputs"
    words = "words of ops" if summing.startswith("ops") else "NumPy's functions"
    return f"{described(result)}{depends}: expected one number, computed from the inputs with {words}"


def _entries(several: Any) -> Any:
    return several.values() if isinstance(several, dict) else several


def line_of(function: Callable[..., object]) -> str:
    """``file:line`` of a function's first line, or its name where there is none."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else str(getattr(function, "__name__", function))
