"""The signals that end a command."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from types import FrameType

from gradcheck.errors import Interrupted

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
QUIET = 3.0  # seconds in which a run ends
AGAIN = 0.1  # seconds after which it checks whether a signal has to be sent again


class Interrupt:
    """The handler of these signals: it raises Interrupted, and knows that a signal has arrived.

    Another signal soon after it does nothing: the run is ending. If it does not end, the handler sends the signal
    again: Python drops exceptions of destructors and of callbacks of its garbage collector, and a problem's code may
    swallow them.

    Attributes:
        has_arrived: whether a signal has, before the command was over.
        is_over: whether the command is: its owner sets it, and from then on nothing is raised.
    """

    def __init__(self) -> None:
        self.has_arrived = self.is_over = False
        self._raised = -QUIET
        self._report_others = sys.unraisablehook

    def install(self) -> None:
        """Handle each signal that ends a command. If SIGHUP is ignored, as under `nohup`, it stays ignored."""
        sys.unraisablehook = self._report_dropped
        for number in ENDING:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.is_over:
            return
        if not self.has_arrived:
            self.has_arrived = True
            # A Thread takes a lock to start, and the interrupted code may hold that lock.
            _thread.start_new_thread(self._send_again, (number,))
        now = time.monotonic()
        if now - self._raised >= QUIET:
            self._raised = now
            raise Interrupted

    def _send_again(self, number: int) -> None:
        main = threading.main_thread().ident
        assert main is not None, "it runs"
        while not self.is_over:
            time.sleep(AGAIN)
            if time.monotonic() - self._raised >= QUIET:
                signal.pthread_kill(main, number)  # to that thread, so that its wait ends

    def _report_dropped(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Soon raise a dropped interruption once more; print other exceptions that Python has dropped."""
        if issubclass(unraisable.exc_type, Interrupted):
            self._raised = -QUIET
        else:
            self._report_others(unraisable)


def ignore() -> None:
    """Let nothing interrupt the end of this process."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
