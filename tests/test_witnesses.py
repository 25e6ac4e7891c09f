"""Numerical witnesses: right where they are sure, undecided elsewhere, and never the judge."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcheck
from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.backends._worker.graph import InterpretedGraph
from gradcheck.judging import judge
from gradcheck.oracle import Format, record
from gradcheck.problems import cases
from gradcheck.results import Verdict
from tests.problems.test_shipped import MODELS
from tests.recorded import record_tape

DIFFERENCES = ("central-difference", "taylor")
WITNESSES = (*DIFFERENCES, "complex-step")
NAMES = [name for name, path in problems.names().items() if path.parent.name == "shipped"]
SMALL = [name for name in NAMES if name not in MODELS]
"""A witness evaluates a whole model for minutes; docs/matrix.txt has its outcomes."""


@pytest.fixture(scope="module")
def session() -> Iterator[gradcheck.Session]:
    with gradcheck.Session() as warm:
        yield warm


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_they_agree_and_report_the_rate(session: gradcheck.Session, dtype: str) -> None:
    report = session.check("sigmoid_skip", k=4, dtype=dtype, backends=WITNESSES)
    central, taylor, complex_step = report.backends
    assert central.verdict == "agrees"
    assert central.errors["A"].entries == 16
    # In bfloat16 the possible error of a correct backend, summed over all entries, is larger than the slopes.
    assert taylor.verdict == ("undecided" if dtype == "bfloat16" else "agrees")
    assert (taylor.errors, taylor.slopes_error.entries) == ({}, 5)
    rates = re.fullmatch(
        r"the remainder of its own slopes vanishes at the rate (.*) to (.*) \(2 or more where they are right\)",
        taylor.notes[0],
    )
    assert rates is not None
    assert all(1.9 < float(rate) < 2.1 for rate in rates.groups())
    if dtype == "float64":
        assert complex_step.verdict == "agrees"
    else:
        assert (complex_step.verdict, complex_step.reason) == (
            "unsupported",
            "the complex step is available in float64 only",
        )


@pytest.mark.parametrize("name", SMALL)
def test_they_never_differ_from_a_correct_loss(session: gradcheck.Session, name: str) -> None:
    for distribution in ("uniform", "normal", "saturated", "tiny", "mixed", "zeros", "subnormal", "cancelling"):
        for dtype in ("float64", "float32"):
            case = {"k": 2, "distribution": distribution, "dtype": dtype}
            for backend in session.check(name, backends=WITNESSES, **case).backends:
                expected = {Verdict.AGREES, Verdict.UNDECIDED}
                assert backend.verdict in ({Verdict.UNSUPPORTED} | expected), (backend.reason, case)
                assert distribution != "uniform" or dtype != "float32" or backend.verdict != "undecided", backend.reason


@pytest.mark.parametrize("name", SMALL)
def test_estimates_hold(name: str) -> None:
    from gradcheck.backends import central_difference

    problem = problems.load(name)
    inputs = cases.sample(problem, 4, 3, "float64").inputs
    tape = record_tape(problem, 4)
    truth = judge.truth(tape, inputs, Format.of("float64"))
    graph = InterpretedGraph(json.loads(tape.graph.json()))
    given = {**inputs, **tape.graph.constants}
    with np.errstate(all="ignore"):
        answer = central_difference.load().evaluate(graph, given, tape.wrt, "float64")
    for each in tape.wrt:
        enclosure = truth.analysis["gradient", each].enclosure
        error = np.abs(enclosure.distance(answer.gradients[each]))
        rounding = np.spacing(np.abs(enclosure.high))  # of the result to float64
        assert np.all(error <= answer.estimates[each] + enclosure.radius + rounding), each


NARROW = """
def inputs(k): return {{'a': (k,)}}

def loss(ops, a):
    return ops.sum({expression})
"""


def checked(session: gradcheck.Session, folder: Path, expression: str, **case: object) -> list[Any]:
    path = folder / "narrow.py"
    path.write_text(NARROW.format(expression=expression))
    return list(session.check(path, backends=WITNESSES, **case).backends)


@pytest.mark.parametrize(
    "expression",
    [
        "a * a + ops.exp(-1e6 * (a - 0.01) ** 2)",  # a peak that is narrower than the first steps
        "ops.exp(-1e12 * a * a)",
        "ops.relu(a - 1e-9) + ops.abs(a)",
        "ops.sqrt(ops.abs(a) + 1e-300)",
        "ops.stop_gradient(a * a) * a",
        "1.0 / a",
    ],
)
@pytest.mark.parametrize("scale", [1e-6, 1e-2, 1.0])
def test_a_loss_that_misleads_differences_is_not_refused(
    session: gradcheck.Session, tmp_path: Path, expression: str, scale: float
) -> None:
    for backend in checked(session, tmp_path, expression, scale=scale, k=5):
        assert backend.verdict in ("agrees", "undecided"), backend.reason


def known(name: str = "sigmoid_skip", dtype: str = "float64") -> tuple[judge.Truth, BackendAnswer]:
    problem = problems.load(name)
    inputs = cases.sample(problem, 3, 0, dtype).inputs
    truth = judge.truth(record_tape(problem, 3), inputs, Format.of(dtype))
    gradients = {each: truth.analysis["gradient", each].enclosure.high.copy() for each in truth.tape.wrt}
    estimates = {each: np.full(array.shape, 1e-18) for each, array in gradients.items()}
    return truth, BackendAnswer(truth.analysis["loss", None].enclosure.high, gradients, estimates=estimates)


def test_a_sure_witness_may_differ_but_proves_nothing() -> None:
    truth, answer = known()
    assert judge.judge(answer, truth, "rounding").verdict is Verdict.AGREES
    answer.gradients["B"][1, 1] *= 1 + 1e-9
    wrong = judge.judge(answer, truth, "rounding")
    assert (wrong.verdict, wrong.evidence) == (Verdict.DIFFERS, judge.BEYOND_ROUNDING)
    assert wrong.reason is not None
    assert "dL/dB is further off than rounding and its own estimate" in wrong.reason
    assert judge.judge(answer, truth, "proved").verdict is Verdict.UNDECIDED


def test_a_witness_that_is_not_sure_of_one_entry_is_undecided() -> None:
    truth, answer = known()
    answer.estimates["B"][1, 1] = 1e-6
    answer.gradients["B"][1, 1] += 1e-3
    unsure = judge.judge(answer, truth, "rounding")
    assert unsure.verdict is Verdict.UNDECIDED
    assert unsure.reason is not None
    assert "its own estimate of its error is wider than the bound in 1 of 9 entries" in unsure.reason


def test_an_undecided_answer_blames_no_tie_that_is_not_why() -> None:
    """The tie of abs is in the branch that is not taken."""
    tape = record(lambda ops, x: ops.sum(ops.where(ops.abs(x) > 1, ops.abs(x), x * x)), {"x": (2,)}, ("x",))
    truth = judge.truth(tape, {"x": np.zeros(2)}, Format.of("float64"))
    assert truth.analysis.ties
    unsure = BackendAnswer(np.zeros(()), {"x": np.zeros(2)}, estimates={"x": np.full(2, 1e-3)})
    judged = judge.judge(unsure, truth, "rounding")
    assert (judged.verdict, judged.reason) == (
        Verdict.UNDECIDED,
        "dL/dx cannot be judged: its own estimate of its error is wider than the bound in 2 of 2 entries",
    )


def with_slopes(answer: BackendAnswer) -> BackendAnswer:
    signs = {name: np.where(np.arange(2 * array.size).reshape(2, *array.shape) % 3, 1.0, -1.0)
             for name, array in answer.gradients.items()}  # fmt: skip
    slopes = sum(np.sum(signs[name] * array, axis=(1, 2)) for name, array in answer.gradients.items())
    return replace(answer, gradients={}, directions=signs, slopes=slopes, estimates={"slopes": np.full(2, 1e-17)})


def test_slopes_are_judged() -> None:
    truth, answer = known()
    given = with_slopes(answer)
    right = judge.judge(given, truth, "rounding")
    assert (right.verdict, right.errors, right.slopes_error.bad_entries) == (Verdict.AGREES, {}, 0)
    given.slopes[1] *= 1 + 1e-9
    wrong = judge.judge(given, truth, "rounding")
    assert wrong.verdict is Verdict.DIFFERS
    assert wrong.first_wrong is not None
    assert (wrong.first_wrong.kind, wrong.first_wrong.name, wrong.first_wrong.index) == ("slopes", None, (1,))


def test_slopes_that_are_smaller_than_their_bound_are_undecided() -> None:
    truth, answer = known(dtype="bfloat16")
    judged = judge.judge(with_slopes(answer), truth, "rounding")
    assert (judged.verdict, judged.reason) == (
        Verdict.UNDECIDED,
        "dL/d(step) cannot be judged: the bound is wider than the values",
    )


def test_a_loss_with_nan_nearby_gives_no_estimate() -> None:
    from gradcheck.backends import central_difference

    def hollow(step: np.longdouble) -> np.longdouble:
        return np.longdouble(np.nan) if 0 < abs(step) < 0.01 else np.longdouble(step)

    with np.errstate(all="ignore"):
        _, estimate = central_difference.load().derivative(hollow, (0.25,), 1e-20)
    assert estimate == np.inf
