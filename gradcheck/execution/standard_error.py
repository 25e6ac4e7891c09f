"""The end of the output of a process on standard error."""

from __future__ import annotations

import contextlib
import os
import select
import threading

KEPT = 1 << 16  # bytes
CHUNK = 1 << 16  # bytes, as many as a pipe holds


class StandardError:
    """A pipe for the standard error of a process, and its last 64 KiB.

    A thread reads it, so that the process need not wait for us and fills no disk, however much it writes.
    """

    def __init__(self) -> None:
        self._source, self.pipe = os.pipe()
        os.set_blocking(self._source, False)
        self._kept = b""
        self._closed = False
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, name="gradcheck-standard-error", daemon=True).start()

    def text(self, characters: int) -> str:
        """The end of the output so far."""
        with self._lock:
            if not self._closed:
                self._read()
            return self._kept.decode(errors="replace").strip()[-characters:]

    def close(self) -> None:
        """Stop reading. From now on, a write of the process fails there."""
        with self._lock:
            if self._closed:
                return
            self._read()
            self._closed = True
        with contextlib.suppress(OSError):
            os.write(self.pipe, b"\n")  # wakes the thread
        os.close(self.pipe)

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        while not self._closed:
            poll.poll()
            with self._lock:
                if not self._closed:
                    self._read()
        os.close(self._source)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._kept = (self._kept + os.read(self._source, CHUNK))[-KEPT:]
