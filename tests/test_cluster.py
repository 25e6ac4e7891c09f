"""A Dask cluster: its outcomes are those of one process, whatever happens to one of its workers."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import FAKES, Command
from tests.faults.endings import Run, held, wait_for
from tests.test_jobs import outcomes
from tests.test_store import count

FAULTY = FAKES / "faulty.py"
TWO = ("--dask", "local", "--jobs", 2)
DEADLY = """
import os
import signal

import numpy as np

def inputs(k):
    return {"x": (k,)}

def sample(rng, k):
    if k == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return {}

def loss(x):
    return np.sum(x * x)

gradients = {"mine": lambda x: (np.sum(x * x), {"x": 2 * x})}
"""


def workers_of(run: Run) -> list[psutil.Process]:
    """The processes of the local cluster that evaluate batches."""
    return [each for each in run.processes() if any("spawn_main" in word for word in each.cmdline())]


def test_a_killed_worker_costs_no_case_and_the_store_is_that_of_one_process(gradcheck: Command, tmp_path: Path) -> None:
    problem, released = held(tmp_path, calls=40)
    words = ["run", problem, "-b", "right", "-b", "wrong_sign", "--seed", "0:150", "--store"]
    with Run(tmp_path, [*words, "dask.sqlite", *TWO], cwd=tmp_path) as run:
        wait_for(lambda: (tmp_path / "dask.sqlite").exists() and count(tmp_path / "dask.sqlite") > 0)
        workers_of(run)[0].kill()
        released.touch()
        printed, errors = run.process.communicate(timeout=120)
    one = gradcheck(*words, "one.sqlite")
    assert run.process.returncode == one.returncode == 1, printed + errors
    assert outcomes(tmp_path / "dask.sqlite") == outcomes(tmp_path / "one.sqlite")
    assert "Traceback" not in errors


def test_a_case_that_ends_each_worker_has_crashed_it_and_others_have_not(
    gradcheck: Command, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--thorough"):
        pytest.skip("each killed worker takes seconds to start again")
    (tmp_path / "deadly.py").write_text(DEADLY)
    done = gradcheck("run", "deadly.py", "--k", "1,2,3", "--seed", "0:2", "--store", "s.sqlite", *TWO)
    assert done.returncode == 3, done.stderr
    verdicts = {(k, verdict) for _, k, _, _, _, _, verdict, *_ in outcomes(tmp_path / "s.sqlite")}
    assert verdicts == {(1, "agrees"), (2, "crashed"), (3, "agrees")}
    assert "the process of this case ended: was killed by SIGKILL" in done.stdout


def test_time_limits_of_a_problem_hold(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(DEADLY.replace("os.kill(os.getpid(), signal.SIGKILL)", "while True: pass"))
    done = gradcheck("run", "endless.py", "--k", "1,2,3", "--timeout", 2, "--dask", "local", "--jobs", 1)
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert line.endswith(
        "endless.py: sample(rng, 2) took longer than 2 s: expected code that ends, or a longer timeout"
    )


@pytest.mark.parametrize("seconds", [0, 4])
def test_an_interrupted_run_leaves_nothing(seconds: float, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    if seconds and not pytestconfig.getoption("--thorough"):
        pytest.skip("it waits until cases have outcomes")
    with Run(tmp_path, ["run", FAULTY, "-b", "right", "--seed", "0:100000", *TWO]) as run:
        wait_for(lambda: len(workers_of(run)) == 2)
        time.sleep(seconds)
        run.process.terminate()
        _, errors = run.process.communicate(timeout=60)
        assert run.process.returncode == 130, errors
        wait_for(lambda: run.processes() == [])
        assert run.folders() == []
    assert "Traceback" not in errors


@pytest.fixture
def another_cluster() -> Iterator[None]:
    """What one takes on this machine: Dask's port of pages. It may be taken already."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("", 8787)))
        yield


@pytest.mark.usefixtures("another_cluster")
def test_a_problem_that_only_a_worker_refuses_is_one_line(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "layer.py").write_text(
        "import numpy as np\n\ndef inputs(k):\n    return {'x': (k,)}\n\ndef loss(x):\n    return np.sum(x[:, 0])\n"
        "\ngradients = {'mine': lambda x: (0.0, {'x': x})}\n"
    )
    done = gradcheck("run", "layer.py", "--seed", "0:4", *TWO)
    assert (done.returncode, done.stdout) == (2, "")
    assert "layer.py:7" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1:1"])
def test_an_address_without_a_scheduler_is_one_line(
    gradcheck: Command, address: str, pytestconfig: pytest.Config
) -> None:
    if address != "nowhere" and not pytestconfig.getoption("--thorough"):
        pytest.skip("it waits for the scheduler")
    done = gradcheck("run", FAULTY, "-b", "right", "--seed", "0:4", "--dask", address)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"gradcheck: --dask {address}: ")
    assert line.endswith('expected "local", or the address of a scheduler, such as tcp://node:8786')


def test_without_distributed_one_line_says_what_to_install(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError")
    done = gradcheck("run", FAULTY, "-b", "right", "--seed", "0:4", "--dask", "local", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line == "gradcheck: --dask local: distributed is not installed: expected pip install 'gradcheck[dask]'"
