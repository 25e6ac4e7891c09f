"""`gradcheck hunt` finds mistakes that show in one case of a hundred, and hands over a small case that replays."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcheck import problems, settings
from gradcheck.api import Logged
from gradcheck.runs import minimal
from gradcheck.runs.hunt import Hunted, Limits, hunt
from gradcheck.runs.kept import KeptCases
from tests.conftest import FAKES, Command

RIGHT = """
import numpy as np

def inputs(k):
    return {"x": (k,)}

def loss(x):
    return np.sum(np.where(x > 40, x * x, 80 * x - 1600))

def backward(x):
    return np.sum(np.where(x > 40, x * x, 80 * x - 1600)), {"x": np.where(x > 40, 2 * x, 80.0)}

gradients = {"mine": backward}
"""
RAISING = RIGHT.replace("def backward(x):", "def backward(x):\n    assert np.unique(x).size == x.size")
RARE = [("huber", 2), ("clipped", 2), ("embedding", 3)]
"""Problems with a mistake that shows in 0, 3 and 6 of the 200 first cases at k = 3, and the entries of a small case."""
ENOUGH = 1000
"""Cases in which hunt finds each of them, whatever its seed."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def hunted(path: Path, folder: Path, most_cases: int = ENOUGH, **options: Any) -> Hunted:
    chosen = settings.of({"problem": str(path), **options})
    return hunt(chosen, Limits(8, 600, most_cases), folder / "found.json", Logged())


def written(folder: Path, text: str) -> Path:
    path = folder / "problem.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("name", "entries"), RARE)
def test_a_rare_mistake_is_found_and_made_small(
    name: str, entries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    thorough = pytestconfig.getoption("--thorough")
    if name == "clipped" and not thorough:
        pytest.skip("a mistake is found that is as rare, and one that is rarer")
    for seed in range(10 if thorough else 1):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache {seed}"))
        assert_found(hunted(FAKES / f"{name}.py", tmp_path, seed=seed), entries)


def assert_found(found: Hunted, entries: int) -> None:
    assert found.exit_code == 1
    assert found.found_after is not None
    assert found.found_after <= ENOUGH
    assert (found.report.case.k, found.nonzero) <= (2, entries)
    [mine] = found.report.backends
    assert mine.verdict == "differs"
    assert mine.cause is not None
    assert mine.cause.kind == "wrong formula"


def test_repeated_indices_stay_in_the_small_case(tmp_path: Path) -> None:
    hunted(FAKES / "embedding.py", tmp_path)
    ids = json.loads((tmp_path / "found.json").read_text())["inputs"]["ids"]
    assert len(ids) == 2
    assert ids[0] == ids[1]


def test_both_printed_commands_replay_the_case(gradcheck: Command, tmp_path: Path) -> None:
    shutil.copy(FAKES / "huber.py", tmp_path)
    done = gradcheck("hunt", "huber.py", "--cases", ENOUGH)
    assert done.returncode == 1, done.stderr
    [again, verify] = [line.partition(": ")[2].split() for line in done.stdout.splitlines()[-2:]]
    for command in (again, verify):
        assert command[0] == "gradcheck"
        replayed = gradcheck(*command[1:])
        assert replayed.returncode == 1, replayed.stderr
        assert "differs (proved)" in replayed.stdout


def test_the_same_seed_searches_the_same_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for cache in ("one", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / cache))
        result = hunted(FAKES / "clipped.py", tmp_path, seed=1)
        found.append((result.found_after, result.cases, (tmp_path / "found.json").read_text()))
    assert found[0] == found[1]


def test_a_case_that_failed_before_comes_first_and_is_forgotten_when_it_is_right(tmp_path: Path) -> None:
    path = tmp_path / "huber.py"
    wrong = (FAKES / "huber.py").read_text()
    path.write_text(wrong)
    first = hunted(path, tmp_path)
    assert first.found_after is not None
    assert first.found_after > 2
    assert len(list(KeptCases(problems.load(str(path)), "float64", 1, ("mine",)))) == 1
    assert hunted(path, tmp_path).found_after == 2, "after a usual case"
    path.write_text(wrong.replace("2.25, r)  #", "2.25 * np.sign(r), r)  #"))
    assert hunted(path, tmp_path, most_cases=5).exit_code == 0
    assert list(KeptCases(problems.load(str(path)), "float64", 1, ("mine",))) == []


def test_a_right_gradient_ends_with_0_and_a_case_for_the_branch_that_no_usual_case_takes(
    gradcheck: Command, tmp_path: Path
) -> None:
    written(tmp_path, RIGHT)
    done = gradcheck("hunt", "problem.py", "--cases", 100)
    assert done.returncode == 0, done.stderr
    first, taken = done.stdout.splitlines()
    assert first.startswith("problem.py: no case fails: 1")
    branch, command = taken.rsplit(": ", 1)
    assert branch == "  taken: `x > 40` (problem.py:8), true"
    replayed = gradcheck(*command.split()[1:], "--format", "json")
    [condition] = json.loads(replayed.stdout)["conditions"]
    assert (condition["true"], condition["false"]) == (1, 0)
    assert replayed.returncode == 0


def test_a_branch_that_no_case_takes_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, RIGHT.replace("x > 40", "x * x < 0"))
    found = hunted(path, tmp_path, most_cases=30)
    [branch] = found.untried
    assert branch.startswith("`x * x < 0` (problem.py:8) was true in 0 of ")
    assert found.taken == []


def test_numbers_that_overflow_the_dtype_make_no_case_and_no_warning(tmp_path: Path) -> None:
    found = hunted(written(tmp_path, RIGHT), tmp_path, most_cases=60, dtype="float16")
    assert found.exit_code == 0


def test_a_gradient_that_raises_at_ties_is_found(tmp_path: Path) -> None:
    found = hunted(written(tmp_path, RAISING), tmp_path)
    assert found.exit_code == 1
    assert found.report.case.k == 2
    assert found.report.backends[0].verdict == "crashed"
    assert list(json.loads((tmp_path / "found.json").read_text())) == ["x"]


def test_a_usual_case_that_fails_needs_no_search(tmp_path: Path) -> None:
    found = hunted(written(tmp_path, RIGHT.replace("80.0)", "81.0)")), tmp_path)
    assert found.found_after == 1
    assert found.report.case.k == 1


def test_without_an_answer_of_a_backend_the_exit_code_is_3(tmp_path: Path) -> None:
    path = written(tmp_path, RIGHT)
    found = hunted(path, tmp_path, most_cases=10, backends=["mine", "torch==0.0.1"], no_build=True)
    assert found.exit_code == 3


def test_ctrl_c_ends_a_hunt_with_what_it_knows(tmp_path: Path) -> None:
    written(tmp_path, RIGHT)
    command = [sys.executable, "-m", "gradcheck", "hunt", "problem.py", "--minutes", "5"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    constants = tmp_path / "cache" / "gradcheck" / "hunt"
    deadline = time.monotonic() + 60
    while not list(constants.glob("*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "no case fails" in printed
    assert errors.strip().endswith("interrupted")
    assert not (tmp_path / "problem-failing.json").exists()


def test_without_hypothesis_one_line_says_what_to_install(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "hypothesis.py").write_text("raise ImportError")
    done = gradcheck("hunt", FAKES / "huber.py")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line == "gradcheck: hunt: hypothesis is not installed: expected pip install 'gradcheck[hunt]'"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--minutes", "0"], "--minutes 0: expected a number of minutes above 0, at most 100000"),
        (["--minutes", "x"], "--minutes x: expected a number of minutes above 0, at most 100000"),
        (["--cases", "1.5"], "--cases 1.5: expected a whole number from 1"),
        (["--output", "missing/found.json"], "missing"),
        (["--k", "0"], "--k 0"),
    ],
)
def test_a_wrong_request_is_one_line(gradcheck: Command, words: list[str], line: str) -> None:
    done = gradcheck("hunt", FAKES / "huber.py", *words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert line in done.stderr


def test_a_small_case_has_the_fewest_entries_and_the_simplest_numbers() -> None:
    def holds(arrays: minimal.Arrays, k: int | None) -> bool:
        return bool(np.abs(arrays["x"]).max() > 7.3)

    def shapes(k: int) -> dict[str, tuple[int, ...]]:
        return {"x": (k, 2 * k), "y": (k,)}

    rng = np.random.default_rng(0)
    arrays = {name: rng.uniform(-9, 9, shape) for name, shape in shapes(5).items()}
    arrays, k = minimal.minimal(arrays, 5, holds, shapes, ("x", "y"))
    assert k == 1
    assert sorted(np.abs(arrays["x"]).ravel().tolist()) in ([0.0, 8.0], [0.0, 9.0])
    assert arrays["y"].tolist() == [0.0]
