"""Private folders of this process. Each holds a lock that ends with its owner, so the next run removes abandoned ones.

A lock needs no process id: that may be in use again, or belong to another container with the same folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gradcheck.errors import RequestError
from gradcheck.system.interruptions import deferred

MEMORY = Path("/dev/shm")
NAME = re.compile(r"gradcheck-\d+-[a-z0-9_]{8}")
LOCK = "in-use"


class Folders:
    """Folders that this process has made and not yet removed."""

    def __init__(self) -> None:
        self._locks: dict[Path, int] = {}
        self._owner = os.getpid()

    def make(self, place: Path | None = None) -> Path:
        """Make a folder that no other user can read, in `place` or else in TMPDIR.

        Raises:
            OSError: there is no space in `place`, or no permission to make one.
            RequestError: the same in TMPDIR.
        """
        with deferred():
            while True:
                folder = _new_folder(place)
                lock = _first_lock(folder)
                if lock is not None:
                    self._locks[folder] = lock
                    return folder

    def remove(self, folder: Path) -> None:
        """Remove a folder with its content."""
        with deferred():
            if folder in self._locks:
                _discard(folder)
                os.close(self._locks.pop(folder))

    def close(self) -> None:
        """Remove every folder; in a fork of the process that made them they stay."""
        if os.getpid() == self._owner:
            for folder in list(self._locks):
                self.remove(folder)


def sweep() -> None:
    """Remove the folders that killed processes of this user have left in TMPDIR and in memory."""
    for place in _places():
        for folder in _own_folders(place):
            with deferred():
                _sweep_one(folder)


def _places() -> list[Path]:
    with deferred():  # Python writes a file to TMPDIR at the first use
        try:
            return [Path(tempfile.gettempdir()), MEMORY]
        except OSError:
            return [MEMORY]


def _own_folders(place: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                        yield Path(entry.path)


def _new_folder(place: Path | None) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=f"gradcheck-{os.getpid()}-", dir=place))
    except OSError as error:
        if place is not None:
            raise
        raise RequestError(f"TMPDIR: {error.strerror}: expected a folder that can be written") from None


def _first_lock(folder: Path) -> int | None:
    """The lock of a new folder; None if another process has removed it as abandoned in the meantime."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileNotFoundError:
        return None
    except OSError:
        folder.rmdir()
        raise
    if _is_lockable(lock) and (folder / LOCK).exists():
        return lock
    os.close(lock)
    return None


def _is_lockable(descriptor: int) -> bool:
    """Lock a file, unless another process has locked it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: there no process can remove a folder as abandoned
        pass
    return True


def _sweep_one(folder: Path) -> None:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()  # its owner was killed before it could lock it; a folder that is not empty is not ours
        return
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _discard(folder)
    os.close(lock)


def _discard(folder: Path) -> None:
    """Remove a folder, its lock last: an incomplete removal stays recognisable, and the next run completes it."""
    for _ in range(2):
        with contextlib.suppress(OSError):
            for entry in folder.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                elif entry.name != LOCK:
                    entry.unlink()
            if {entry.name for entry in folder.iterdir()} <= {LOCK}:
                (folder / LOCK).unlink(missing_ok=True)
                folder.rmdir()
                return
        _allow(folder)  # a program has changed its permissions


def _allow(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                _allow(entry)
