"""Several processes in one run of many cases: the same outcomes, whatever happens to one of them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psutil

from tests.conftest import FAKES, Command
from tests.faults.endings import Run, held, wait_for
from tests.test_store import count

FAULTY = FAKES / "faulty.py"
WORDS = ("run", FAULTY, "-b", "right", "-b", "wrong_sign", "--store")


def outcomes(path: Path) -> list[tuple[object, ...]]:
    """What a store has, without times."""
    columns = "key, k, seed, cases.verdict, replay, backend, answers.verdict, bound_ratio, reason"
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            f'SELECT {columns} FROM cases JOIN answers ON "case" = id ORDER BY key, position'
        ).fetchall()


def jobs_of(run: Run) -> list[psutil.Process]:
    return [each for each in run.processes() if "gradcheck.runs.job" in each.cmdline()]


def test_two_processes_give_the_store_of_one(gradcheck: Command, tmp_path: Path) -> None:
    values = ("--k", "2,3", "--seed", "0:15")
    one = gradcheck(*WORDS, "one.sqlite", *values)
    two = gradcheck(*WORDS, "two.sqlite", *values, "--jobs", 2)
    assert one.returncode == two.returncode == 1
    assert outcomes(tmp_path / "one.sqlite") == outcomes(tmp_path / "two.sqlite")
    assert len(outcomes(tmp_path / "two.sqlite")) == 60
    findings = [done.stdout[done.stdout.index("wrong_sign: differs") :] for done in (one, two)]
    assert findings[0] == findings[1]


def test_a_killed_process_loses_no_case(tmp_path: Path) -> None:
    problem, released = held(tmp_path, calls=40)
    words = ["run", problem, "-b", "right", "--seed", "0:120", "--jobs", 2, "--store", tmp_path / "s.sqlite"]
    with Run(tmp_path, words) as run:
        wait_for(lambda: len(jobs_of(run)) == 2)
        wait_for(lambda: count(tmp_path / "s.sqlite") > 0)
        jobs_of(run)[0].kill()
        released.touch()
        output, errors = run.process.communicate(timeout=120)
        assert run.process.returncode == 0, output + errors
    assert sorted(seed for _, _, seed, *_ in outcomes(tmp_path / "s.sqlite")) == [*range(120)]  # type: ignore[type-var]


def test_an_interrupted_run_leaves_no_process(tmp_path: Path) -> None:
    words = ["run", FAULTY, "-b", "right", "--seed", "0:100000", "--jobs", 2]
    with Run(tmp_path, words) as run:
        wait_for(lambda: len(jobs_of(run)) == 2)
        time.sleep(1)  # its moment does not matter
        run.process.terminate()
        assert run.process.wait(timeout=30) == 130
        wait_for(lambda: run.processes() == [])
        assert run.folders() == []


def test_a_wrong_request_is_one_line(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "layer.py").write_text(
        "import numpy as np\n\ndef inputs(k):\n    return {'x': (k,)}\n\ndef loss(x):\n    return np.sum(x[:, 0])\n"
        "\ngradients = {'mine': lambda x: (0.0, {'x': x})}\n"
    )
    done = gradcheck("run", "layer.py", "--seed", "0:4", "--jobs", 2)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gradcheck: ")
    assert "layer.py:7" in done.stderr
    assert done.stderr.count("\n") == 1
