"""Planted bugs: each is found, at the step where it was planted, wherever it changes the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.judging import judge
from gradcheck.oracle import Format
from gradcheck.problems import cases
from gradcheck.results import Verdict, in_words
from tests.planted import BUGS, CLEAN, Bug, answer, place
from tests.recorded import record_tape
from tests.variants import left_to_right

PROBLEM = problems.load("sigmoid_skip")
SIZES = (1, 3, 16, 64)
SEEDS = (0, 1)
STRUCTURAL = [bug for bug in BUGS if not bug.numerical]
[FOUR_DECIMALS] = (bug for bug in BUGS if str(bug) == "dw: rounded to 4 decimals")
VISIBLE = 4
"""Units in the last place: an answer within this distance of the correct one may be equally good."""


@cache
def truth(k: int, seed: int, dtype: str, distribution: str = "uniform") -> judge.Truth:
    case = cases.sample(PROBLEM, k, seed, dtype, distribution)
    return judge.truth(record_tape(PROBLEM, k), case.inputs, Format.of(dtype))


@cache
def correct(k: int, seed: int, dtype: str, distribution: str) -> BackendAnswer:
    return answer(truth(k, seed, dtype, distribution).inputs)


def arrays(given: BackendAnswer) -> list[np.ndarray]:
    return [given.loss, *given.values.values(), *given.adjoints.values(), *given.gradients.values()]


def visible(got: BackendAnswer, expected: BackendAnswer) -> bool:
    """Whether an entry is off by more than `VISIBLE` units in the last place, or is NaN."""
    with np.errstate(invalid="ignore"):
        pairs = zip(arrays(got), arrays(expected))
        return any(np.any(~(np.abs(one - other) <= VISIBLE * np.spacing(np.abs(other)))) for one, other in pairs)


def unwatched(given: BackendAnswer) -> BackendAnswer:
    return replace(given, values={}, adjoints={})


@dataclass(frozen=True)
class Outcome:
    """The verdicts on a bug in one case, with and without its watched values."""

    case: str
    visible: bool
    watched: judge.Judgement
    visible_unwatched: bool
    unwatched: judge.Judgement

    @property
    def named(self) -> set[tuple[str, str]]:
        return {(step.kind, step.name) for step in self.watched.wrong_steps}

    def is_remarked_on(self, bug: Bug) -> bool:
        kind, name = place(bug.wrong[0])
        return any(remark.startswith(in_words(kind, name)) for remark in self.watched.remarks)

    def is_right(self, bug: Bug) -> bool:
        first = self.watched.first_wrong
        return first is not None and (first.kind, first.name) == place(bug.wrong[0])


@cache
def outcomes(bug: Bug) -> list[Outcome]:
    found = []
    for dtype in bug.dtypes:
        for k in SIZES:
            for seed in SEEDS:
                known, expected = (each(k, seed, dtype, bug.distribution) for each in (truth, correct))
                got = bug.answer(known.inputs)
                found.append(
                    Outcome(
                        f"K = {k}, seed {seed}, {dtype}",
                        visible(got, expected),
                        judge.judge(got, known, "rounding"),
                        visible(unwatched(got), unwatched(expected)),
                        judge.judge(unwatched(got), known, "rounding"),
                    )
                )
    return found


def test_there_are_enough_bugs_and_each_has_a_name_of_its_own() -> None:
    assert len(BUGS) >= 40
    assert len({str(bug) for bug in BUGS}) == len(BUGS)
    assert {place(bug.wrong[0]) for bug in BUGS} == {
        *(("value", name) for name in "yuvzw"),
        ("loss", None),
        *(("adjoint", name) for name in "wzvuy"),
        *(("gradient", name) for name in "ABC"),
    }


@pytest.mark.parametrize("distribution", sorted({bug.distribution for bug in BUGS}))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_without_a_bug_the_answer_agrees(dtype: str, distribution: str) -> None:
    for k in SIZES:
        for seed in SEEDS:
            known, expected = (each(k, seed, dtype, distribution) for each in (truth, correct))
            assert judge.judge(expected, known, "rounding").verdict == Verdict.AGREES
            assert judge.judge(unwatched(expected), known, "rounding").verdict != Verdict.DIFFERS


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_a_bug_that_changes_the_answer_is_found(bug: Bug) -> None:
    """An answer with lost digits may be as near to the truth as a correct answer: then that is a remark."""
    changed = [outcome for outcome in outcomes(bug) if outcome.visible]
    assert len(changed) >= len(outcomes(bug)) / 4, "the bug hardly ever changes anything: plant it elsewhere"
    for outcome in changed:
        if not bug.numerical or outcome.watched.verdict != Verdict.AGREES:
            assert outcome.watched.verdict == Verdict.DIFFERS, outcome.case
        else:
            assert outcome.is_remarked_on(bug), outcome.case


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_passed_on_errors_are_not_wrong_steps(bug: Bug) -> None:
    for outcome in outcomes(bug):
        assert outcome.named <= {place(step) for step in bug.wrong}, outcome.case


@pytest.mark.parametrize("bug", STRUCTURAL, ids=str)
def test_the_wrong_step_of_a_structural_bug_is_named(bug: Bug) -> None:
    """Where the answer does not change (a transpose at K = 1), there is nothing to be found."""
    for outcome in outcomes(bug):
        if outcome.visible:
            assert outcome.is_right(bug), outcome.case
            assert outcome.named == {place(step) for step in bug.wrong}, outcome.case


@pytest.mark.parametrize("bug", STRUCTURAL, ids=str)
def test_a_structural_bug_is_found_without_watched_values(bug: Bug) -> None:
    changed = [outcome for outcome in outcomes(bug) if outcome.visible_unwatched]
    assert changed
    assert all(outcome.unwatched.verdict == Verdict.DIFFERS for outcome in changed)


def test_the_right_step_is_named_nearly_always() -> None:
    right = [outcome.is_right(bug) for bug in BUGS for outcome in outcomes(bug) if outcome.visible]
    assert len(right) > 1000
    assert np.mean(right) >= 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_unproved_errors_without_watched_values_are_beyond_rounding(seed: int) -> None:
    known = truth(16, seed, "float32")
    got = unwatched(FOUR_DECIMALS.answer(known.inputs))
    judged = judge.judge(got, known, "rounding")
    assert (judged.verdict, judged.evidence) == (Verdict.DIFFERS, judge.BEYOND_ROUNDING)
    assert "standard deviations of rounding" in judged.reason
    assert judge.judge(got, known, "proved").verdict == Verdict.AGREES
    assert judge.judge(unwatched(answer(known.inputs)), known, "rounding").verdict == Verdict.AGREES


@pytest.mark.parametrize("seed", SEEDS)
def test_four_decimals_are_too_few_for_float32_at_16(seed: int) -> None:
    known = truth(16, seed, "float32")
    judged = judge.judge(FOUR_DECIMALS.answer(known.inputs), known, "rounding")
    assert judged.verdict == Verdict.DIFFERS
    assert (judged.first_wrong.kind, judged.first_wrong.name) == ("adjoint", "w")
    assert [(step.kind, step.name) for step in judged.wrong_steps] == [("adjoint", "w")]
    assert judge.judge(answer(known.inputs), known, "rounding").verdict == Verdict.AGREES


@pytest.mark.parametrize("seed", SEEDS)
def test_four_decimals_at_256_are_a_remark_since_a_plain_loop_has_the_same_error(seed: int) -> None:
    """A backward pass that computes w again, in a plain loop, is right, and does not follow from w either."""
    known = truth(256, seed, "float32")
    rounded = FOUR_DECIMALS.answer(known.inputs)
    looped = answer(known.inputs, {**CLEAN, "dw": lambda s: 2 * left_to_right(s.C * s.z)})
    distance = known.analysis["adjoint", "w"].enclosure.distance
    errors = [np.sqrt(np.mean(distance(each.adjoints["w"]) ** 2)) for each in (rounded, looped)]
    assert 0.5 < errors[0] / errors[1] < 2
    for each in (rounded, looped):
        judged = judge.judge(each, known, "rounding")
        assert judged.verdict == Verdict.AGREES
        assert judged.remarks[0].startswith("dL/dw does not follow")
    assert judge.judge(answer(known.inputs), known, "rounding").remarks == ()
