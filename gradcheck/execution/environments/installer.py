"""uv, run as a process that ends when gradcheck does."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from gradcheck.execution.environments.variables import uv_environment
from gradcheck.system.lifelines import Lifeline

# Of what uv says, the lines that tell how far it is.
PROGRESS = ("Resolved", "Downloading", "Prepared", "Installed", "Bytecode")

# How a line of uv's begins that says what went wrong, and each that says why: as of 0.13, and before.
LINK = re.compile(r"\s*(?:error:|[×╰├]─?▶?|cause:|Caused by:)\s*(.*)")

# Links that say no more than the one before.
BETWEEN = ("error sending request", "client error", "tcp connect error")

# The folders in which a file lies; those of an address stay, since they say who did not answer.
FOLDERS = re.compile(r"(?<=[ `])/[^\s`]*/(?=[^\s`/])")


class Failed(Exception):
    """The last words of a uv that failed, in one line."""


class Stopped(Exception):
    """uv was ended, or not begun, because the command was interrupted."""


class Installer:
    """Runs uv, several at once.

    Args:
        folder: where it runs, so that no project's uv settings around the user's current directory take part.
    """

    def __init__(self, folder: Path) -> None:
        import uv

        self._binary = uv.find_uv_bin()  # here, not in the threads: it reads sysconfig, which is not safe in several
        self._folder = folder
        self._running: set[subprocess.Popen[str]] = set()
        self._guard = threading.Lock()
        self._stopped = False

    def run(self, arguments: Sequence[str], said: Callable[[str], None]) -> str:
        """Run uv and give back what it prints.

        Args:
            arguments: uv's.
            said: is called with each line that says how far it is.

        Raises:
            Failed: uv did not do it.
            Stopped: `stop` was called.
            OSError: uv cannot be started.
        """
        errors = []
        with contextlib.closing(Lifeline()) as lifeline, self._start(arguments, lifeline) as process:
            assert process.stderr is not None
            assert process.stdout is not None
            for line in process.stderr:
                errors.append(line)
                if line.startswith(PROGRESS):
                    said(line.strip())
            printed = process.stdout.read()
        with self._guard:
            self._running.discard(process)
        self.check()
        if process.returncode < 0:
            raise Failed(f"it was killed by {signal.Signals(-process.returncode).name}")
        if process.returncode:
            raise Failed(gist("".join(errors)))
        return printed

    def _start(self, arguments: Sequence[str], lifeline: Lifeline) -> subprocess.Popen[str]:
        with self._guard:
            self.check()
            process = subprocess.Popen(
                [self._binary, "--color", "never", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, cwd=self._folder, env=uv_environment(os.environ),
                start_new_session=True, pass_fds=lifeline.inherited,
            )  # fmt: skip
            lifeline.tie(process.pid)
            self._running.add(process)
        return process

    def check(self) -> None:
        """Raise `Stopped` where `stop` was called."""
        if self._stopped:
            raise Stopped

    def stop(self) -> None:
        """End every uv that runs, and begin no other."""
        with self._guard:
            self._stopped = True
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def gist(said: str) -> str:
    """The gist of uv's error output in one line: what went wrong, the first cause and the last one."""
    links: list[str] = []
    goes_on = False  # whether the next line may belong to the last link: a blank one ends it, and hints follow
    for line in said.splitlines():
        if match := LINK.match(line):
            links.append(match[1].strip())
        elif goes_on and line.strip():
            links[-1] += f" {line.strip()}"
        goes_on = bool(links) and bool(line.strip())
    links = [link for link in links if not link.startswith(BETWEEN)]
    chosen = dict.fromkeys([*links[:2], *links[-1:]] or said.splitlines()[-1:])
    chain = ": ".join(link.strip(" .") for link in chosen if link)
    return FOLDERS.sub("…/", chain)[:400] or "it gave no reason"
