"""Leftovers of a command: its processes, recognised by a variable that they inherit, and its folders."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import FAKES

RIGHT = FAKES / "faulty.py"
VARIABLE = "TEST_OF_ENDINGS"
MEMORY = Path("/dev/shm")


class Run:
    """A command, whose processes are recognised by a variable that they inherit.

    Args:
        folder: for what it writes to TMPDIR.
        words: the arguments of `gradcheck`.
        module: the module to run instead of gradcheck.
        script: the same, as a file.
        options: of `subprocess.Popen`.
    """

    def __init__(
        self,
        folder: Path,
        words: Sequence[object],
        module: str = "gradcheck",
        script: Path | None = None,
        **options: Any,
    ) -> None:
        self.mark = uuid.uuid4().hex
        self.folder = folder
        self._before = set(MEMORY.glob("gradcheck-*"))  # a dead process may have had the same id
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(
            [sys.executable, *([str(script)] if script else ["-m", module]), *map(str, words)],
            env=os.environ | {VARIABLE: self.mark, "TMPDIR": str(folder)}, **streams | options,
        )  # fmt: skip

    def processes(self) -> list[psutil.Process]:
        """The running processes of the command and of its programs."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(VARIABLE) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def has(self, name: str) -> bool:
        """Whether a process of some name is among them."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if process.name() == name:
                    return True
        return False

    def folders(self) -> list[Path]:
        """The leftovers in TMPDIR and in memory."""
        in_memory = set(MEMORY.glob(f"gradcheck-{self.process.pid}-*")) - self._before
        return [*self.folder.iterdir(), *in_memory]

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.communicate()
        for folder in self.folders():
            shutil.rmtree(folder, ignore_errors=True)

    def ended(self) -> tuple[str, str]:
        """Its standard output and standard error, after its end."""
        return self.process.communicate(timeout=60)


def program(folder: Path, way: str) -> str:
    """A backend with one of the faults in `tests/fakes/program.py`."""
    path = folder / way
    path.write_bytes((FAKES / "program.py").read_bytes())
    path.chmod(0o755)
    return f"exec:{path}"


def held(folder: Path, calls: int = 0) -> tuple[Path, Path]:
    """A problem whose backend `right` waits in each process, after some calls, until a file exists: both paths.

    A run of it is under way for as long as a test needs, however fast the machine is.
    """
    problem, released = folder / "held.py", folder / "released"
    problem.write_text(
        f"import os, time\n{RIGHT.read_text()}\nfree = right\ncalls = []\n\n"
        "def right(a, b):\n"
        "    calls.append(a.shape)\n"
        f"    while len(calls) > {calls} and not os.path.exists({str(released)!r}):\n"
        "        time.sleep(0.01)\n"
        "    return free(a, b)\n\n"
        "gradients['right'] = right\n"
    )
    return problem, released


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is true.

    Raises:
        AssertionError: it was not true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.02)
