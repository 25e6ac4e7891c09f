"""Several small cases: their truths and the verdicts on answers to them, each the same as alone."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.answers import BackendAnswer
from gradcheck.judging.comparison import Compared, compare
from gradcheck.judging.completeness import missing
from gradcheck.judging.judge import Judgement, Order, Truth, as_computed, judge, truth
from gradcheck.oracle import Format, NotTogetherError, Tape, analyse_together, most_together
from gradcheck.oracle.symmetry import symmetric_outputs

Array = npt.NDArray[np.floating[Any]]


def truths(tape: Tape, cases: Sequence[Mapping[str, Array]], format: Format) -> list[Truth]:
    """The oracle's knowledge about some cases of a tape in one format."""
    if 1 < len(cases) <= most_together(tape, format):
        with contextlib.suppress(NotTogetherError):
            analyses = analyse_together(tape, cases, format)
            return [Truth(tape, inputs, format, each) for inputs, each in zip(cases, analyses, strict=True)]
    return [truth(tape, inputs, format) for inputs in cases]


def judge_several(
    answers: Sequence[BackendAnswer], several: Sequence[Truth], gate: str, order: Order = as_computed
) -> list[Judgement]:
    """Judge answers to some cases of one tape and format, as `judge` does each."""
    if not answers:
        return []
    tape, compared = several[0].tape, dict[int, Compared]()
    places = [place for place, answer in enumerate(answers) if is_ordinary(answer) and not missing(answer, tape)]
    if len(places) > 1 and len(places) <= most_together(tape, several[0].format) and not symmetric_outputs(tape):
        some = [several[place] for place in places]
        analyses, cases = [each.analysis for each in some], [each.inputs for each in some]
        with contextlib.suppress(NotTogetherError):
            found = compare(
                [answers[place] for place in places], tape, cases, some[0].format, analyses, gate != "proved"
            )
            compared.update(zip(places, found, strict=True))
    return [
        judge(answer, truth, gate, order, compared.get(place))
        for place, (answer, truth) in enumerate(zip(answers, several, strict=True))
    ]


def is_ordinary(answer: BackendAnswer) -> bool:
    """Whether an answer has gradients, in all digits, that are no estimates."""
    return not (answer.printed or answer.estimates or answer.slopes is not None)
