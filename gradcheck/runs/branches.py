"""Branches of a loss that a usual case does not take, and the smallest cases that take them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gradcheck.findings import Condition
from gradcheck.judging.coverage import Coverage, conditions
from gradcheck.problems.cases import Case
from gradcheck.problems.recording import graph_of
from gradcheck.runs.minimal import measure


class Branch(NamedTuple):
    """One side of a condition."""

    file: str
    line: int
    text: str
    shown: str
    side: str

    def __str__(self) -> str:
        """The branch in words."""
        return f"{self.shown}, {self.side}"


class Branches:
    """The branches that the cases of a search take.

    Attributes:
        coverage: of all cases.
        cases: branch -> the smallest case that takes it, of branches that the usual case does not take.

    Args:
        usual: the conditions of a usual case.
    """

    def __init__(self, usual: Iterable[Condition] = ()) -> None:
        self.coverage = Coverage()
        self.cases: dict[Branch, Case] = {}
        self._wanted = {_key(each): each.sides for each in usual}

    def see(self, case: Case, found: Iterable[Condition]) -> None:
        """Add a case with its conditions."""
        found = tuple(found)
        self.coverage.add(found)
        for each in found:
            for side in self._wanted.get(_key(each), ()):
                branch = Branch(*_key(each), str(each), side)
                known = self.cases.get(branch)
                if getattr(each, side) and (known is None or _size(case) < _size(known)):
                    self.cases[branch] = case

    def is_taken(self, branch: Branch, case: Case) -> bool:
        """Whether a case takes a branch."""
        found = conditions(graph_of(case.problem, case.k, case.inputs, case.dtype), case.inputs, lambda file: file)
        return any(_key(each) == branch[:3] and getattr(each, branch.side) for each in found)


def _key(condition: Condition) -> tuple[str, int, str]:
    return condition.file, condition.line, condition.text


def _size(case: Case) -> tuple[int, int, int]:
    return measure(case.inputs, case.k)
