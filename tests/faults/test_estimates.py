"""A witness's statement about its own errors counts only if it is valid: else it is a fault of the witness."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from gradcheck import problems
from gradcheck.answers import BackendAnswer, meaningless
from gradcheck.judging import judge
from gradcheck.oracle import Format
from gradcheck.results import Verdict
from tests.conftest import FAKES, Command
from tests.recorded import record_tape

TITLES = ("Largest error of each gradient", "Smallest relative error that would have been caught in an entry")
EXPECTED = "expected numbers ≥ 0, infinite where nothing is known"
# The claim of a witness with a wrong gradient -> its verdict and the reason.
WAYS = {
    "below-zero": ("crashed", f"the estimate of a holds -1e+300: {EXPECTED}"),
    "of-minus-infinity": ("crashed", f"the estimate of a holds -inf: {EXPECTED}"),
    "of-nan": ("crashed", f"the estimate of a holds nan: {EXPECTED}"),
    "of-infinity": ("undecided", "dL/da cannot be judged: its own estimate of its error is wider than the bound"),
    "no-slopes": ("crashed", "slopes are empty: expected derivatives along one direction or more"),
    "slopes-nowhere": ("crashed", "the directions of a are zero: expected one that moves it"),
    "slopes-along-nan": ("crashed", "the directions of a hold a number other than -1, 0 and 1"),
    "slopes-along-thirds": ("crashed", "the directions of a hold a number other than -1, 0 and 1"),
    "slopes-of-infinity": ("crashed", "a slope is not finite: expected a finite number, or an infinite estimate"),
    "slopes-below-zero": ("crashed", f"the estimate of slopes holds -1: {EXPECTED}"),
    "slopes-of-a-alone": ("crashed", "the directions of b are zero: expected one that moves it"),
    "one-slope-nowhere": ("crashed", "direction 1 is zero in every input: expected one that moves something"),
    "slopes": ("differs", "dL/d(step) is further off than rounding and its own estimate of its error explain"),
}


def test_no_claim_of_a_witness_lets_a_wrong_gradient_pass(gradcheck: Command, tmp_path: Path) -> None:
    """One command runs all of them; the right gradient beside them agrees."""
    for way in WAYS:
        (tmp_path / way).write_text((FAKES / "witness.py").read_text().replace("/usr/bin/env python3", sys.executable))
        (tmp_path / way).chmod(0o755)
    words = [word for way in WAYS for word in ("-b", f"exec:./{way}")]
    done = gradcheck("run", FAKES / "faulty.py", *words, "-b", "right", "--format", "json")
    *witnesses, right = json.loads(done.stdout)["backends"]
    assert right["verdict"] == "agrees"
    for witness, (verdict, reason) in zip(witnesses, WAYS.values(), strict=True):
        assert witness["verdict"] == verdict, witness
        assert reason in witness["reason"]
    assert done.returncode == 1
    slopes = witnesses[list(WAYS).index("slopes")]
    assert (slopes["first_wrong"]["kind"], slopes["first_wrong"]["name"]) == ("slopes", None)
    assert (slopes["errors"], slopes["slopes_error"]["bad_entries"]) == ({}, 1)
    jsonschema.validate(json.loads(done.stdout), json.loads(gradcheck("schema").stdout))


def test_tables_show_slopes_beside_gradients(gradcheck: Command) -> None:
    shown = gradcheck("run", "sigmoid_skip", "--k", 2, "-b", "taylor", "-b", "numpy", "--details").stdout
    errors, powers = (shown.partition(f"{title}\n")[2].partition("\n  gradient:")[0] for title in TITLES)
    names = ["dL/d(step)", "dL/dA", "dL/dB", "dL/dC"]
    assert [line.removeprefix("taylor").removeprefix("numpy").split()[0] for line in errors.splitlines()[2:]] == names
    assert [line.split()[0] for line in powers.splitlines()[2:]] == names


@pytest.mark.parametrize(
    ("key", "largest", "reason"),
    [
        (("slopes", None), 1e-16, None),
        (("slopes", None), 3.6, "dL/d(step) varies from call to call by 3.6"),
        (("slopes", None), np.nan, "dL/d(step) varies from call to call"),
        (("direction", "a"), 2.0, "the directions of a vary from call to call: expected the same ones"),
        (("estimate", "slopes"), 2.0, None),
    ],
)
def test_slopes_of_a_witness_are_compared_with_those_of_the_second_call(
    key: tuple[str, str | None], largest: float, reason: str | None
) -> None:
    problem = problems.load(str(FAKES / "faulty.py"))
    inputs = {"a": np.array([0.5, -1.0]), "b": np.array([[1.0, 2.0], [0.25, -3.0]])}
    truth = judge.truth(record_tape(problem, 2), inputs, Format.of("float64"))
    signs = {name: np.ones((1, *array.shape)) for name, array in inputs.items()}
    slope = np.array([sum(2 * array.sum() for array in inputs.values())])
    loss = np.array(sum((array**2).sum() for array in inputs.values()))
    answer = BackendAnswer(loss, {}, slopes=slope, directions=signs, estimates={"slopes": np.array([1e-16])})
    assert judge.judge(answer, truth, "rounding").verdict is Verdict.AGREES
    judged = judge.judge(replace(answer, varies={key: largest}), truth, "rounding")
    assert judged.verdict is (Verdict.DIFFERS if reason else Verdict.AGREES)
    assert (judged.reason or "").startswith(reason or "")


@pytest.mark.parametrize(
    ("slopes", "direction", "estimate"),
    [([1.0], [[1.0, 0.0]], [0.0]), ([np.nan], [[1.0, -1.0]], [np.inf]), ([1.0], [[], []], [0.0]), ([1.0], 1.0, [0.0])],
)
def test_valid_slopes_pass_and_shapes_are_judged_elsewhere(
    slopes: list[float], direction: object, estimate: list[float]
) -> None:
    answer = BackendAnswer(
        np.zeros(()), {}, slopes=np.array(slopes), directions={"a": np.array(direction)},
        estimates={"slopes": np.array(estimate)},
    )  # fmt: skip
    assert meaningless(answer) is None
