"""A number that is not finite never agrees where the truth is finite: in any array, printed or not, with any gate."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.answers import BackendAnswer, Printed
from gradcheck.judging import judge
from gradcheck.judging.checks import Check
from gradcheck.judging.judge import Truth
from gradcheck.oracle import Format, record
from gradcheck.oracle.balls import undefined
from gradcheck.problems import cases
from gradcheck.results import Verdict
from tests.conftest import Command
from tests.recorded import record_tape

NOT_FINITE = (np.nan, np.inf, -np.inf)
PRINTED = (None, Printed(decimals=1), Printed(decimals=12), Printed(significant=1), Printed(significant=8))
GATES = ("rounding", "proved")
NEARLY_OVERFLOWS = '''"""A watched value near the largest number of float64, which the loss does not use."""


def inputs(k):
    return {"a": (k,)}


def sample(rng, k):
    return {"a": [1.7976931348623155] + [1.0] * (k - 1)}


def loss(ops, a):
    ops.watch("h", a * 1e308)
    return ops.sum(ops.watch("g", a * a))
'''
SUM_OF_SQUARES = '''"""Sum of squares."""


def inputs(k):
    return {"a": (k,), "b": (k, k)}


def loss(ops, a, b):
    return ops.sum(a * a) + ops.sum(b * b)
'''
ONE = {"a": [1.0], "b": [[0.25]]}
RIGHT = {"loss": 1.0625, "gradients": {"a": [2.0], "b": [[0.5]]}}


def true_answer(truth: Truth) -> BackendAnswer:
    """The middles of the oracle's enclosures."""
    arrays: dict[str, dict[str, Any]] = {"value": {}, "adjoint": {}, "gradient": {}}
    for (kind, name), output in truth.analysis.items():
        if name is not None:
            arrays[kind][name] = output.enclosure.high
    loss = truth.analysis["loss", None].enclosure.high
    return BackendAnswer(loss, arrays["gradient"], arrays["value"], arrays["adjoint"])


def spoilt(answer: BackendAnswer, number: float) -> Iterator[tuple[str, BackendAnswer]]:
    """The answer with the number in the last entry of each array, and in every entry of all of them."""
    everywhere = replace(answer, loss=np.full((), number))
    yield "loss", everywhere
    for kind in ("gradients", "values", "adjoints"):
        group = getattr(answer, kind)
        everywhere = replace(everywhere, **{kind: {name: np.full_like(array, number) for name, array in group.items()}})
        for name, array in group.items():
            last = array.copy()
            last.flat[-1] = number
            yield f"{kind} {name}", replace(answer, **{kind: {**group, name: last}})
    yield "everywhere", everywhere


def ways(answer: BackendAnswer) -> Iterator[BackendAnswer]:
    """The answer with and without watched values, printed in several ways, and as a witness's answer."""
    bare = replace(answer, values={}, adjoints={})
    for each in (answer, bare):
        yield from (replace(each, printed=printed) for printed in PRINTED)
    for estimate in (0.0, np.inf):
        estimates = {name: np.full_like(array, estimate) for name, array in answer.gradients.items()}
        yield from (replace(each, estimates=estimates) for each in (answer, bare))


@pytest.mark.parametrize(
    ("problem", "dtype", "distribution", "scale"),
    [
        ("sigmoid_skip", "float64", "uniform", 1.0),
        ("sigmoid_skip", "float32", "zeros", 1.0),
        ("mlp", "float16", "uniform", 1000.0),
        ("nearly_overflows.py", "float64", "uniform", 1.0),
        ("nearly_overflows.py", "float32", "uniform", 1.0),
    ],
)
def test_numbers_that_are_not_finite_agree_in_no_array(
    tmp_path: Path, problem: str, dtype: str, distribution: str, scale: float
) -> None:
    (tmp_path / "nearly_overflows.py").write_text(NEARLY_OVERFLOWS)
    loaded = problems.load(str(tmp_path / problem) if problem.endswith(".py") else problem)
    case = cases.sample(loaded, 2, 0, dtype, distribution, scale)
    truth = judge.truth(record_tape(loaded, 2), case.inputs, Format.of(dtype))
    agreed = [
        (where, number, way.printed, gate)
        for way, number, gate in itertools.product(ways(true_answer(truth)), NOT_FINITE, GATES)
        for where, answer in spoilt(way, number)
        if judge.judge(answer, truth, gate).verdict is Verdict.AGREES
    ]
    assert agreed == []


def test_an_overflow_that_a_correct_backend_may_have_is_undecided(tmp_path: Path) -> None:
    """The loss and the gradient are finite and have power, and only the watched value is not finite."""
    (tmp_path / "nearly_overflows.py").write_text(NEARLY_OVERFLOWS)
    loaded = problems.load(str(tmp_path / "nearly_overflows.py"))
    case = cases.sample(loaded, 2, 0, "float64")
    truth = judge.truth(record_tape(loaded, 2), case.inputs, Format.of("float64"))
    for adjoints in ({}, true_answer(truth).adjoints):
        answer = replace(true_answer(truth), adjoints=adjoints)
        assert judge.judge(answer, truth, "rounding").verdict is Verdict.AGREES
        values = {**answer.values, "h": np.array([np.inf, 1e308])}
        judged = judge.judge(replace(answer, values=values), truth, "rounding")
        assert judged.verdict is Verdict.UNDECIDED
        assert judged.reason == "h is not finite in 1 of 2 entries, where an intermediate value may overflow"


@pytest.mark.parametrize("wrong", [np.nan, -np.inf, -1.0])
def test_a_threshold_that_is_not_a_number_is_unknown(wrong: float) -> None:
    known = np.array([1.0, wrong, 1.0])
    check = Check(np.array([0.0, 0.0, np.nan]), np.array([2.0, 2.0, np.nan]), known, known, limited=True)
    assert check.threshold.tolist() == [1.0, np.inf, np.inf]
    assert check.refused.tolist() == [True, False, False]


def verified(gradcheck: Command, folder: Path, answer: dict[str, Any], printed: dict[str, int]) -> tuple[str, int]:
    """The verdict of `verify` on an answer that was printed, and the exit code."""
    (folder / "squares.py").write_text(SUM_OF_SQUARES)
    stated = {"dtype": "float64", "printed": printed, **answer}
    record = {"problem": "squares.py", "inputs": ONE, "answers": {"stated": stated}}
    (folder / "record.json").write_text(json.dumps(record))
    done = gradcheck("verify", "record.json", "--format", "json")
    return json.loads(done.stdout)["backends"][0]["verdict"], done.returncode


@pytest.mark.parametrize("printed", [{"significant": 8}, {"decimals": 1}])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_printed_record_with_numbers_that_are_not_finite_differs(
    gradcheck: Command, tmp_path: Path, number: str, printed: dict[str, int]
) -> None:
    alone = {**RIGHT, "loss": number}
    everywhere = {"loss": number, "gradients": {"a": [number], "b": [[number]]}}
    assert verified(gradcheck, tmp_path, alone, printed) == ("differs", 1)
    assert verified(gradcheck, tmp_path, everywhere, printed) == ("differs", 1)


def test_a_printed_record_with_too_few_digits_is_undecided(gradcheck: Command, tmp_path: Path) -> None:
    """0.0001 printed with one decimal is 0.0: half a unit of its last place is more than the number."""
    (tmp_path / "squares.py").write_text(SUM_OF_SQUARES)
    stated = {"dtype": "float64", "printed": {"decimals": 1}, "loss": 0.0, "gradients": {"a": [0.0], "b": [[0.0]]}}
    record = {"problem": "squares.py", "inputs": {"a": [0.01], "b": [[0.01]]}, "answers": {"stated": stated}}
    (tmp_path / "record.json").write_text(json.dumps(record))
    assert gradcheck("verify", "record.json").returncode == 4


UNDEFINED = {
    "log(a)": ("ops.sum(ops.log(a))", "the loss has no true value: log is undefined at a[1] = -0.5"),
    "a / b": ("ops.sum(a / b)", "the loss has no true value: a quotient is undefined at a[0] = 1, b[0] = 0"),
    "a**0.5": ("ops.sum(a**0.5)", "the loss has no true value: a power is undefined at a[1] = -0.5"),
    "of a watched value": (
        "ops.sum(ops.log(ops.watch('h', 2 * a)))",
        "the loss has no true value: log is undefined at h[1] = -1",
    ),
    "of a sum": ("ops.log(ops.sum(a) - 4)", "the loss has no true value: log is undefined at -1.5"),
    "derivative": ("ops.sum(ops.sqrt(b))", "dL/db has no true value: a quotient is undefined at 0.5, 0"),
    "overflow": ("ops.sum(ops.exp(1000 * a))", "dL/da cannot be judged: an intermediate value may overflow"),
    "masked": ("ops.sum(ops.where(a > 0, ops.log(a), 0 * a))", None),
}


@pytest.mark.parametrize("what", UNDEFINED)
def test_where_the_truth_is_undefined_the_reason_names_the_step(tmp_path: Path, what: str) -> None:
    loss, reason = UNDEFINED[what]
    path = tmp_path / "undefined.py"
    path.write_text(f"def inputs(k): return {{'a': (3,), 'b': (3,)}}\ndef loss(ops, a, b): return {loss}\n")
    problem = problems.load(str(path))
    inputs = {"a": np.array([1.0, -0.5, 2.0]), "b": np.array([0.0, 2.0, 1.0])}
    truth = judge.truth(record_tape(problem, 3), inputs, Format.of("float64"))
    known = {key: output.enclosure for key, output in truth.analysis.items()}
    true = {key: np.where(np.isfinite(each.radius), each.high, np.nan) for key, each in known.items()}
    stated = BackendAnswer(true["loss", None], {name: true["gradient", name] for name in "ab"})
    judged = judge.judge(stated, truth, "rounding")
    assert judged.reason == reason
    assert judged.verdict is (Verdict.AGREES if reason is None else Verdict.UNDECIDED)


def test_a_gradient_of_an_undefined_loss_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    """The formula 1/a has a value at -0.5, and log(a) has no derivative there."""
    path = tmp_path / "undefined.py"
    path.write_text("def inputs(k): return {'a': (2,)}\ndef loss(ops, a): return ops.sum(ops.log(a))\n")
    problem = problems.load(str(path))
    truth = judge.truth(record_tape(problem, 2), {"a": np.array([1.0, -0.5])}, Format.of("float64"))
    for gradient in ([1.0, -2.0], [1.0, np.nan], [np.nan, np.nan], [3.0, 7.0]):
        for loss in (np.nan, 0.0):
            judged = judge.judge(BackendAnswer(np.array(loss), {"a": np.array(gradient)}), truth, "rounding")
            assert judged.verdict is Verdict.UNDECIDED
            assert judged.reason == "the loss has no true value: log is undefined at a[1] = -0.5"


def test_a_step_over_rows_that_balls_cannot_follow_is_described_without_its_operand() -> None:
    tape = record(lambda ops, a: ops.sum(ops.logsumexp(a + 0.1, axis=1)), {"a": (2, 3)}, ())
    assert undefined(tape, {"a": np.diag([1e300, 1, 1])[:2]}, 128) == "logsumexp is undefined at its operands"
