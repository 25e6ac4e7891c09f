"""Write a file completely or not at all: the old content is lost only when the new one is complete."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path

from gradcheck.errors import RequestError
from gradcheck.system.interruptions import deferred

EXPECTED = "expected a path that can be written"


def check_writable(path: Path, label: str) -> None:
    """Check whether a file can be written, and leave no trace.

    Args:
        path: the file.
        label: its name in messages.

    Raises:
        RequestError: it cannot.
    """
    try:
        folder = path.resolve().parent if path.is_symlink() else path.parent
        if path.is_dir():
            raise RequestError(f"{label} {str(path)!r}: is a folder: {EXPECTED}")
        if not (path.exists() or folder.is_dir()):
            raise RequestError(f"{label} {str(path)!r}: no folder {str(folder)!r}: {EXPECTED}")
        if path.exists() and not os.access(path, os.W_OK):
            raise RequestError(f"{label} {str(path)!r}: Permission denied: {EXPECTED}")
        if not _is_written_directly(path):
            with deferred(), tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"full?")
    except (OSError, RuntimeError, ValueError) as error:
        raise _refused(path, label, error) from None


def write(path: Path, content: str | bytes, label: str) -> None:
    """Write a file, text in UTF-8; one that is not a regular file, a pipe for example, is written directly.

    Args:
        path: the file; if it is a link, its target is written.
        content: its content.
        label: its name in messages.

    Raises:
        RequestError: it cannot be written; the old content stays.
    """
    content = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        if _is_standard_output(path):
            sys.stdout.write(content.decode())
            sys.stdout.flush()
        elif _is_written_directly(path):
            path.write_bytes(content)
        else:
            with deferred():
                _replace(path.resolve(), content)
    except (OSError, RuntimeError, ValueError) as error:
        raise _refused(path, label, error) from None


def append(path: Path, text: str, label: str) -> None:
    """Add text to the end of a file, in UTF-8.

    Args:
        path: the file.
        text: what is added.
        label: its name in messages.

    Raises:
        RequestError: it cannot be written.
    """
    try:
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise _refused(path, label, error) from None


def _is_standard_output(path: Path) -> bool:
    """Whether it is /dev/stdout or the like: another descriptor of the same file would overwrite its content."""
    return path.exists() and os.path.samestat(path.stat(), os.fstat(1))


def _is_written_directly(path: Path) -> bool:
    """Whether it is not a regular file, or its folder allows no new file beside it."""
    if not path.exists():
        return False
    return not path.is_file() or _is_standard_output(path) or not os.access(path.resolve().parent, os.W_OK)


def _replace(target: Path, content: bytes) -> None:
    partial = target.with_name(f".gradcheck-{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less what the umask takes
    try:
        with os.fdopen(descriptor, "wb") as file:
            if target.exists():
                os.fchmod(descriptor, target.stat().st_mode & 0o7777)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _refused(path: Path, label: str, error: Exception) -> RequestError:
    reason = error.strerror if isinstance(error, OSError) else error  # not an OSError: a circle of links, or a NUL
    return RequestError(f"{label} {str(path)!r}: {reason}: {EXPECTED}")
