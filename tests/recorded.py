"""A helper of several tests: the tape of a problem's loss at a size."""

from __future__ import annotations

from gradcheck.oracle import Tape, tape_of
from gradcheck.problems import Problem
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import wrt_of


def record_tape(problem: Problem, k: int | None) -> Tape:
    return tape_of(graph_of(problem, k), wrt_of(problem, k))
