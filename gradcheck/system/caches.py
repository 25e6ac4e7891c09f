"""The user's cache. gradcheck runs files there, so only the user may access it, and others may not change it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import platformdirs

from gradcheck.errors import RequestError
from gradcheck.text.escaping import quoted

ROOT = 0
PRIVATE = 0o700
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def folder(name: str) -> Path:
    """The path of one of our folders in the user's cache, existing or not."""
    return platformdirs.user_cache_path("gradcheck") / name


def trouble(error: OSError, what: str) -> str:
    """Why the cache cannot be written, and what to do.

    Args:
        error: of the system.
        what: is written there, "the environment".
    """
    reason = error.strerror or str(error)
    if error.errno in NOT_WRITABLE:
        return f"{reason}: expected XDG_CACHE_HOME=FOLDER with one that can be written"
    return f"{reason}: expected free space for {what}"


def make(path: Path) -> None:
    """Make one of our folders in the user's cache, which no other user can read.

    Raises:
        RequestError: it, or our folder above it, is not the user's own.
        OSError: it cannot be made.
    """
    for each in (*reversed(path.parents), path):
        if not each.is_dir():
            each.mkdir(PRIVATE, exist_ok=True)
    check_owned(path)


def check_owned(path: Path) -> None:
    """Check one of our folders, and our folder above it, if they exist.

    Raises:
        RequestError: one is not the user's own.
    """
    check(path.parent)
    check(path)


def check(path: Path) -> None:
    """Refuse files that another user could have put here; files of root, for example a shared cache, are trusted.

    Raises:
        RequestError: a file or folder belongs to another user, or others may write to it.
    """
    try:
        itself, target = path.lstat(), path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}: expected a cache that can be read") from None
    for owner in (itself.st_uid, target.st_uid):
        if owner not in (os.geteuid(), ROOT):
            raise RequestError(
                f"{path}: belongs to user {owner}: expected a cache of your own or of root, since what is in it is "
                "run: set XDG_CACHE_HOME to a folder of yours"
            )
    if target.st_mode & WRITABLE_BY_OTHERS:
        raise RequestError(
            f"{path}: others may write to it: expected a cache of your own, since what is in it is run: "
            f"remove it, or, where you trust them, {quoted(['chmod', 'go-w', str(path)])}"
        )
