"""What several answers to small cases are compared with, computed at once; one answer is the usual case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gradcheck.answers import BackendAnswer
from gradcheck.judging.blocks import together
from gradcheck.judging.checks import CheckedBlock
from gradcheck.oracle import Analysis, Format, Key, Stage, Tape, stages, stages_together

Arrays = Mapping[str, npt.NDArray[np.floating[Any]]]


class Compared(NamedTuple):
    """What an answer is compared with: its steps, and the small arrays that are compared already."""

    steps: Mapping[Key, Stage]
    checked: Mapping[Key, CheckedBlock]


def compare(
    answers: Sequence[BackendAnswer],
    tape: Tape,
    cases: Sequence[Arrays],
    format: Format,
    analyses: Sequence[Analysis],
    limited: bool,
) -> list[Compared]:
    """Compare answers with the truth, as far as that is possible at once.

    Numbers that were rounded for print are not the real operands of a step: then there are no steps.

    Args:
        answers: one to each case; several of them have the shapes of the tape, and are no estimates.
        tape: of the problem, at each case.
        cases: the inputs of each.
        format: of the backend.
        analyses: of each case.
        limited: whether errors beyond rounding, short of a proof, count.

    Raises:
        NotTogetherError: there are several answers, which cannot be compared at once.
    """
    arrays = [dict(answer.arrays()) for answer in answers]
    found: list[dict[Key, Stage]] = [{}]
    if len(answers) > 1:
        found = stages_together(tape, cases, format, arrays)
    elif answers[0].printed is None:
        [case], [analysis], [given] = cases, analyses, arrays
        steps = stages(tape, case, format, given, analysis.of_inputs)
        found = [{(step.kind, step.name): step for step in steps}]
    Analysis.evaluate(analyses)
    known = {
        (place, key): (arrays[place][key], analyses[place][key], step)
        for place, steps in enumerate(found)
        if not answers[place].estimates
        for key, step in steps.items()
    }
    checked = together(known, limited, {each for each in known if each[1][0] in ("loss", "gradient")})
    return [
        Compared(steps, {key: checked[place, key] for key in steps if (place, key) in checked})
        for place, steps in enumerate(found)
    ]
