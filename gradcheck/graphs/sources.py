"""The lines of the user's source on which a loss is written, and the error that names them."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType

import numpy as np

OURS = (f"{Path(__file__).parent}/", f"{Path(np.__file__).parent}/")
"""Folders whose code is never the user's: ours, and NumPy's, which calls us."""
Place = tuple[str | None, int | None]
_STATED: ContextVar[Place | None] = ContextVar("_STATED", default=None)


class RecordingError(ValueError):
    """The loss cannot be recorded; the message begins with the file and line of the wrong code of the user."""


class UnknownAttributeError(RecordingError, AttributeError):
    """A recorded value has no such attribute; for ``hasattr`` and ``getattr`` it is like any missing one."""


@contextmanager
def written_at(file: str | None, line: int | None) -> Iterator[None]:
    """Record steps at a file and line that a front end knows, since the user's code does not run."""
    token = _STATED.set((file, line))
    try:
        yield
    finally:
        _STATED.reset(token)


def user_place() -> Place:
    """The file and line of the innermost caller that is the user's."""
    if stated := _STATED.get():
        return stated
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(OURS):
        frame = frame.f_back
    return (None, None) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def user_line() -> str:
    """The same as ``file:line``."""
    file, line = user_place()
    return "?" if file is None else f"{file}:{line}"


def user_source() -> str:
    """The text of that line, without indentation; nothing where there is no file."""
    file, line = user_place()
    return linecache.getline(file, line).strip() if file and line else ""
