"""The words of the graph as the oracle has them: how each is recorded on a tape, and its error rules in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Function = Callable[..., Any]
"""Variables and attributes -> a variable."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One word of the vocabulary, or one operator.

    Attributes:
        function: records it on a tape.
        worst: the largest rounding error of a correct backend, in words.
        typical: the number of roundings that its typical error is worth, in words.
    """

    function: Function
    worst: str
    typical: str


RULES: dict[str, Rule] = {}
"""By the names that the graph has for words and operators; filled by ``rule``."""


def rule(worst: str, typical: str, name: str = "") -> Callable[[Function], Function]:
    """Enter a function under a name of the graph, or its own less a trailing underscore; see ``Rule``."""

    def enter(function: Function) -> Function:
        RULES[name or function.__name__.rstrip("_")] = Rule(function, worst, typical)
        return function

    return enter
