"""The recorded loss, compared with what the problem's own function computes on arrays.

Python code may ask for the type of a value, so it may compute another loss while it is recorded. Then the truth would
be that of the wrong function.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from gradcheck.errors import ProblemError
from gradcheck.graphs.results import line_of
from gradcheck.judging.judge import LOSS, Truth
from gradcheck.problems.calling import loss_on_arrays
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
    got = loss_on_arrays(case)
    if got is None:
        return
    for truth in truths:
        output = truth.analysis[LOSS]
        bound = float(output.worst + output.enclosure.radius)
        error = abs(float(output.enclosure.distance(np.asarray(got))))
        if math.isfinite(bound) and not error <= bound:
            computed, recorded = _apart(got, float(output.enclosure.high))
            raise ProblemError(
                f"{line_of(case.problem.loss)}: loss computes {computed} on arrays, and {recorded} while it is "
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
