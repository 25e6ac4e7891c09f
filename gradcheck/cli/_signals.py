"""The signals that end a command."""

from __future__ import annotations

import signal
import time
from types import FrameType

from gradcheck.errors import Interrupted

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
QUIET = 3.0  # seconds in which a run ends


class Interrupt:
    """A handler that raises Interrupted. Soon after, another signal does nothing: the run is ending.

    Later it raises once more, since code of a problem's file may have swallowed the first one.
    """

    def __init__(self) -> None:
        self._raised = -QUIET

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        now = time.monotonic()
        if now - self._raised >= QUIET:
            self._raised = now
            raise Interrupted


def install() -> None:
    """Let each signal that ends a command raise Interrupted. `nohup` has SIGHUP ignored, and that stays so."""
    interrupt = Interrupt()
    for number in ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


def ignore() -> None:
    """Let nothing interrupt the end of this process."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
