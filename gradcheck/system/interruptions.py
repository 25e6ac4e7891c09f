"""Defer signals while processes or folders are made or removed, so that none of them is lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

# Signals whose handlers raise: Ctrl-C, `kill`, a closed terminal, and the clock of a test runner.
RAISING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Defer the signals that arrive within it; at its end the caller's handlers for them run.

    Python runs handlers only in the main thread: in another thread it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: set[int] = set()

    def hold(number: int, frame: FrameType | None) -> None:
        arrived.add(number)

    handlers = {number: handler for number in RAISING if _can_be_held(handler := signal.getsignal(number))}
    try:
        for number in handlers:
            signal.signal(number, hold)
        yield
    finally:
        _restore(handlers)
        # The default ends the process: a handler that raises must not prevent that.
        for each in sorted(arrived, key=lambda number: callable(handlers[signal.Signals(number)])):
            signal.raise_signal(each)


def _can_be_held(handler: object) -> bool:
    return callable(handler) or handler is signal.SIG_DFL


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    except BaseException:  # the first restored handler has raised: the others follow all the same
        _restore(handlers)
        raise
