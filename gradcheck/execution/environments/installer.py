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

# The lines of uv's output that report progress.
PROGRESS = ("Resolved", "Downloading", "Prepared", "Installed", "Bytecode")

# The beginning of uv's line with the error, and of those with its causes: as of 0.13, and before.
LINK = re.compile(r"\s*(?:error:|[×╰├]─?▶?|cause:|Caused by:)\s*(.*)")

# Causes that add nothing to the one before.
BETWEEN = ("error sending request", "client error", "tcp connect error")

# The folders of a file; those of an address stay, since they show which server did not answer.
FOLDERS = re.compile(r"(?<=[ `])/[^\s`]*/(?=[^\s`/])")


class Failed(Exception):
    """The last words of a uv that failed, in one line."""


class Stopped(Exception):
    """uv was ended, or not started, because the command was interrupted."""


class Installer:
    """Runs uv, several at once.

    Args:
        folder: where it runs, so that uv settings of a project around the user's current directory have no effect.
    """

    def __init__(self, folder: Path) -> None:
        import uv

        self._binary = uv.find_uv_bin()  # here, not in the threads: it reads sysconfig, which is not safe in several
        self._folder = folder
        self._running: set[subprocess.Popen[str]] = set()
        self._guard = threading.Lock()
        self._stopped = False

    def run(self, arguments: Sequence[str], report: Callable[[str], None]) -> str:
        """Run uv and return its output.

        Args:
            arguments: uv's.
            report: is called with each line that reports progress.

        Raises:
            Failed: uv failed.
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
                    report(line.strip())
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
        """Raise `Stopped` if `stop` was called."""
        if self._stopped:
            raise Stopped

    def stop(self) -> None:
        """End every running uv, and start no other."""
        with self._guard:
            self._stopped = True
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def gist(output: str) -> str:
    """A summary of uv's error output in one line: the error, the first cause and the last one."""
    links: list[str] = []
    goes_on = False  # whether the next line may belong to the last link: a blank one ends it, and hints follow
    for line in output.splitlines():
        if match := LINK.match(line):
            links.append(match[1].strip())
        elif goes_on and line.strip():
            links[-1] += f" {line.strip()}"
        goes_on = bool(links) and bool(line.strip())
    links = [link for link in links if not link.startswith(BETWEEN)]
    chosen = dict.fromkeys([*links[:2], *links[-1:]] or output.splitlines()[-1:])
    chain = ": ".join(link.strip(" .") for link in chosen if link)
    return FOLDERS.sub("…/", chain)[:400] or "it gave no reason"
