"""Many cases in one run: which they are, and what is printed about them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

import gradcheck
from gradcheck import settings
from gradcheck.api import Logged, Session
from gradcheck.outcomes import BackendOutcome, CaseOutcome, unpack
from gradcheck.reports import junit
from gradcheck.results import RunVerdict, Verdict
from gradcheck.runs.many import Batches, evaluated, outcome_of
from gradcheck.runs.plan import plan
from gradcheck.runs.runner import Runner
from gradcheck.runs.tally import Tally
from tests.conftest import FAKES, Command

FAULTY = FAKES / "faulty.py"
HUBER = '''
"""A Huber loss whose hand-written gradient forgets the factor of the linear branch, beyond 1.5."""
import numpy as np


def inputs(k):
    return {"a": (k,)}


def loss(a):
    return np.sum(np.where(np.abs(a) > 1.5, 1.5 * (np.abs(a) - 0.75), 0.5 * a * a))


def backward(a):
    return loss(a), {"a": np.where(np.abs(a) > 1.5, np.sign(a), a)}


gradients = {"mine": backward}
'''

VARIES = """
def backward(a):
    again = getattr(backward, "last", None) == a.tobytes()
    backward.last = a.tobytes()
    return loss(a), {"a": a + 1e-6 * again}


gradients = {"mine": backward}
"""


def values_of(**options: object) -> list[tuple[object, ...]]:
    chosen = settings.of(options, many=True)
    return [tuple(case.values.values()) for case in plan(chosen)]


def test_every_combination_is_one_case_and_the_seed_changes_first() -> None:
    found = values_of(problem="mlp", k=[2, 3], seed="0:2", dtype="float64,float32", backends=["numpy"])
    assert found == [
        (dtype, k, "uniform", 1.0, seed) for dtype in ("float64", "float32") for k in (2, 3) for seed in (0, 1)
    ]


def test_all_means_every_dtype_and_distribution_and_every_shipped_problem() -> None:
    chosen = settings.of({"problem": "all", "dtype": "all", "distribution": "all"}, many=True)
    found = plan(chosen)
    assert len(found) == len(found.groups) * 4 * 9
    assert {"mlp", "sigmoid_skip", "vae"} <= {group.settings.problem for group in found.groups}


def test_a_value_that_comes_twice_is_one_value() -> None:
    assert len(values_of(problem="mlp", seed="0,1,0:2", backends=["numpy"])) == 2


def test_a_long_range_of_seeds_takes_no_memory() -> None:
    found = plan(settings.of({"problem": "mlp", "seed": "0:1000000000000", "backends": ["numpy"]}, many=True))
    assert len(found) == 10**12
    assert [case.values["seed"] for case in Batches(found).take(3)] == [0, 1, 2]


def test_the_key_of_a_case_is_the_same_in_any_run() -> None:
    """It names cases in stores and partitions: a change of it makes every store useless."""
    [case] = plan(settings.of({"problem": "mlp", "seed": 7, "backends": ["numpy"]}, many=True))
    other = list(plan(settings.of({"problem": "mlp", "seed": [3, 7], "backends": ["numpy"]}, many=True)))[1]
    assert case.key == other.key == "93ebb2ddcc6160aa5d855969b6260d3b"


def test_a_batch_has_cases_of_one_problem_dtype_and_size() -> None:
    chosen = settings.of({"problem": ["mlp", "vae"], "k": [2, 3], "seed": range(3), "backends": ["numpy"]}, many=True)
    batches = Batches(plan(chosen))
    sizes = []
    while batch := batches.take(2):
        assert len({(case.group.problem, case.values["k"]) for case in batch}) == 1
        sizes.append(len(batch))
    assert sizes == [2, 1] * 4


def test_one_case_prints_a_report_and_several_a_summary(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "huber.py").write_text(HUBER)
    words = ("run", "huber.py", "--k", 4)
    one = gradcheck(*words, "--seed", "0")
    assert "Losses, and the largest error of each gradient" in one.stdout
    done = gradcheck(*words, "--seed", "0:40", "--distribution", "uniform,normal")
    lines = done.stdout.splitlines()
    assert lines[0] == "huber.py  k = 4  seed 0:40  float64  uniform,normal"
    assert lines[1].startswith("80 cases in ")
    head, values = (line.split() for line in lines if line.startswith(("backend", "mine  ")))
    assert head == ["backend", "cases", "agrees", "differs", "of", "bound", "seconds"]
    assert values[:2] == ["mine", "80"]
    assert int(values[2]) + int(values[3]) == 80
    assert 0 < int(values[3]) < 40, "the branch is rarely taken, and never by uniform inputs"
    assert done.returncode == 1
    assert lines[-1] == "differ: at least one backend differs"
    command = lines[-2].removeprefix("again: gradcheck ").split()
    assert gradcheck(*command).returncode == 1, "the worst case is one that fails"


def test_the_summary_in_json_has_its_schema(gradcheck: Command) -> None:
    done = gradcheck("run", FAULTY, "-b", "right", "-b", "wrong_sign", "--seed", "0:3", "--format", "json")
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads(gradcheck("schema", "summary").stdout))
    assert (found["schema"], found["cases"], found["exit_code"]) == ("gradcheck-summary/1", 3, 1)
    assert [row["verdicts"] for row in found["rows"]] == [{"agrees": 3}, {"differs": 3}]
    assert found["worst"]["report"]["case"]["seed"] in range(3)


def test_inputs_that_do_not_fit_a_dtype_are_no_fault_of_the_others(gradcheck: Command) -> None:
    done = gradcheck("run", "mlp", "-b", "numpy", "--distribution", "uniform,tiny", "--dtype", "float16,float64")
    assert done.returncode == 0, done.stdout
    assert "numpy: unsupported: scale 1: tiny inputs underflow to 0 in float16" in done.stdout
    alone = gradcheck("run", "mlp", "-b", "numpy", "--distribution", "tiny", "--dtype", "float16")
    assert alone.returncode == 2


def test_inputs_of_a_file_are_one_case(gradcheck: Command) -> None:
    done = gradcheck("run", "--inputs", "a.npz", "--seed", "0:3")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--inputs a.npz: expected one case with it, not --seed" in done.stderr


def test_a_named_problem_without_a_backend_is_not_passed_over(gradcheck: Command) -> None:
    done = gradcheck("run", "sigmoid_skip", FAULTY, "-b", "right")
    assert (done.returncode, done.stdout) == (2, "")
    refusal = "backend right: no gradient of sigmoid_skip: expected one for each problem"
    assert done.stderr == f"gradcheck: {refusal}\n"
    both = gradcheck("run", "sigmoid_skip", FAULTY, "-b", "right", "-b", "numpy")
    assert both.returncode == 0, both.stderr
    assert gradcheck("run", FAULTY, "all", "-b", "right").returncode == 0, "`all` leaves problems out"


def test_a_terminal_shows_how_far_a_run_is(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gradcheck", "run", "-b", "numpy", "--seed", "0:60"]
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, cwd=tmp_path, env=variables)
    os.close(theirs)
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while chunk := read(terminal.fileno()):
            shown += chunk
    assert process.wait() == 0
    assert b"/60" in shown
    assert b"cases/s" in shown


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other side is closed
        return b""


def test_sweep_gives_the_summary_in_python(tmp_path: Path) -> None:
    (tmp_path / "huber.py").write_text(HUBER)
    summary = gradcheck.sweep(tmp_path / "huber.py", k=[1, 4], seed=range(20), distribution="normal")
    assert (summary.cases, summary.exit_code) == (40, 1)
    with pytest.raises(AssertionError, match=r"mine: differs: dL/da is proved wrong[\s\S]*again: gradcheck run"):
        summary.assert_agrees()


def test_a_session_keeps_its_workers_for_sweeps() -> None:
    with Session() as session:
        for _ in range(2):
            summary = session.sweep(FAULTY, seed=range(3), backends=["right"])
            summary.assert_agrees()
        assert session.check(FAULTY, backends=["right"]).exit_code == 0


def without_times(outcome: CaseOutcome) -> CaseOutcome:
    backends = tuple(msgspec.structs.replace(each, seconds=None) for each in outcome.backends)
    return msgspec.structs.replace(outcome, seconds=0.0, backends=backends, report=None)


def comparable(outcome: CaseOutcome) -> dict[str, Any]:
    """The report of a case, without what depends on the moment."""
    report = msgspec.to_builtins(unpack(outcome.report)) if outcome.report else {}
    report.pop("environment", None)
    for backend in report.get("backends", ()):
        del backend["seconds"]
    return json.loads(json.dumps(report))  # NaN is NaN


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("sigmoid_skip", {"backends": ["manual", "numpy"], "distribution": "mixed"}),
        ("sigmoid_skip", {"backends": ["manual", "numpy"], "dtype": "bfloat16"}),
        ("vae", {"backends": ["numpy"], "k": 2}),
        (FAULTY, {"backends": ["right", "wrong_sign", "one_entry_off", "not_a_number", "raises"], "order": 1}),
        (FAULTY, {"backends": ["right", "wrong_shape"], "k": 17}),
    ],
)
def test_a_case_has_the_verdict_and_figures_that_it_has_alone(problem: str | Path, options: dict[str, Any]) -> None:
    """More than 64 cases, in messages of 32: of small ones only a sample is answered twice."""
    chosen = settings.of({"problem": [str(problem)], "seed": range(400), "k": 3, **options}, many=True)
    cases = sorted(plan(chosen), key=lambda case: not case.is_asked_twice)[5:41]
    assert {case.is_asked_twice for case in cases} == {True, False}
    with Runner(Logged()) as runner:
        together = evaluated(cases, runner)
        alone = [outcome_of(case.key, runner.run(case.settings)) for case in cases[::5]]
    assert [without_times(each) for each in together[::5]] == [without_times(each) for each in alone]
    assert repr([comparable(each) for each in together[::5]]) == repr([comparable(each) for each in alone])


def test_a_backend_that_varies_is_found_in_a_sample_of_many_cases(tmp_path: Path) -> None:
    varies = HUBER.split("def backward")[0] + VARIES
    (tmp_path / "huber.py").write_text(varies)
    few, many = (gradcheck.sweep(tmp_path / "huber.py", seed=range(count)).rows[0].verdicts for count in (40, 100))
    assert few == {"differs": 40}
    assert 1 <= many[Verdict.DIFFERS] <= 20


def test_a_crash_in_one_case_is_no_crash_in_the_others(gradcheck: Command, tmp_path: Path) -> None:
    crash = "def backward(a):\n    if a[0] > 1.0:\n        import os\n        os._exit(3)\n"
    source = HUBER.replace("np.sign(a), a)", "1.5 * np.sign(a), a)").replace("def backward(a):\n", crash)
    (tmp_path / "huber.py").write_text(source)
    done = gradcheck("run", "huber.py", "--k", 1, "--seed", "0:20", "--distribution", "normal", "--format", "json")
    [row] = json.loads(done.stdout)["rows"]
    assert 1 <= row["verdicts"]["crashed"] <= 8
    assert row["verdicts"] == {"agrees": 20 - row["verdicts"]["crashed"], "crashed": row["verdicts"]["crashed"]}
    assert done.returncode == 3


def test_a_reason_counts_in_its_own_dtype_and_without_its_numbers() -> None:
    """JUnit has the reasons of a test case alone, and the summary has each once."""
    tally = Tally()
    for number, (dtype, wrong) in enumerate([("float64", 3), ("float64", 4), ("float32", 5)]):
        reason = f"dL/dx is off by up to {wrong}.5e+02 standard deviations of rounding in {wrong} of 9 entries"
        differs = BackendOutcome(
            spec="mine", version=None, verdict=Verdict.DIFFERS, bound_ratio=None, reason=reason, seconds=0.0
        )
        tally.add(
            CaseOutcome(
                key=str(number), problem="p", k=1, seed=number, dtype=dtype, distribution="uniform", scale=1.0,
                verdict=RunVerdict.DIFFER, backends=(differs,), replay=f"again {number}", seconds=0.0,
            )
        )  # fmt: skip
    found = tally.summary({}, 1.0, lambda _: None)
    assert [(each.dtype, each.cases) for each in found.reasons] == [("float64", 2), ("float32", 1)]
    (merged,) = found.merged()
    assert (merged.reason, merged.cases) == ("dL/dx is off by many standard deviations of rounding", 3)
    of_single = junit.of_row(found, found.rows[1])
    assert of_single.text == "differs: dL/dx is off by many standard deviations of rounding (1 case)\nagain: again 2"
