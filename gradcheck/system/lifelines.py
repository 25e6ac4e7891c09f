"""Lifelines end a process with this one, even after SIGKILL, which leaves this one no time to do so itself."""

from __future__ import annotations

import fcntl
import os
import signal

SIGNALS_BY_PIPE = hasattr(fcntl, "F_SETSIG")  # Linux; elsewhere a process notices the end of its input


class Lifeline:
    """An unused pipe: when this process has ended, the kernel kills a process group at its other end.

    PR_SET_PDEATHSIG acts when the *thread* that started the process has ended, and only on one process of the group.
    """

    def __init__(self) -> None:
        self._read: int | None = None
        self._write: int | None = None
        if SIGNALS_BY_PIPE:
            self._read, self._write = os.pipe()

    @property
    def inherited(self) -> tuple[int, ...]:
        """The descriptor that the first process of the group must inherit."""
        return () if self._read is None else (self._read,)

    def tie(self, group: int) -> None:
        """Make a process group end with this process."""
        if self._read is not None:
            fcntl.fcntl(self._read, fcntl.F_SETOWN, -group)
            fcntl.fcntl(self._read, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(self._read, fcntl.F_SETFL, fcntl.fcntl(self._read, fcntl.F_GETFL) | os.O_ASYNC)
        self._read = self._closed(self._read)

    def close(self) -> None:
        """End the rest of the group, or a process that was never tied."""
        self._read, self._write = self._closed(self._read), self._closed(self._write)

    @staticmethod
    def _closed(descriptor: int | None) -> None:
        if descriptor is not None:
            os.close(descriptor)
