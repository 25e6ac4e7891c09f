"""The recorded loss, compared with what the problem's own function computes on arrays.

Python code may ask for the type of a value, so it may compute another loss while it is recorded. Then the truth would
be that of the wrong function.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gradcheck.errors import ProblemError
from gradcheck.graphs.results import line_of
from gradcheck.judging import judge
from gradcheck.judging.judge import LOSS, Truth
from gradcheck.oracle import Output, tape_of
from gradcheck.problems.calling import outputs_on_arrays
from gradcheck.problems.cases import Case


def check_same_loss(case: Case, truths: Iterable[Truth]) -> None:
    """Check that a loss in NumPy computes on arrays what was recorded.

    Args:
        case: whose inputs are the arrays; the loss computes in float64, where they are exact.
        truths: the oracle's knowledge about the case, each in a format with the roundoff of float64 or a larger one,
            so that its bound holds for float64 too. A bound that is not finite decides nothing.

    Raises:
        ProblemError: the two losses differ by more than rounding can explain, or the function fails on arrays.
    """
    arrays = outputs_on_arrays(case)
    for truth in map(of_loss, truths) if arrays else ():
        names = truth.tape.graph.output_names
        for label, got in (arrays or {}).items():
            what = names.get(label)
            check_same(case, got, truth.analysis[LOSS if what is None else ("value", what)], what)


def of_loss(truth: Truth) -> Truth:
    """The oracle's knowledge about the loss itself, also in a case of order 2."""
    graph = truth.tape.graph
    if not graph.directions:
        return truth
    return judge.truth(tape_of(replace(graph, directions={}), ()), truth.inputs, truth.format)


def check_same(case: Case, got: npt.NDArray[np.float64], output: Output, name: str | None) -> None:
    """Check that the loss, or its output of a name, is on arrays what was recorded.

    Raises:
        ProblemError: the two differ by more than rounding can explain.
    """
    with np.errstate(all="ignore"):
        bound = output.worst + output.enclosure.radius
        error = np.abs(output.enclosure.distance(got))
    apart = np.isfinite(bound) & ~(error <= bound)
    if apart.any():
        place = np.unravel_index(int(np.argmax(apart)), got.shape)
        computed, recorded = _apart(float(got[place]), float(output.enclosure.high[place]))
        entry = "" if name is None else f" in {name}{''.join(f'[{each}]' for each in place)}"
        raise ProblemError(
            f"{line_of(case.problem.loss)}: loss computes {computed}{entry} on arrays, and {recorded} while it is "
            "recorded: it takes another path there (isinstance, try/except, a type test), or computes in another "
            "dtype: expected the same path for arrays and recorded values"
        )


def _apart(first: float, second: float) -> tuple[str, str]:
    """Two numbers with as many digits as show that they differ, at least five."""
    for digits in range(5, 18):
        shown = f"{first:.{digits}g}", f"{second:.{digits}g}"
        if shown[0] != shown[1]:
            break
    return shown
