"""A problem's loss in NumPy, called on arrays instead of recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck.errors import ProblemError
from gradcheck.graphs.front_ends import takes_ops
from gradcheck.graphs.instead import described
from gradcheck.graphs.results import line_of
from gradcheck.problems._guard import ProblemCode, described_error
from gradcheck.problems.cases import Case
from gradcheck.problems.recording import place_in_loss
from gradcheck.problems.sampling import DTYPES, kind_of


def loss_on_arrays(case: Case) -> float | None:
    """The result of a loss in NumPy for copies of a case's inputs, in float64; None for a loss in words of `ops`.

    Raises:
        ProblemError: the loss raises, changes an input, or returns something other than one real number.
    """
    problem = case.problem
    if takes_ops(problem.loss, case.inputs):
        return None
    inputs = {name: np.array(array, DTYPES[kind_of(array)]) for name, array in case.inputs.items()}
    with ProblemCode(problem.path, "loss", problem.timeout):
        try:
            with np.errstate(all="ignore"):  # a value that is not finite is compared like any other
                result = problem.loss(**inputs)
            array = np.asarray(result)
        except Exception as error:
            where, _ = place_in_loss(problem, error)
            expected = "expected a loss that runs on NumPy arrays, as it does while it is recorded"
            raise ProblemError(f"{where}: loss raised {described_error(error)} on arrays: {expected}") from error
    for name, given in case.inputs.items():
        if not np.array_equal(inputs[name], given):
            expected = "expected inputs that stay as they are; write a = a + b instead of a += b"
            raise ProblemError(f"{line_of(problem.loss)}: loss changes its input {name}: {expected}")
    return _number(array, result, line_of(problem.loss))


def _number(array: np.typing.NDArray[Any], result: object, where: str) -> float:
    """The number that a loss returned.

    Raises:
        ProblemError: it is not one real number; the message shows `where`.
    """
    if array.shape or array.dtype.kind not in "fiub":
        raise ProblemError(f"{where}: the loss returns {described(result)} on arrays: expected one number")
    return float(array)
