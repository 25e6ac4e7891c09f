"""A problem's loss in NumPy, called on arrays instead of recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.errors import ProblemError
from gradcheck.graphs.front_ends import takes_ops
from gradcheck.graphs.graph import LOSS, OUTPUT, Graph
from gradcheck.graphs.instead import described
from gradcheck.graphs.results import labelled, line_of
from gradcheck.problems._guard import ProblemCode, described_error
from gradcheck.problems.cases import Case
from gradcheck.problems.recording import graph_of, place_in_loss
from gradcheck.problems.sampling import DTYPES, kind_of

Array = npt.NDArray[Any]


def outputs_on_arrays(case: Case) -> dict[str, Array] | None:
    """What a loss in NumPy returns for copies of a case's inputs, in float64, by `Graph.outputs`; None of any other.

    Raises:
        ProblemError: the loss raises, changes an input, or returns something else than while it was recorded.
    """
    problem = case.problem
    own = {name: case.inputs[name] for name in problem.shapes(case.k)}
    if problem.engine or takes_ops(problem.loss, own):
        return None
    inputs = {name: np.array(array, DTYPES[kind_of(array)]) for name, array in own.items()}
    with ProblemCode(problem.path, "loss", problem.timeout):
        try:
            with np.errstate(all="ignore"):  # a value that is not finite is compared like any other
                result = problem.loss(**inputs)
            arrays = {label: np.asarray(each) for label, each in labelled(result).items()}
        except Exception as error:
            where, _ = place_in_loss(problem, error)
            expected = "expected a loss that runs on NumPy arrays, as it does while it is recorded"
            raise ProblemError(f"{where}: loss raised {described_error(error)} on arrays: {expected}") from error
    for name, given in own.items():
        if not np.array_equal(inputs[name], given):
            expected = "expected inputs that stay as they are; write a = a + b instead of a += b"
            raise ProblemError(f"{line_of(problem.loss)}: loss changes its input {name}: {expected}")
    return _checked(arrays, result, graph_of(problem, case.k), line_of(problem.loss))


def _checked(arrays: Mapping[str, Array], result: object, graph: Graph, where: str) -> dict[str, Array]:
    """The number, or the outputs, that a loss returned on arrays.

    Raises:
        ProblemError: it returned something else while it was recorded; the message shows `where`.
    """
    outputs = {label: place for label, place in graph.outputs.items() if label != LOSS}
    found = {OUTPUT + label: array for label, array in arrays.items()} if outputs else {LOSS: arrays.get("")}
    expected = {label: graph.nodes[place].shape for label, place in (outputs or graph.outputs).items()}
    numbers = {label: array for label, array in found.items() if array is not None and array.dtype.kind in "fiub"}
    if {label: array.shape for label, array in numbers.items()} == expected:
        return {label: np.asarray(array, np.float64) for label, array in numbers.items()}
    recorded = "the outputs that it returns while it is recorded" if outputs else "one number"
    raise ProblemError(f"{where}: the loss returns {described(result)} on arrays: expected {recorded}")
