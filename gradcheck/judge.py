"""What is to be said of answers: errors, verdicts, differences. Pure: answers in, records out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.cases import DTYPES, Case
from gradcheck.results import ArrayError, Pair, Verdict
from gradcheck.workers import Answer

Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Judgement:
    """What is said of one answer."""

    verdict: Verdict
    evidence: str | None
    reason: str | None
    loss_error: float | None
    errors: Mapping[str, ArrayError]


def judge(case: Case, answers: Mapping[str, Answer]) -> dict[str, Judgement]:
    """Hold every answer against the first whose shapes are right, under a tolerance scaled by dtype and size."""
    complete = {key: answer for key, answer in answers.items() if missing(case, answer) is None}
    reference = next(iter(complete.values()), None)
    return {key: _judged(case, answer, reference) for key, answer in answers.items()}


def missing(case: Case, answer: Answer) -> str | None:
    """What an answer lacks before its numbers can be looked at, or None."""
    shapes = case.problem.shapes(case.k)
    if answer.loss.shape != ():
        return f"the loss has shape {answer.loss.shape}: expected a scalar"
    for name in case.problem.wrt:
        if name not in answer.gradients:
            return f"no gradient for {name}"
        if answer.gradients[name].shape != shapes[name]:
            return f"the gradient for {name} has shape {answer.gradients[name].shape}: expected {shapes[name]}"
    if not sum(answer.gradients[name].size for name in case.problem.wrt):
        return "there is no entry to compare"
    return None


def _judged(case: Case, answer: Answer, reference: Answer | None) -> Judgement:
    lacking = missing(case, answer)
    if lacking is not None or reference is None:
        return Judgement(Verdict.DIFFERS, "proved", lacking, None, {})
    unit = 2.0 ** -DTYPES[case.dtype][0]
    errors = {
        name: _array_error(answer.gradients[name], reference.gradients[name], unit, case.k) for name in case.problem.wrt
    }
    loss = _array_error(answer.loss, reference.loss, unit, case.k)
    differs = loss.bad_entries or any(error.bad_entries for error in errors.values())
    verdict = Verdict.DIFFERS if differs else Verdict.AGREES
    return Judgement(verdict, None, None, loss.max_abs, errors)


def _array_error(got: Array, true: Array, unit: float, k: int) -> ArrayError:
    got, true = np.asarray(got, np.float64), np.asarray(true, np.float64)
    bound = 16 * unit * k * max(1.0, float(np.abs(true).max()))
    with np.errstate(invalid="ignore"):
        error = np.where(got == true, 0.0, np.abs(got - true))
    worst = np.unravel_index(int(np.argmax(np.nan_to_num(error, nan=np.inf))), error.shape)
    return ArrayError(
        max_abs=float(error[worst]),
        max_ulp=float(error[worst] / (2 * unit * 2.0 ** np.floor(np.log2(max(abs(true[worst]), 2.0**-1022))))),
        max_bound_ratio=float(error[worst] / bound),
        worst_index=tuple(int(index) for index in worst),
        got=float(got[worst]),
        true=float(true[worst]),
        bound=bound,
        bad_entries=int(np.count_nonzero(~(error <= bound))),
        entries=error.size,
    )


def pairs(answers: Mapping[str, Answer]) -> tuple[Pair, ...]:
    """The largest absolute differences between every two answers; NaN where shapes differ or a number is not finite."""
    return tuple(
        Pair(
            left=left,
            right=right,
            loss_abs_diff=_largest_difference(answers[left].loss, answers[right].loss),
            max_abs_diff={
                name: _largest_difference(array, answers[right].gradients[name])
                for name, array in answers[left].gradients.items()
                if name in answers[right].gradients
            },
        )
        for left, right in itertools.combinations(answers, 2)
    )


def _largest_difference(left: Array, right: Array) -> float:
    if left.shape != right.shape:
        return float("nan")
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.max(np.abs(np.asarray(left, np.float64) - right), initial=0.0))
