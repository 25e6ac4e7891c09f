"""Several small cases: their truths and the verdicts on answers to them, each the same as alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from gradcheck.answers import BackendAnswer
from gradcheck.judging.comparison import Compared, compare
from gradcheck.judging.completeness import missing
from gradcheck.judging.judge import Judgement, Order, Truth, judge, truth
from gradcheck.oracle import Format, Key, NotTogetherError, Tape, analyse_together, most_together
from gradcheck.oracle.symmetry import symmetric_outputs

Array = npt.NDArray[np.floating[Any]]
T = TypeVar("T")
R = TypeVar("R")


def truths(tape: Tape, cases: Sequence[Mapping[str, Array]], format: Format) -> list[Truth]:
    """The oracle's knowledge about some cases of a tape in one format."""
    analyses = at_once(cases, most_together(tape, format), lambda some: analyse_together(tape, some, format))
    return [
        truth(tape, inputs, format) if analysis is None else Truth(tape, inputs, format, analysis)
        for inputs, analysis in zip(cases, analyses, strict=True)
    ]


def judge_several(
    answers: Sequence[BackendAnswer], several: Sequence[Truth], gate: str, orders: Sequence[Order]
) -> list[Judgement]:
    """Judge answers to some cases of one tape and format, as `judge` does each.

    Args:
        answers: one or more to each case.
        several: the oracle's knowledge about the case of each.
        gate: see `judge`.
        orders: of the wrong arrays of each; see `judge`.
    """
    compared: dict[int, Compared] = {}
    for places in alike(answers, several):
        tape, format = several[places[0]].tape, several[places[0]].format

        def of(places: Sequence[int], tape: Tape = tape, format: Format = format) -> list[Compared]:
            some = [several[place] for place in places]
            cases, analyses = [each.inputs for each in some], [each.analysis for each in some]
            return compare([answers[place] for place in places], tape, cases, format, analyses, gate != "proved")

        found = zip(places, at_once(places, most_together(tape, format), of), strict=True)
        compared.update({place: each for place, each in found if each is not None})
    return [
        judge(answer, truth, gate, order, compared.get(place))
        for place, (answer, truth, order) in enumerate(zip(answers, several, orders, strict=True))
    ]


def alike(answers: Sequence[BackendAnswer], several: Sequence[Truth]) -> Iterable[list[int]]:
    """The places of the answers that have the same arrays, all digits of them, and no estimates."""
    groups: dict[frozenset[Key], list[int]] = {}
    for place, (answer, known) in enumerate(zip(answers, several, strict=True)):
        is_rounded = answer.printed or answer.estimates or answer.slopes is not None
        if not (is_rounded or missing(answer, known.tape) or symmetric_outputs(known.tape)):
            groups.setdefault(frozenset(key for key, _ in answer.arrays()), []).append(place)
    return groups.values()


def at_once(items: Sequence[T], most: int, evaluate: Callable[[Sequence[T]], Sequence[R]]) -> Sequence[R | None]:
    """Evaluate as many as possible at once, at most some; None for those that must be evaluated alone."""
    if len(items) < 2 or most < 2:
        return [None] * len(items)
    if len(items) <= most:
        with contextlib.suppress(NotTogetherError):
            return evaluate(items)
    middle = len(items) // 2
    return [*at_once(items[:middle], most, evaluate), *at_once(items[middle:], most, evaluate)]
