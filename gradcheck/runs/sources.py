"""The lines of the user's source for findings about steps."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from functools import cached_property

from gradcheck.findings import Source
from gradcheck.graphs import Graph
from gradcheck.problems import Problem
from gradcheck.problems.lines import Key, Line, lines_of


class Sources:
    """The lines on which a problem computes the compared arrays: in its loss, and in one of its hand-written gradients.

    Args:
        problem: the problem.
        graph: its loss.
        gradient: the name of a backend; if it is a hand-written gradient, its own lines come first.
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
        """The line that computes an array, or None if it is unknown."""
        if (kind, name) in self._by_hand:
            line, text = self._by_hand[kind, name]
            return Source(file=self._file, line=line, text=text)
        place = self._graph.place_of(kind, name)
        return Source(file=place[0], line=place[1], text=linecache.getline(*place).strip()) if place else None
