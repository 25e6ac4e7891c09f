"""The words and operators that a problem writes, and the lines on which it writes them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradcheck.oracle.operations.base import Variable

Function = Callable[..., "Variable"]


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

    def __call__(self, *arguments: Any, **options: Any) -> Variable:
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
        located = _located(f"operator {symbol}", function)
        OPERATORS[symbol] = Word(symbol, located, worst, typical)
        return located

    return enter


def _located(name: str, function: Function) -> Function:
    @functools.wraps(function)
    def located(*arguments: Any, **options: Any) -> Variable:
        try:
            return function(*arguments, **options)
        except RecordingError:
            raise
        except (TypeError, ValueError, IndexError) as error:
            raise RecordingError(f"{user_line()}: {name}: {error}") from error

    return located


class RecordingError(ValueError):
    """The loss cannot be recorded; the message begins with the file and line of the user's code that is at fault."""


def user_line() -> str:
    """``file:line`` of the innermost caller outside this package."""
    here = f"{Path(__file__).parents[1]}/"
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(here):
        frame = frame.f_back
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
