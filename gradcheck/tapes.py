"""A problem's loss as the oracle has it."""

from __future__ import annotations

import traceback
from collections.abc import Mapping

from gradcheck.errors import ProblemError
from gradcheck.oracle import RecordingError, Tape, record
from gradcheck.problems import Problem
from gradcheck.problems._checks import Shape
from gradcheck.problems._guard import described_error, problem_code


def record_tape(problem: Problem, k: int) -> Tape:
    """The problem's loss and its reverse pass at size `k`.

    Raises:
        ProblemError: the loss cannot be recorded: an unknown operation, shapes that do not fit, no scalar, an error.
    """
    shapes = problem.shapes(k)
    with problem_code(problem.path, "loss", problem.timeout):
        return _recorded(problem, shapes)


def _recorded(problem: Problem, shapes: Mapping[str, Shape]) -> Tape:
    try:
        return record(problem.loss, shapes, problem.wrt)
    except RecordingError as error:
        raise ProblemError(str(error)) from None
    except ProblemError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(problem.path)]
        where = f"{problem.path}:{lines[-1]}" if lines else str(problem.path)
        said = described_error(error)
        if "__array_ufunc__" in said:  # how NumPy says that a recorded value is none of its arrays
            raise ProblemError(
                f"{where}: a NumPy function was given a value of the problem: expected ops's own"
            ) from error
        raise ProblemError(f"{where}: loss raised {said}") from error
