"""The words and operators that a problem writes, and the lines on which it writes them."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from gradcheck.oracle.operations.instead import ARGUMENTS, described, is_value
from gradcheck.text.suggestions import did_you_mean

Function = Callable[..., Any]
"""Values of the problem and options -> a value of the problem."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of the vocabulary, or one operator.

    Attributes:
        name: as a problem spells it.
        function: records it; errors name the user's line.
        worst: the largest rounding error of a correct backend, in words.
        typical: the number of roundings that its typical error is worth, in words.
    """

    name: str
    function: Function
    worst: str
    typical: str

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Record it."""
        return self.function(*arguments, **options)


VOCABULARY: dict[str, Word] = {}
"""What a problem finds under ``ops``; filled by ``word``."""

OPERATORS: dict[str, Word] = {}
"""What stands between a problem's values; filled by ``operator``."""


def word(worst: str, typical: str) -> Callable[[Function], Function]:
    """Put a function into the vocabulary under its name, less a trailing underscore; see ``Word``."""

    def enter(function: Function) -> Function:
        name = function.__name__.rstrip("_")
        located = _located(f"ops.{name}", function)
        VOCABULARY[name] = Word(name, located, worst, typical)
        return located

    return enter


def operator(symbol: str, worst: str, typical: str) -> Callable[[Function], Function]:
    """Give a function to an operator of the problem's values; see ``Word``."""

    def enter(function: Function) -> Function:
        located = _located(f"operator {symbol}", inspect.unwrap(function))
        OPERATORS[symbol] = Word(symbol, located, worst, typical)
        return located

    return enter


def _located(name: str, function: Function) -> Function:
    @functools.wraps(function)
    def located(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except RecordingError:
            raise
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            reason = misfit(name, function, arguments, options) or str(error)
            raise RecordingError(f"{user_line()}: {name}: {reason}") from error

    return located


def signature(name: str, function: Function) -> str:
    """A word's name and parameters, without their types."""
    described = inspect.signature(function)
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in described.parameters.values()]
    return f"{name}{described.replace(parameters=plain, return_annotation=inspect.Signature.empty)}"


def misfit(name: str, function: Function, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> str | None:
    """Why the arguments of a call are not those of a word, or None where they are."""
    parameters = inspect.signature(function).parameters
    form = signature(name, function)
    for option in options:
        if option not in parameters:
            known = ARGUMENTS.get(option)
            hint = f"write {known}; " if known in parameters else did_you_mean(option, parameters)
            return f"no argument {option!r}: {hint}expected {form}"
    try:
        bound = inspect.signature(function).bind(*arguments, **options)
    except TypeError:
        count = len(arguments) + len(options)
        return f"called with {count} argument{'' if count == 1 else 's'}: expected {form}"
    for parameter, value in bound.arguments.items():
        if parameters[parameter].annotation == "Variable" and not is_value(value):
            return f"{parameter} is {described(value)}: expected a value of the problem"
    return None


class RecordingError(ValueError):
    """The loss cannot be recorded; the message begins with the file and line of the user's code that is at fault."""


class UnknownAttributeError(RecordingError, AttributeError):
    """A recorded value has no such attribute; for ``hasattr`` and ``getattr`` it is like any that is missing."""


def user_line() -> str:
    """``file:line`` of the innermost caller outside this package."""
    here = f"{Path(__file__).parents[1]}/"
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(here):
        frame = frame.f_back
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
