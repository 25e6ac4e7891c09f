"""A record is data, and the problem's file that it names is code: gradcheck reports a run of it. "again" works."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command

PROBLEM = """
import numpy as np
def inputs(k): return {"a": (k,)}
def loss(ops, a): return ops.sum(a * a)
def right(a): return np.sum(a * a), {"a": 2 * a}
gradients = {"right": right}
open(PATH, "a").write("run ")
"""
RECORD = {
    "inputs": {"a": [0.5, 0.25]},
    "answers": {"mine": {"dtype": "float64", "loss": 0.3125, "gradients": {"a": [1.0, 0.5]}}},
}


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """The trace of a problem's file that was run: two folders have one file each."""
    ran = tmp_path / "ran"
    for folder in ("records", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "layer.py").write_text(PROBLEM.replace("PATH", repr(str(ran))))
    return ran


def record(ran: Path, problem: str, name: str = "record.json") -> Path:
    path = ran.parent / "records" / name
    path.write_text(json.dumps(RECORD | {"problem": problem}))
    return path


def test_a_file_beside_the_record_is_run_and_that_is_reported(gradcheck: Command, ran: Path) -> None:
    path = record(ran, "layer.py")
    done = gradcheck("verify", path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"gradcheck: {path}: runs {path.parent / 'layer.py'}, which it names\n"
    assert ran.exists()


@pytest.mark.parametrize("problem", ["../elsewhere/layer.py", "../records/layer.py", "ABSOLUTE", "./x/../layer.py"])
def test_any_other_file_is_run_only_if_it_is_trusted(gradcheck: Command, ran: Path, problem: str) -> None:
    (ran.parent / "records" / "x").mkdir()
    path = record(ran, problem.replace("ABSOLUTE", str(ran.parent / "elsewhere" / "layer.py")))
    done = gradcheck("verify", path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "which is not beside it: expected --trust" in done.stderr
    assert not ran.exists(), "refused before it is run"
    done = gradcheck("verify", path, "--trust")
    assert done.returncode == 0, done.stderr
    assert ", which it names" in done.stderr
    assert ran.exists()


def test_a_file_that_the_user_names_needs_no_trust(gradcheck: Command, ran: Path) -> None:
    path = record(ran, "../nowhere.py")
    done = gradcheck("verify", path, "--problem", "elsewhere/layer.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert "again: gradcheck verify" in done.stdout
    assert "--problem elsewhere/layer.py" in done.stdout


def test_a_problem_that_never_ends(gradcheck: Command, ran: Path) -> None:
    path = record(ran, "layer.py")
    (path.parent / "layer.py").write_text(f"{PROBLEM.replace('PATH', repr(str(ran)))}\nwhile True: pass")
    done = gradcheck("verify", path, "--timeout", "1")
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == [
        f"gradcheck: {path.parent / 'layer.py'}: loading took longer than 1 s: expected code that ends, or a longer "
        "timeout"
    ]


@pytest.mark.parametrize("name", ["b", "[/x]"])
def test_a_gradient_of_an_unknown_input(gradcheck: Command, ran: Path, name: str) -> None:
    answer: dict[str, Any] = RECORD["answers"]["mine"]  # type: ignore[index]
    path = record(ran, "layer.py")
    answers = {"mine": answer | {"gradients": {name: [1.0]}}}
    path.write_text(json.dumps(RECORD | {"problem": "layer.py", "answers": answers}))
    done = gradcheck("verify", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"mine: gradients: {name!r}: expected some of a" in done.stderr


def again(folder: Path, *words: str, **variables: str) -> tuple[int, str]:
    """Run a command, then its report's `again` command in a shell: exit code and report of the second."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADCHECK_")} | variables
    command = [sys.executable, "-m", "gradcheck", words[0], "--format", "json", *words[1:]]
    first = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert first.returncode in (0, 1), first.stderr
    report = json.loads(first.stdout)
    replay = report["case"]["replay"]
    assert replay.isprintable()
    assert replay.startswith("gradcheck ")
    gradcheck = shlex.join([sys.executable, "-m", "gradcheck"])
    line = f"{gradcheck} {replay.removeprefix('gradcheck ')} --format json"
    second = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=folder, env=environment)
    assert second.returncode == first.returncode, second.stderr
    repeated = json.loads(second.stdout)
    for each in (repeated, report):
        each["case"]["problem"] = os.path.normpath(each["case"]["problem"])  # -a.py comes as ./-a.py
    assert repeated["case"] == report["case"]
    return second.returncode, replay


@pytest.mark.parametrize("name", ["-layer.py", "it's my $é.py", "a\x1b[2J\nb.py"])
def test_again_with_odd_names(ran: Path, name: str) -> None:
    folder = ran.parent
    (folder / name).write_text((folder / "elsewhere" / "layer.py").read_text())
    (folder / "-inputs.json").write_text(json.dumps({"a": [0.5, -0.25]}))
    as_word = f"./{name}" if name.startswith("-") else name
    assert again(folder, "run", as_word, "-b", "right")[0] == 0
    if name.startswith("-"):
        assert again(folder, "run", as_word, "-b", "right", "--k", "2", "--inputs", "-inputs.json")[0] == 0
        assert again(folder, "run", "-b", "right", "--", name)[0] == 0
        (folder / "-record.json").write_text(record(ran, "elsewhere/layer.py").read_text())
        assert again(folder, "verify", "--trust", "--", "-record.json")[0] == 0


def test_again_states_options_that_a_file_or_a_variable_would_change(ran: Path) -> None:
    """`again` states a requested default if pyproject.toml or a variable has another value."""
    folder = ran.parent
    (folder / "pyproject.toml").write_text("[tool.gradcheck]\ndistribution = 'normal'\nscale = 4.0\n")
    words = ("run", "elsewhere/layer.py", "-b", "right", "--distribution", "uniform", "--scale", "1")
    code, replay = again(folder, *words, GRADCHECK_GATE="proved", GRADCHECK_TIMEOUT="60")
    assert code == 0
    assert "--distribution uniform --scale 1.0" in replay
    assert "--gate proved" in replay


def test_again_has_the_last_of_repeated_options(ran: Path) -> None:
    words = ("--k", "1", "--k", "2", "--scale", "3", "--scale", "-0.5", "--timeout", "30")
    _, replay = again(ran.parent, "run", "elsewhere/layer.py", "-b", "right", *words)
    assert replay.endswith("--k 2 --seed 0 --dtype float64 --backend right --scale -0.5 --timeout 30.0")
