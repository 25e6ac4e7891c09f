"""The lines of the user's source for findings about steps."""

from __future__ import annotations

import linecache
import os
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from gradcheck.findings import LONGEST, Source
from gradcheck.graphs import Graph
from gradcheck.problems import Problem
from gradcheck.problems.lines import Key, Line, is_line_of, line_of_variable, lines_of

FEWEST_STEPS = 3
"""The number of steps without names from which a report proposes names for them."""


class Sources:
    """The lines on which a problem computes the compared arrays: in its loss, and in one of its hand-written gradients.

    Attributes:
        graph: the loss.

    Args:
        problem: the problem.
        graph: its loss.
        backend: the name of a backend; if it is a hand-written gradient, its own lines come first.
        is_elsewhere: whether the backend has code of its own, which is unknown.
    """

    def __init__(self, problem: Problem, graph: Graph, backend: str = "", is_elsewhere: bool = False) -> None:
        self._problem = problem
        self.graph = graph
        functions = problem.hessian_products if graph.directions else problem.functions
        self._function = functions.get(backend)
        self._has_own_code = is_elsewhere or self._function is not None or backend in problem.implementations

    @cached_property
    def _by_hand(self) -> Mapping[Key, Line]:
        graph = self.graph
        return (
            {} if self._function is None else lines_of(self._function, graph.inputs, graph.watched, graph.output_names)
        )

    def of(self, kind: str, name: str | None) -> Source | None:
        """The line that computes an array, or None if it is unknown."""
        if (kind, name) in self._by_hand:
            return self._source(self._by_hand[kind, name], "gradient")
        found = self.of_loss(kind, name)
        return found and msgspec.structs.replace(found, instead=self._has_own_code)

    def of_loss(self, kind: str, name: str | None) -> Source | None:
        """The line of the loss that computes an array, or None if it is unknown."""
        line = self._of_loss(kind, name)
        return line and self._source(line, "loss")

    def _source(self, line: Line, of: Literal["gradient", "loss"]) -> Source:
        return Source(file=line.file, shown=self.shown(line.file), line=line.line, text=line.text, of=of)

    def order(self, key: Key) -> tuple[str, int]:
        """The file and the number of the line that computes a gradient by hand; all other arrays come before."""
        line = self._by_hand.get(key) if key[0] == "gradient" else None
        return (line.file, line.line) if line else ("", 0)

    def narrowing(self, kind: str, name: str | None, given: Collection[str], right: Collection[str] = ()) -> str | None:
        """What a hand-written gradient could return too, to name a shorter piece of itself; None if nothing.

        Nothing helps if its line is all of the piece. What a right gradient is computed from is right too.

        Args:
            kind: of the wrong array.
            name: of it.
            given: the names of the adjoints that it returned.
            right: the names of the inputs whose gradients are right.
        """
        if self._function is None or kind not in ("adjoint", "gradient") or name is None:
            return None
        line = self._by_hand.get((kind, name))
        if line and line.is_formula:
            return None
        confirmed = {place for each in right for place in self.graph.after(each, given)}
        between = self.graph.after(name, given)
        doubtful = {*between} - confirmed
        watched = [each for each, place in self.graph.watched.items() if place in doubtful and each not in given]
        if watched:
            return _joined("return adjoints too: ", [f'"{each}"{place}' for each, place in self._places(watched)])
        steps = [place for place in between if self.graph.nodes[place].is_step]
        if self.graph.watched or len(steps) < FEWEST_STEPS or confirmed.issuperset(steps[1:]):
            return None
        return "assign steps to variables in the loss, and return their adjoints"

    def _places(self, watched: list[str]) -> Iterator[tuple[str, str]]:
        """Watched values and their places, " (layer.py:8)"; the same file again is left out, " (:9)"."""
        before = ""
        for each in watched:
            line = self._of_loss("value", each)
            shown = self.shown(line.file) if line else ""
            yield each, f" ({'' if shown == before else shown}:{line.line})" if line else ""
            before = shown

    def _of_loss(self, kind: str, name: str | None) -> Line | None:
        """The line of the loss that computes an array: that of a variable is the one that assigns it."""
        place = self.graph.place_of(kind, name)
        if place is None:
            return None
        is_variable = name is not None and kind in ("value", "adjoint") and not is_line_of(self._problem.loss, *place)
        assigned = line_of_variable(self._problem.loss, name) if is_variable and name else None
        return assigned or Line(*place, linecache.getline(*place).strip())

    def shown(self, file: str) -> str:
        """The shortest path of a file that tells it from the problem's own: from the problem's folder, or the current.

        The problem's own file has the shortest name.
        """
        own = self._problem.path
        if file == str(own):
            return own.name
        here = os.path.relpath(file)
        paths = [here if len(here) < len(file) else file, file]
        if own.parent in Path(file).parents:
            paths.append(os.path.relpath(file, own.parent))
        return min((path for path in paths if path != own.name), key=len)


def _joined(label: str, names: list[str]) -> str:
    """A line of names after a label, without those that it is too short for."""
    line = f"{label}{names[0]}"
    for place, name in enumerate(names[1:], 1):
        if len(f"{line}, {name}{', …' if place + 1 < len(names) else ''}") > LONGEST:
            return f"{line}, …"
        line = f"{line}, {name}"
    return line
