"""A problem's loss as the oracle has it."""

from __future__ import annotations

from gradcheck.errors import ProblemError
from gradcheck.oracle import RecordingError, Tape, record
from gradcheck.problems import Problem


def record_tape(problem: Problem, k: int) -> Tape:
    """The problem's loss and its reverse pass at size `k`.

    Raises:
        ProblemError: the loss cannot be recorded: an unknown operation, shapes that do not fit, no scalar.
    """
    try:
        return record(problem.loss, problem.shapes(k), problem.wrt)
    except RecordingError as error:
        raise ProblemError(str(error)) from None
