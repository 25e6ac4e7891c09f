"""Processes that programs leave behind: a daemon leaves its program's group, but Linux can give it to this process.

Only the command uses this: in a library it would adopt, and end, processes of other code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
PATIENCE = 2.0  # seconds in which a killed process ends


class Descendants:
    """Processes that this one has started, and processes that those have left."""

    def __init__(self) -> None:
        self._others: set[int] | None = None  # None where none are adopted

    def adopt(self) -> None:
        """Become the parent of each descendant whose own parent ends."""
        if sys.platform == "linux" and self._others is None:
            import ctypes  # NumPy needs it too: no command that only prints help loads it

            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            self._others = set(_running_children())  # those that the shell had started before it became this process

    def end(self) -> None:
        """Kill each remaining process."""
        deadline = time.monotonic() + PATIENCE
        while self._others is not None and time.monotonic() < deadline:
            left = set(_running_children()) - self._others
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                return
            time.sleep(0.01)


def _running_children() -> Iterator[int]:
    """The children of this process in other sessions than its own: its own session has those of the shell."""
    own, session = os.getpid(), os.getsid(0)
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 (a path for each takes three times as long)
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
            state, parent, _, its_session = file.read().rpartition(b")")[2].split(maxsplit=4)[:4]
            if int(parent) == own and int(its_session) != session and state not in b"ZX":
                yield int(name)


DESCENDANTS = Descendants()
