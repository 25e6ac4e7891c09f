"""What ends a process with this one, however this one ends: SIGKILL leaves it no time to do so itself."""

from __future__ import annotations

import fcntl
import os
import signal

SIGNALS_BY_PIPE = hasattr(fcntl, "F_SETSIG")  # Linux; elsewhere a process sees the end of its input


class Lifeline:
    """A pipe that nothing is written to: when this process is gone, the kernel kills a process group at its other end.

    PR_SET_PDEATHSIG would do so when the *thread* is gone that started the process, and for one process of the group.
    """

    def __init__(self) -> None:
        self._read: int | None = None
        self._write: int | None = None
        if SIGNALS_BY_PIPE:
            self._read, self._write = os.pipe()

    @property
    def inherited(self) -> tuple[int, ...]:
        """The descriptor that the first process of the group has to inherit."""
        return () if self._read is None else (self._read,)

    def tie(self, group: int) -> None:
        """Let a process group end with this process."""
        if self._read is not None:
            fcntl.fcntl(self._read, fcntl.F_SETOWN, -group)
            fcntl.fcntl(self._read, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(self._read, fcntl.F_SETFL, fcntl.fcntl(self._read, fcntl.F_GETFL) | os.O_ASYNC)
        self._read = self._closed(self._read)

    def close(self) -> None:
        """End what is left of the group, or of what was never tied."""
        self._read, self._write = self._closed(self._read), self._closed(self._write)

    @staticmethod
    def _closed(descriptor: int | None) -> None:
        if descriptor is not None:
            os.close(descriptor)
