"""The lines of the user's source beside what is said of a step."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from functools import cached_property

from gradcheck.findings import Source
from gradcheck.graphs import Graph
from gradcheck.problems import Problem
from gradcheck.problems.lines import Key, Line, lines_of


class Sources:
    """Where a problem computes what is compared: its loss, and one of its hand-written gradients.

    Args:
        problem: the problem.
        graph: its loss.
        gradient: the name of a backend; where it is a hand-written gradient, its own lines come first.
    """

    def __init__(self, problem: Problem, graph: Graph, gradient: str = "") -> None:
        self._problem = problem
        self._graph = graph
        self._gradient = gradient

    @cached_property
    def _by_hand(self) -> Mapping[Key, Line]:
        function = self._problem.functions.get(self._gradient)
        return {} if function is None else lines_of(function, self._graph.inputs)

    @cached_property
    def _file(self) -> str:
        code = getattr(self._problem.functions.get(self._gradient), "__code__", None)
        return str(self._problem.path) if code is None else code.co_filename

    def of(self, kind: str, name: str | None) -> Source | None:
        """The line that computes an array, or None where nobody knows it."""
        if (kind, name) in self._by_hand:
            line, text = self._by_hand[kind, name]
            return Source(file=self._file, line=line, text=text)
        place = self._graph.place_of(kind, name)
        return Source(file=place[0], line=place[1], text=linecache.getline(*place).strip()) if place else None
