"""The standard streams of a command: where they cannot be written, its exit code says all the same what it found."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

from gradcheck.errors import RequestError


class StandardOutput(io.FileIO):
    """Standard output. Where its reader has gone, as `head` does, the rest goes nowhere and the command goes on."""

    def write(self, data: Any) -> int:
        """Write bytes.

        Raises:
            RequestError: there is no room for them.
        """
        try:
            return super().write(data)
        except BrokenPipeError:
            _redirect_to_nothing(self.fileno())
            return len(data)
        except OSError as error:
            raise RequestError(f"standard output: {error.strerror}: expected room to write") from None


class Messages(io.FileIO):
    """Standard error, which nobody has to read."""

    def write(self, data: Any) -> int:
        """Write bytes, where that is possible."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare() -> None:
    """Let standard output and standard error be those of this module, and open what the caller has closed."""
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
    """Write what is in the buffers, or drop it: at the interpreter's end it could change the exit code."""
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
