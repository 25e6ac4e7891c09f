"""Code of a problem's file in this process: it ends in time, does not end the process, and prints to standard error.

A guard against mistakes, not against malice: SECURITY.md describes its limits.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

from gradcheck.errors import Interrupted, ProblemError

TIMEOUT = 120.0
"""The default time limit, in seconds."""
AGAIN = 0.1
"""Seconds after which the alarm goes off again: code that swallows one exception may let the next one through."""
MACHINERY = (__file__, contextlib.__file__)
"""The files with the code that enters and leaves guards."""
ENDINGS = ("_exit", "abort", "execv", "execve")
"""Functions of `os` that would end this process; all others of their kind call these."""
NUMPY_DEFAULTS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


_THREAD = threading.local()


class TimeIsUp(BaseException):
    """The alarm went off; no `except Exception` in a user's file may swallow that."""


class Ended(BaseException):
    """The code tried to end this process; the message is the call."""


class Replaced(BaseException):
    """The code replaced something of NumPy, which is put back; the message is its name."""


class ProblemCode(contextlib.AbstractContextManager[None]):
    """A context in which code of a problem's file runs; an `Exception` that it raises passes through.

    The time limit holds in the main thread alone, since an alarm goes off there. It is not a generator: an alarm that
    goes off on entry would leave a generator suspended, and no code would translate its exception.

    Args:
        path: the file, for messages.
        doing: what the code does, for messages: "loss", or "inputs(3)".
        timeout: its time limit in seconds.

    Raises:
        ProblemError: it takes longer, replaces a function of NumPy, or would end this process: `sys.exit`, `os._exit`,
            KeyboardInterrupt.
    """

    def __init__(self, path: Path, doing: str, timeout: float = TIMEOUT) -> None:
        self._what = f"{path}: {doing}"
        self._timeout = timeout
        self._guard = _guarded(timeout)
        self._arrived: list[int] = []

    def __enter__(self) -> None:
        try:
            self._arrived = self._guard.__enter__()
        except BaseException as error:
            self._end(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        """Restore the process, and raise a ProblemError about the code's exception, unless that passes through."""
        is_own = not (isinstance(error, KeyboardInterrupt) and self._arrived)
        raised = error
        try:
            self._guard.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
        except BaseException as another:
            raised = another
        if raised is None or isinstance(raised, (Exception, Interrupted)) or not is_own:
            if raised is not error and raised is not None:
                raise raised
            return
        raise ProblemError(f"{self._what} {self._in_words(raised)}") from raised

    def _in_words(self, error: BaseException) -> str:
        if isinstance(error, TimeIsUp):
            return f"took longer than {self._timeout:g} s: expected code that ends, or a longer timeout"
        if isinstance(error, Replaced):
            return f"replaced numpy.{error}: expected code that leaves NumPy as it is"
        if isinstance(error, SystemExit):
            return f"called sys.exit({error.code!r}): expected code that returns"
        did = f"called {error}" if isinstance(error, Ended) else f"raised {type(error).__name__}"
        return f"{did}: expected code that returns"


@contextlib.contextmanager
def _guarded(timeout: float) -> Iterator[list[int]]:
    """All guards of running code, if no outer call has them already. Gives the Ctrl-C that came."""
    outer: list[int] | None = getattr(_THREAD, "arrived", None)
    if outer is not None:
        yield outer
        return
    # The alarm ends first: it must not go off while the others restore the process.
    with _interruptions() as arrived, _no_endings(), _printing_to_stderr(), _kept_state(), _alarm(timeout):
        _THREAD.arrived = arrived
        try:
            yield arrived
        finally:
            _THREAD.arrived = None


def described_error(error: BaseException) -> str:
    """An exception's type and message; its message is code of the file too, and may fail."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


@contextlib.contextmanager
def _alarm(timeout: float) -> Iterator[None]:
    """Raise TimeIsUp after some seconds, unless an alarm of the caller's own goes off before.

    Not while a guard is entered or left: what is raised there would leave the alarm set. It goes off again soon.
    """
    remaining, interval = signal.getitimer(signal.ITIMER_REAL)
    handler = signal.getsignal(signal.SIGALRM)
    if not _in_main_thread() or 0 < remaining <= timeout or handler is None:
        yield
        return
    running = True

    def ring(number: int, frame: FrameType | None) -> None:
        if running and frame is not None and frame.f_code.co_filename not in MACHINERY:
            raise TimeIsUp

    began = time.monotonic()
    signal.signal(signal.SIGALRM, ring)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, timeout, AGAIN)
            yield
        finally:
            running = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if remaining:
            signal.setitimer(signal.ITIMER_REAL, max(remaining - (time.monotonic() - began), 1e-6), interval)


@contextlib.contextmanager
def _interruptions() -> Iterator[list[int]]:
    """Note each Ctrl-C that becomes a KeyboardInterrupt: any other one is raised by the code itself."""
    arrived: list[int] = []
    if not _in_main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield arrived
        return

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield arrived
    finally:
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def _no_endings() -> Iterator[None]:
    """Turn what would end this process into an exception; a process that the code forks may end as it likes."""
    owner = os.getpid(), threading.get_ident()
    real = {name: getattr(os, name) for name in ENDINGS}

    def refusing(name: str) -> Any:
        def end(*arguments: Any) -> NoReturn:
            if (os.getpid(), threading.get_ident()) == owner:
                raise Ended(f"os.{name}({', '.join(map(repr, arguments[:1]))})")
            real[name](*arguments)
            raise AssertionError("it has no return")

        return end

    for name in ENDINGS:
        setattr(os, name, refusing(name))
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)


@contextlib.contextmanager
def _printing_to_stderr() -> Iterator[None]:
    """Send standard output to standard error, including that of a C library or of a program that the code starts."""
    _flush()
    try:
        output = os.dup(1)
    except OSError:  # closed
        output = None
    try:
        if output is not None:
            with contextlib.suppress(OSError):
                os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if output is not None:
            _flush()
            os.dup2(output, 1)
            os.close(output)


def _flush() -> None:
    """Write what is in the buffer of standard output while it still goes where it belongs."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed or missing: the next print reports it
        sys.__stdout__.flush()  # type: ignore[union-attr]


@contextlib.contextmanager
def _kept_state() -> Iterator[None]:
    """Restore what the code changes in the process: NumPy's treatment of errors, the filters of warnings."""
    numpy = sys.modules.get("numpy")
    before, names = (numpy.geterr(), dict(vars(numpy))) if numpy else (NUMPY_DEFAULTS, {})
    try:
        with warnings.catch_warnings():
            yield
    finally:
        if numpy := sys.modules.get("numpy"):
            replaced = [name for name, value in names.items() if vars(numpy).get(name) is not value]
            vars(numpy).update(names)
            numpy.seterr(**before)
    if numpy and replaced:
        raise Replaced(replaced[0])


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
