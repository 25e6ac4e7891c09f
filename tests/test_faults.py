"""A failure of a backend is the verdict of its row: the others are not affected, and nothing outlives the command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil
import pytest

from gradcheck.system import lifelines
from tests.conftest import FAKES, Command

FAULTY = FAKES / "faulty.py"


@pytest.mark.parametrize(
    ("fault", "verdict", "reason"),
    [
        ("wrong_sign", "differs", "dL/db is proved wrong in 9 of 9 entries"),
        ("one_entry_off", "differs", "dL/db is proved wrong in 1 of 9 entries"),
        ("wrong_loss", "differs", "the loss is proved wrong"),
        ("not_a_number", "differs", "dL/da is proved wrong in 1 of 3 entries"),
        ("wrong_shape", "differs", "dL/db has shape (3,): expected (3, 3)"),
        ("missing_gradient", "differs", "dL/db is missing"),
        ("vector_loss", "differs", "the loss has shape (3,): expected a scalar"),
        ("words", "crashed", f"{FAULTY}:59: words: dL/da is an array of strings: expected an array of real numbers"),
        ("raises", "crashed", f"{FAULTY}:64: ZeroDivisionError: planted"),
        ("exhausts_memory", "crashed", f"{FAULTY}:121: MemoryError: planted"),
        ("mutates", "differs", "it changes its inputs: b"),
        ("unsteady", "differs", "dL/da varies from call to call by 1.8e-09"),
        ("varies_as_rounding_does", "agrees", None),
        ("prints", "agrees", None),
        ("floods", "agrees", None),
        ("exits", "crashed", "exited with code 7"),
        ("segfaults", "crashed", "was killed by SIGSEGV"),
    ],
)
def test_a_fault_is_a_verdict_and_the_other_rows_stand(
    gradcheck: Command, fault: str, verdict: str, reason: str | None
) -> None:
    done = gradcheck("run", FAULTY, "-b", fault, "-b", "right", "--format", "json")
    wrong, right = json.loads(done.stdout)["backends"]
    assert (wrong["verdict"], wrong["reason"]) == (verdict, reason)
    assert right["verdict"] == "agrees"
    assert done.returncode == {"agrees": 0, "differs": 1, "crashed": 3}[verdict]


@pytest.mark.parametrize("fault", ["hangs", "hangs_deaf"])
def test_a_hanging_backend_times_out_and_ends(gradcheck: Command, fault: str, mark: str) -> None:
    began = time.monotonic()
    done = gradcheck("run", FAULTY, "-b", fault, "-b", "right", "--timeout", 2, "--format", "json")
    wrong, right = json.loads(done.stdout)["backends"]
    assert (wrong["verdict"], wrong["reason"]) == ("timed-out", "no answer within 2 s")
    assert right["verdict"] == "agrees"
    assert done.returncode == 3
    assert time.monotonic() - began < 10
    assert workers(mark) == []


def test_a_users_own_traceback_is_shown_without_our_frames(gradcheck: Command) -> None:
    done = gradcheck("run", FAULTY, "-b", "raises", "-b", "right")
    assert "raises: ZeroDivisionError: planted" in done.stderr
    assert str(FAULTY) in done.stderr
    assert "_worker/host.py" not in done.stderr


@pytest.mark.parametrize(
    ("way", "verdict", "reason"),
    [
        ("garbage", "crashed", "answered 'this is no reply', which is not a reply"),
        ("half-a-line", "crashed", 'exited with code 0 in the middle of the line \'{"id": 1, "resu\''),
        ("another-id", "crashed", "which is not a reply: the id of the request is 1"),
        ("empty-result", "crashed", "gave a result of evaluate that is not valid: Object missing required field"),
        ("endless-line", "crashed", "which is not a reply: expected a line with an end"),
        ("deaf", "timed-out", "no answer within 2 s"),
    ],
)
def test_a_worker_that_violates_the_protocol(
    gradcheck: Command, tmp_path: Path, mark: str, way: str, verdict: str, reason: str
) -> None:
    interpreter = tmp_path / way
    interpreter.write_text((FAKES / "interpreter.py").read_text().replace("/usr/bin/env python3", sys.executable))
    interpreter.chmod(0o755)
    words = ("-b", f"torch@{interpreter}", "-b", "right", "--timeout", 2, "--format", "json")
    wrong, right = json.loads(gradcheck("run", FAULTY, *words).stdout)["backends"]
    assert wrong["verdict"] == verdict
    assert reason in wrong["reason"]
    assert right["verdict"] == "agrees"
    assert workers(mark) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("fault", ["hangs", "hangs_deaf"])
def test_no_worker_outlives_the_command(number: signal.Signals, fault: str, mark: str) -> None:
    if (number, fault) == (signal.SIGKILL, "hangs_deaf") and not lifelines.SIGNALS_BY_PIPE:
        pytest.skip("a worker that holds its interpreter's lock cannot see that its parent was killed")
    command = [sys.executable, "-m", "gradcheck", "run", str(FAULTY), "-b", fault, "-b", "right"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: any(worker.num_threads() > 1 for worker in workers(mark)))
    time.sleep(0.5)  # until it hangs
    assert len(workers(mark)) >= 2
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert errors == "gradcheck: interrupted\n"
        assert folders(process.pid) == []
    wait_for(lambda: workers(mark) == [])


def test_a_second_ctrl_c_leaves_no_worker_either(mark: str) -> None:
    command = [sys.executable, "-m", "gradcheck", "run", str(FAULTY), "-b", "hangs_deaf", "-b", "hangs"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: any(worker.num_threads() > 1 for worker in workers(mark)))
    time.sleep(0.5)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    process.communicate(timeout=20)
    wait_for(lambda: workers(mark) == [])


def test_the_callers_environment_does_not_leak_into_workers(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise RuntimeError('leaked')")
    (tmp_path / "torch.py").write_text("raise RuntimeError('leaked')")
    problem = tmp_path / "problem.py"
    problem.write_text(
        "import os\n"
        "def inputs(k): return {'a': (k,)}\n"
        "def loss(ops, a): return ops.sum(a * a)\n"
        "def mine(a):\n"
        "    assert not {'PYTHONPATH', 'VIRTUAL_ENV', 'PYTHONSTARTUP'} & set(os.environ)\n"
        "    return (a * a).sum(), {'a': 2 * a}\n"
        "gradients = {'mine': mine}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "gradcheck", "run", str(problem), "-b", "mine", "-b", "torch"],
        capture_output=True, text=True, cwd=tmp_path,
        env=os.environ | {"VIRTUAL_ENV": "/leak", "PYTHONSTARTUP": "/leak", "PYTHONSAFEPATH": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(autouse=True)
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """Workers inherit it: so a test recognises its own among those of other commands."""
    value = uuid.uuid4().hex
    monkeypatch.setenv("TEST_OF_FAULTS", value)
    return value


def workers(mark: str) -> list[psutil.Process]:
    """The processes of a test that run our workers' bootstrap, or that such a process has started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TEST_OF_FAULTS") == mark and "bootstrap.py" in " ".join(process.cmdline()):
                found.append(process)
    return found


def folders(pid: int) -> list[Path]:
    """The leftovers of a command in memory and on disk."""
    return [path for place in ("/dev/shm", tempfile.gettempdir()) for path in Path(place).glob(f"gradcheck-{pid}-*")]


def wait_for(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.02)
