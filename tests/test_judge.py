"""Verdicts: proofs, evidence, undecided answers, and the smallest error that is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.judging import judge
from gradcheck.judging.checks import Check, largest_in_ulps
from gradcheck.judging.judge import Judgement, Truth
from gradcheck.oracle import Format
from gradcheck.problems import cases
from gradcheck.results import Verdict
from tests.planted import answer as backpropagated
from tests.recorded import record_tape

PROBLEM = problems.load("sigmoid_skip")


def known(k: int = 8, dtype: str = "float64", distribution: str = "uniform", scale: float = 1.0) -> Truth:
    case = cases.sample(PROBLEM, k, 0, dtype, distribution, scale)
    return judge.truth(record_tape(PROBLEM, k), case.inputs, Format.of(dtype))


def gradients_alone(truth: Truth) -> BackendAnswer:
    return replace(backpropagated(truth.inputs), values={}, adjoints={})


def changed(answer: BackendAnswer, name: str, index: tuple[int, ...], factor: float) -> BackendAnswer:
    array = np.array(answer.gradients[name])
    array[index] *= 1 + factor
    return replace(answer, gradients={**answer.gradients, name: array})


def judged(answer: BackendAnswer, truth: Truth, gate: str = "rounding") -> Judgement:
    return judge.judge(answer, truth, gate)


def test_an_error_that_only_the_typical_rounding_excludes_is_evidence_not_a_proof() -> None:
    truth = known(k=64, dtype="float32")
    right = gradients_alone(truth)
    output = truth.analysis["gradient", "A"]
    index = np.unravel_index(np.argmax(np.abs(right.gradients["A"])), (64, 64))
    error = np.sqrt(40 * output.spread[index] * output.worst[index])
    assert 40 * output.spread[index] < error < output.worst[index], "between the two"
    wrong = changed(right, "A", index, error / abs(right.gradients["A"][index]))
    found = judged(wrong, truth)
    assert (found.verdict, found.evidence) == (Verdict.DIFFERS, "beyond rounding")
    assert "standard deviations of rounding in 1 of 4096 entries" in str(found.reason)
    assert found.errors["A"].max_spread_ratio > 32
    assert found.errors["A"].max_bound_ratio < 1
    assert judged(wrong, truth, "proved").verdict is Verdict.AGREES
    assert judged(right, truth).verdict is Verdict.AGREES


def test_a_majority_that_is_wrong_together_is_wrong() -> None:
    truth = known()
    right = backpropagated(truth.inputs)
    wrong = changed(right, "B", (0, 0), 1e-6)
    assert [judged(each, truth).verdict for each in (wrong, wrong, right)] == ["differs", "differs", "agrees"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_that_are_not_finite_where_they_must_be_are_proved_wrong(value: float, dtype: str) -> None:
    truth = known(dtype=dtype)
    array = np.array(backpropagated(truth.inputs).gradients["C"])
    array[2, 3] = value
    right = backpropagated(truth.inputs)
    found = judged(replace(right, gradients={**right.gradients, "C": array}), truth, "proved")
    assert (found.verdict, found.evidence) == (Verdict.DIFFERS, "proved")
    assert found.errors["C"].bad_entries == 1
    assert found.errors["C"].worst_index == (2, 3)
    assert not np.isfinite(found.errors["C"].max_abs)


@pytest.mark.parametrize("value", [1.0, np.nan, np.inf])
def test_a_possible_overflow_leaves_the_verdict_undecided(value: float) -> None:
    truth = known(dtype="float16", distribution="saturated", k=16)
    right = backpropagated(truth.inputs)
    found = judged(replace(right, loss=np.asarray(value, "float16")), truth)
    assert found.verdict is Verdict.UNDECIDED
    assert "an intermediate value may overflow" in str(found.reason)


def test_a_bound_wider_than_the_values_decides_nothing_from_end_to_end_but_step_by_step_it_does() -> None:
    truth = known(dtype="bfloat16", k=64, distribution="unit-scaled")
    case = {name: cases.round_to(array.astype(np.float64), "bfloat16") for name, array in truth.inputs.items()}
    assert all(np.array_equal(case[name], truth.inputs[name]) for name in case)
    right = gradients_alone(truth)
    assert judged(right, truth, "proved").verdict is Verdict.UNDECIDED
    assert judged(backpropagated(truth.inputs), truth, "proved").verdict is Verdict.AGREES


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("k", [3, 32])
def test_the_stated_power_is_the_real_power(dtype: str, k: int) -> None:
    truth = known(k=k, dtype=dtype)
    right = backpropagated(truth.inputs)
    for name in PROBLEM.wrt:
        power = judged(right, truth).errors[name].power
        assert 0 < power.median <= power.percentile_99 < 1e-2
        generator = np.random.default_rng(0)
        entries = [tuple(generator.integers(k, size=2)) for _ in range(40)]
        # A correct entry may have the opposite error, and float32 entries move by whole ulps.
        caught = [judged(changed(right, name, index, 4 * power.percentile_99), truth).verdict for index in entries]
        missed = [judged(changed(right, name, index, 0.01 * power.median), truth).verdict for index in entries]
        assert caught.count(Verdict.DIFFERS) >= 39
        assert missed.count(Verdict.AGREES) >= 39


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gradients": {}}, "dL/dA is missing"),
        ({"loss": np.zeros(2)}, "the loss has shape (2,): expected a scalar"),
        ({"values": {"y": np.zeros(3)}}, "y has shape (3,): expected (8,)"),
        (
            {"adjoints": {"q": np.zeros(8)}},
            "dL/dq is given: q is neither an input nor a watched value: "
            "expected gradients of A, B, C, and optionally of y, u, v, z, w",
        ),
    ],
)
def test_missing_or_unsuitable_arrays_are_wrong(change: dict[str, object], reason: str) -> None:
    truth = known()
    found = judged(replace(backpropagated(truth.inputs), **change), truth)
    assert (found.verdict, found.reason) == (Verdict.DIFFERS, reason)


def test_nothing_to_compare_is_not_an_agreement() -> None:
    tape = record_tape(PROBLEM, 0)
    inputs = {name: np.zeros(shape) for name, shape in PROBLEM.shapes(0).items()}
    empty = judged(gradients_alone(Truth(tape, inputs, Format.of("float64"), {})), Truth(tape, inputs, None, {}))
    assert (empty.verdict, empty.reason) == (Verdict.DIFFERS, "no gradient has an entry to compare")


def test_errors_are_measured_in_ulp_of_the_backends_dtype() -> None:
    truth = known(k=1, dtype="float32")
    right = gradients_alone(truth)
    exact = truth.analysis["gradient", "A"].enclosure.high
    moved = np.float32(exact) + 1000 * np.spacing(np.float32(exact))
    found = judged(replace(right, gradients={**right.gradients, "A": moved}), truth)
    assert abs(found.errors["A"].max_ulp - 1000) <= 0.5


def test_the_largest_error_in_ulps_is_that_of_all_blocks() -> None:
    rng, format = np.random.default_rng(0), Format.of("float32")
    true = (rng.uniform(-1, 1, (200, 5)) * 2.0 ** rng.integers(-140, 20, (200, 5))).astype(np.float32)
    true[3] = 0.0
    error = np.abs(np.spacing(true)) * rng.exponential(1, true.shape)
    found = 0.0
    for row in range(len(true)):  # an error in any block may be the largest, though most are not
        rows = (true[row].astype(np.float64), error[row].astype(np.float64))
        found = largest_in_ulps(found, Check(*rows, rows[1], rows[1], limited=True), format)
        assert found == np.max(error[: row + 1] / np.abs(np.spacing(true[: row + 1])))


def test_the_shown_entry_is_the_important_one() -> None:
    truth = known()
    right = backpropagated(truth.inputs)
    doubled = changed(right, "A", (3, 4), 1.0)
    small = np.array(doubled.gradients["A"])
    row, column = np.unravel_index(np.argmin(np.abs(small)), small.shape)
    small[row, column] += 2.0**-40  # of a small value it is many times its bound
    step = judged(replace(doubled, gradients={**doubled.gradients, "A": small}), truth).first_wrong
    assert step is not None
    assert step.index == (3, 4)


def test_an_error_within_the_bound_has_the_reason_of_its_refusal() -> None:
    truth = known(k=64, dtype="float32")
    right = gradients_alone(truth)
    output = truth.analysis["gradient", "A"]
    index = np.unravel_index(np.argmax(np.abs(right.gradients["A"])), (64, 64))
    error = np.sqrt(40 * output.spread[index] * output.worst[index])
    wrong = changed(right, "A", index, error / abs(right.gradients["A"][index]))
    step = judged(wrong, truth).first_wrong
    assert step is not None
    assert abs(step.got - step.true) < step.bound
    assert f"{step.deviations:.1f} standard deviations" in str(step)


def test_a_step_with_a_tiny_error_does_not_hide_a_later_one() -> None:
    truth = known()
    right = backpropagated(truth.inputs)
    nearly = {**right.adjoints, "w": right.adjoints["w"] * (1 + 2.0**-44)}
    wrong = replace(changed(right, "A", (3, 4), 1.0), adjoints=nearly)
    found = judged(wrong, truth)
    assert found.first_wrong is not None
    assert found.first_wrong.name == "A"
    assert found.wrong_steps[0].name == "A"


def test_the_place_of_an_error_in_a_large_array_counts_all_rows() -> None:
    """The array is checked by blocks of rows."""
    truth = known(k=256, dtype="float32")
    found = judged(changed(gradients_alone(truth), "A", (200, 3), 0.5), truth)
    assert found.errors["A"].worst[0].index == (200, 3)


@pytest.mark.parametrize(("deviations", "verdict"), [(31, Verdict.AGREES), (33, Verdict.DIFFERS)])
def test_rounding_explains_thirty_two_deviations(deviations: int, verdict: Verdict) -> None:
    truth = known(k=64)
    output = truth.analysis["gradient", "A"]
    moved = output.enclosure.high.copy()
    index = np.unravel_index(np.argmin(abs(moved) / output.spread), moved.shape)  # where ulps are small beside s
    moved[index] += deviations * output.spread[index]
    answer = replace(gradients_alone(truth), gradients={**gradients_alone(truth).gradients, "A": moved})
    assert judged(answer, truth).verdict is verdict


def test_a_witness_with_an_error_above_its_estimate_proves_nothing() -> None:
    truth = known()
    wrong = changed(gradients_alone(truth), "A", (0, 0), 0.5)
    estimates = {name: np.full(array.shape, 1e-18) for name, array in wrong.gradients.items()}
    found = judged(replace(wrong, estimates=estimates), truth)
    assert (found.verdict, found.evidence) == (Verdict.DIFFERS, "beyond rounding")


def test_values_that_underflow_beside_rounding_are_judged() -> None:
    """Below λ/u the error of an underflow is no larger than a rounding error."""
    truth = known(k=2, dtype="float32", distribution="subnormal")
    assert judged(gradients_alone(truth), truth).verdict is Verdict.AGREES
