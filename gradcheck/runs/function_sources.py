"""The lines of the user's source for findings about a function of the caller's process."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import msgspec

from gradcheck.findings import Source
from gradcheck.graphs import Graph
from gradcheck.problems import Problem
from gradcheck.runs.sources import Sources


class BackwardPass(NamedTuple):
    """The lines of a function with a backward pass by hand: the first and last of its forward pass, and of that."""

    file: str
    first: int
    last: int
    backward_file: str
    backward_line: int


class FunctionSources(Sources):
    """The lines of a function: where a gradient comes from a backward pass by hand, the first line of that.

    Args:
        problem: the function as a problem.
        graph: the truth's.
        has_reference: whether that is the graph of another function.
        rules: finds the backward passes by hand.
    """

    def __init__(
        self, problem: Problem, graph: Graph, has_reference: bool, rules: Callable[[], Sequence[BackwardPass]]
    ) -> None:
        super().__init__(problem, graph)
        self._has_reference = has_reference
        self._find = rules

    @cached_property
    def _rules(self) -> Sequence[BackwardPass]:
        return self._find()

    def of(self, kind: str, name: str | None) -> Source | None:
        """The line that computes an array, or None if it is unknown."""
        source = super().of(kind, name)
        if kind in ("adjoint", "gradient") and (rule := self._backward(source)):
            file, line = rule.backward_file, rule.backward_line
            text = linecache.getline(file, line).strip()
            if text.startswith("@"):
                line, text = line + 1, linecache.getline(file, line + 1).strip()
            return Source(file=file, shown=self.shown(file), line=line, text=text, of="gradient")
        if source is None or not self._has_reference:
            return source
        return msgspec.structs.replace(source, of="reference", instead=kind in ("adjoint", "gradient"))

    def _backward(self, source: Source | None) -> BackwardPass | None:
        """The backward pass by hand that a line belongs to; the only one, if the line is that of a reference."""
        if self._has_reference:
            return self._rules[0] if len(self._rules) == 1 else None
        around = [each for each in self._rules if source and each.file == source.file]
        return next((each for each in around if source and each.first <= source.line <= each.last), None)
