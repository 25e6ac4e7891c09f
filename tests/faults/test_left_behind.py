"""Leftovers of programs end with the command; in Python and in pytest the caller decides how to handle signals."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gradcheck.execution.worker import Worker
from gradcheck.system.interruptions import deferred
from tests.faults.endings import RIGHT, Run, program, wait_for

LINUX_ALONE = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone gives orphans to another process")


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    place = tmp_path / "temporary"
    place.mkdir()
    return place


@LINUX_ALONE
def test_daemons_of_programs_end_with_the_command(temporary: Path, tmp_path: Path) -> None:
    with Run(temporary, ["run", RIGHT, "-b", program(tmp_path, "leaves-a-daemon")]) as run:
        wait_for(lambda: run.has("sleep"))
        run.ended()
        assert run.process.returncode == 0
        assert run.processes() == []


@LINUX_ALONE
def test_processes_of_the_shell_outlive_the_command(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-m", "gradcheck", "run", str(RIGHT), "-b", "right"])
    line = f"setsid sleep 600 >/dev/null & echo $!; exec {command} > >(sleep 1; cat > {tmp_path}/report)"
    done = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, text=True, timeout=60)
    os.kill(int(done.stdout.split()[0]), signal.SIGKILL)  # it would raise if the process had ended
    wait_for(lambda: "agree: every backend agrees" in (tmp_path / "report").read_text())


def test_temporary_files_of_programs_are_removed_with_them(temporary: Path, tmp_path: Path) -> None:
    with Run(temporary, ["run", RIGHT, "-b", program(tmp_path, "leaves-a-file")]) as run:
        run.ended()
        assert run.process.returncode == 0
        assert run.folders() == []


SESSION = """
import os, signal, sys, time, gradcheck
with gradcheck.Session() as session:
    session.check(sys.argv[1], backends=["right", *sys.argv[2:]]).assert_agrees()
    print("warm", flush=True)
    {then}
"""


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_while_a_session_ends_reaches_its_caller_after_the_cleanup(
    temporary: Path, tmp_path: Path, times: int
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SESSION.format(then=""))
    deaf = [program(tmp_path, f"ignores-stop-{number}") for number in range(2)]
    with Run(temporary, [RIGHT, *deaf], script=script) as run:
        assert run.process.stdout is not None
        assert run.process.stdout.readline() == "warm\n"
        for _ in range(times):
            time.sleep(0.3)
            run.process.send_signal(signal.SIGINT)
        _, errors = run.ended()
        assert errors.endswith("KeyboardInterrupt\n")
        assert run.processes() == []
        assert run.folders() == []


def test_a_caller_without_a_handler_ends_by_the_signal_after_the_cleanup(temporary: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SESSION.format(then=""))
    with Run(temporary, [RIGHT, program(tmp_path, "ignores-stop")], script=script) as run:
        assert run.process.stdout is not None
        run.process.stdout.readline()
        time.sleep(0.3)
        run.process.terminate()
        run.ended()
        assert run.process.returncode == -signal.SIGTERM
        assert run.processes() == []
        assert run.folders() == []


def test_a_thread_that_ends_leaves_its_workers(temporary: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, threading, psutil, gradcheck\n"
        "session = gradcheck.Session()\n"
        "def check(): session.check(sys.argv[1], backends=['right']).assert_agrees()\n"
        "for _ in range(2):\n"
        "    thread = threading.Thread(target=check); thread.start(); thread.join()\n"
        "    print(*[child.pid for child in psutil.Process().children()])\n"
        "session.close()\n"
    )
    with Run(temporary, [RIGHT], script=script) as run:
        printed, errors = run.ended()
        assert errors == ""
        first, second = printed.splitlines()
        assert first == second, "the same worker"


def test_an_interrupted_test_run_leaves_nothing(temporary: Path, tmp_path: Path) -> None:
    test = tmp_path / "test_layer.py"
    deaf = program(tmp_path, "ignores-stop")
    test.write_text(
        "import time\n"
        "def test_layer(gradcheck):\n"
        f"    gradcheck({str(RIGHT)!r}, backends=['right', {deaf!r}])\n"
        "    open('warm', 'w').close()\n"
        "    time.sleep(600)\n"
    )
    with Run(temporary, ["-q", "-p", "no:cacheprovider", test], module="pytest", cwd=tmp_path) as run:
        wait_for(lambda: (tmp_path / "warm").exists(), 60)
        for _ in range(2):
            run.process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        printed, _ = run.ended()
        assert run.process.returncode != 0
        assert run.processes() == []
        assert [path for path in run.folders() if path.name.startswith("gradcheck-")] == [], printed


def test_signals_wait_for_the_end_of_a_step() -> None:
    done = []

    def work() -> None:
        with deferred():
            with deferred():
                signal.raise_signal(signal.SIGINT)
                done.append("inner")
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_are_restored_where_the_first_one_raises_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    set_handler = signal.signal

    def interrupted(number: int, handler: object) -> object:
        old = set_handler(number, handler)
        if number == signal.SIGINT and handler is signal.default_int_handler:
            monkeypatch.undo()
            raise KeyboardInterrupt
        return old

    with pytest.raises(KeyboardInterrupt), deferred():
        monkeypatch.setattr(signal, "signal", interrupted)
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_signal_while_a_lost_worker_ends_waits_until_all_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(["cat"], tmp_path)
    close = os.close

    def close_and_interrupt(descriptor: int) -> None:
        close(descriptor)
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "close", close_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        worker.end()
    worker.end()  # like the end of a run: closed descriptors are not closed again


def test_another_thread_defers_no_signals() -> None:
    entered = []

    def enter() -> None:
        with deferred():
            entered.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [signal.default_int_handler]
