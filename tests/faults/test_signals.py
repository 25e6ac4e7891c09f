"""Ctrl-C, SIGTERM and SIGHUP at any moment, once or twice: no process and no folder is left."""

from __future__ import annotations

import itertools
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.endings import RIGHT, Run, program

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PAUSE = 0.06  # seconds between two signals
MOMENTS = 50
AT_ONCE = 3  # runs, which wait most of their time


@dataclass(frozen=True)
class Outcome:
    """The effect of a signal on a run. `moment` is in seconds since the run began."""

    number: signal.Signals
    times: int
    moment: float
    code: int
    errors: str
    processes: list[str]
    folders: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left and the exit code is right, if Python had started at all."""
        starting = "KeyboardInterrupt" in self.errors
        known = starting or (self.code in (0, 130, -self.number) and "Traceback" not in self.errors)
        return known and not self.processes and not self.folders


def words(folder: Path) -> list[str]:
    """A run with three programs that ignore the end of their input and SIGTERM."""
    deaf = [word for number in range(3) for word in ("-b", program(folder, f"ignores-stop-{number}"))]
    return ["run", str(RIGHT), "-b", "right", *deaf]


def signalled(number: signal.Signals, times: int, moment: float) -> Outcome:
    """Send a signal to a run at a moment, and check for leftovers."""
    with tempfile.TemporaryDirectory() as beside:
        temporary = Path(beside, "tmp")
        temporary.mkdir()
        with Run(temporary, words(Path(beside))) as run:
            time.sleep(moment)
            for _ in range(times):
                run.process.send_signal(number)
                time.sleep(PAUSE)
            _, errors = run.ended()
            time.sleep(0.2)  # for processes that end by themselves
            left = [" ".join(process.cmdline()) for process in run.processes()]
            folders = [path.name for path in run.folders()]
        return Outcome(number, times, moment, run.process.returncode, errors, left, folders)


def undisturbed() -> float:
    """The seconds of a run, to its very end."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as beside:
        temporary = Path(beside, "tmp")
        temporary.mkdir()
        with Run(temporary, words(Path(beside))) as run:
            run.ended()
        assert run.process.returncode == 0
    return time.monotonic() - began


def outcomes(moments: int) -> Iterator[Outcome]:
    """Each signal, once and twice, at moments that are spread evenly over a run."""
    seconds = undisturbed()
    plan = [
        (number, times, seconds * (moment + 0.5) / moments)
        for moment, number, times in itertools.product(range(moments), SIGNALS, (1, 2))
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda each: signalled(*each), plan)


def test_signals_at_many_moments_leave_nothing(request: pytest.FixtureRequest) -> None:
    found = list(outcomes(MOMENTS if request.config.getoption("--thorough") else 2))
    print(f"\n{len(found)} signals left {sum(len(each.processes) for each in found)} processes", end=" ")
    print(f"and {sum(len(each.folders) for each in found)} folders")
    assert [each for each in found if not each.is_clean] == []
