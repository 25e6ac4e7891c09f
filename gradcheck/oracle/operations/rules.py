"""The words of the graph in the oracle: how each is recorded on a tape, and its error rules in words."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Function = Callable[..., Any]
"""Variables and attributes -> a variable."""
Recorded = TypeVar("Recorded", bound=Function)


@dataclass(frozen=True, slots=True)
class Rule:
    """One word of the vocabulary, or one operator.

    Attributes:
        function: records it on a tape.
        worst: the largest rounding error of a correct backend, in words.
        typical: its typical error as a number of roundings, in words.
    """

    function: Function
    worst: str
    typical: str


class Rules(dict[str, Rule]):
    """The rules by the graph's names of words and operators; filled by ``rule`` when the files with rules are imported.

    The package imports the files with the words of most losses; any other word imports all files.
    """

    def __missing__(self, word: str) -> Rule:
        self.complete()
        return dict(self)[word]

    def complete(self) -> None:
        """Import all files with rules."""
        for path in Path(__file__).parent.glob("[!_]*.py"):
            importlib.import_module(f"{__package__}.{path.stem}")


RULES = Rules()


def rule(worst: str, typical: str, name: str = "") -> Callable[[Recorded], Recorded]:
    """Enter a function under a name of the graph, or its own without a trailing underscore; see ``Rule``."""

    def enter(function: Recorded) -> Recorded:
        RULES[name or function.__name__.rstrip("_")] = Rule(function, worst, typical)
        return function

    return enter
