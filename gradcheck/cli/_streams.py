"""The standard streams of a command: if they cannot be written, its exit code still reports the verdict."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

from gradcheck.errors import RequestError


class StandardOutput(io.FileIO):
    """Standard output. If its reader has ended, as `head` does, the rest is dropped and the command continues."""

    def write(self, data: Any) -> int:
        """Write bytes.

        Raises:
            RequestError: there is no space for them.
        """
        try:
            return super().write(data)
        except BrokenPipeError:
            _redirect_to_nothing(self.fileno())
            return len(data)
        except OSError as error:
            raise RequestError(f"standard output: {error.strerror}: expected free space to write") from None


class Messages(io.FileIO):
    """Standard error, which may have no reader."""

    def write(self, data: Any) -> int:
        """Write bytes if that is possible."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare() -> None:
    """Use the standard output and standard error of this module, and open the streams that the caller has closed."""
    for descriptor in range(3):  # in order: the lowest free descriptor is taken
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, raw in (("stdout", StandardOutput(1, "wb", closefd=False)), ("stderr", Messages(2, "wb", closefd=False))):
        before = getattr(sys, f"__{name}__")
        if getattr(sys, name) is before:
            stream = _text(raw, before)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def settle() -> None:
    """Write the content of the buffers, or drop it: at the interpreter's end it could change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, RequestError, ValueError):
            _redirect_to_nothing(stream.fileno())
            stream.flush()


def _text(raw: io.FileIO, before: Any) -> TextIO:
    """A text stream in the encoding of another one; what that cannot hold is written as `\\x…`."""
    if before is None:
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)
    errors = "backslashreplace" if before.errors == "strict" else before.errors
    # PYTHONUNBUFFERED sets write_through, which ends at our buffer: a line must leave that too.
    by_line = before.line_buffering or before.write_through
    return io.TextIOWrapper(io.BufferedWriter(raw), before.encoding, errors, line_buffering=by_line)


def _redirect_to_nothing(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
