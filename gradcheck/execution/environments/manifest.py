"""Managed environments in the user's cache: for each a folder, a lock, and a manifest, which lists its content."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from gradcheck.errors import RequestError
from gradcheck.execution.engines import EngineDeclaration
from gradcheck.system import caches

STEM = re.compile(r"(?P<distribution>.+)-(?P<version>[^-]+)-[0-9a-f]{12}")
POLL = 0.1  # seconds


class Manifest(msgspec.Struct, frozen=True):
    """The file that makes a managed environment known. It is written last: a folder without a manifest is incomplete.

    Each build has its own folder, so a uv that outlived its killed parent cannot write into another build. Its time of
    modification is when the environment was last used. `size` is the sum of the files' bytes, not of the disk's blocks,
    which files may share; `built` is in seconds since the epoch.
    """

    folder: str
    distribution: str
    version: str
    requirements: tuple[str, ...]
    python_version: str
    packages: dict[str, str]
    size: int
    built: float

    @property
    def place(self) -> Path:
        """The environment's folder."""
        return cache_folder() / self.folder

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.place / "bin" / "python"


class Held(Exception):
    """Another process builds or removes the environment."""


def cache_folder() -> Path:
    """The folder of the managed environments."""
    return caches.folder("environments")


def manifest_path(engine: EngineDeclaration, version: str | None) -> Path:
    """The manifest of the managed environment with an engine's requirements, built or not; engines may share one."""
    options = tuple(engine.install_options.get(sys.platform, ()))
    identity = repr((engine.packages(version), options, engine.python, sys.platform, platform.machine()))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return cache_folder() / f"{engine.distribution}-{version or engine.release}-{digest}.json"


def manifest_paths() -> list[Path]:
    """The manifests of every environment in the cache, complete or not: other files there are not ours.

    Raises:
        RequestError: the cache is not the user's own.
    """
    folder = cache_folder()
    caches.check_owned(folder)
    found = {path for path in folder.glob("*.json") if STEM.fullmatch(path.stem)}
    found |= {path.parent / f"{path.stem}.json" for path in folder.glob("*/") if STEM.fullmatch(path.stem)}
    return sorted(found)


def read_manifest(path: Path) -> Manifest | None:
    """A manifest's content; None if there is none, or if its environment or the interpreter in that is missing.

    Raises:
        RequestError: it, its environment or the cache is not the user's own, or it names a folder that is not its own.
    """
    caches.check_owned(path.parent)
    caches.check(path)
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None
    if not _is_own_folder(path, manifest.folder):
        raise RequestError(
            f"{path}: names the folder {manifest.folder!r}: expected {path.stem}.* beside it: remove the file"
        )
    caches.check(manifest.place)
    return manifest if manifest.python.exists() else None


def _is_own_folder(path: Path, name: str) -> bool:
    """Whether a manifest may name a folder: a build of its environment made it, and it is not a link."""
    is_name = re.fullmatch(rf"{re.escape(path.stem)}\.[a-z0-9_]+", name) is not None
    return is_name and (path.parent / name).resolve() == path.parent.resolve() / name


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Make an environment known, completely or not at all."""
    partial = manifest.place / "manifest.json"
    partial.touch(0o600)  # whatever the umask
    partial.write_bytes(msgspec.json.encode(manifest))
    partial.replace(path)


def note_use(path: Path) -> None:
    """Record in a manifest that its environment is in use; a cache of another owner works without that."""
    with contextlib.suppress(OSError):
        os.utime(path)


def size_of(folder: Path) -> int:
    """The bytes of a folder's files, each counted as if nothing shared it."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # of a running build
                total += os.lstat(f"{parent}/{name}").st_size
    return total


def leftovers(path: Path, manifest: Manifest | None) -> list[Path]:
    """Leftovers of builds of an environment: folders that its manifest does not name, and an empty manifest."""
    folders = [
        folder
        for folder in path.parent.glob(f"{glob.escape(path.stem)}.*/")
        if manifest is None or folder.name != manifest.folder
    ]
    return [path, *folders] if manifest is None and path.exists() else folders


def clear(path: Path) -> None:
    """Remove an environment, its manifest first, and leftovers of its builds.

    Raises:
        OSError: the manifest cannot be removed.
    """
    discard([path, *leftovers(path, None)])


def discard(paths: Iterable[Path]) -> None:
    """Remove files, and as much of folders as possible: the rest of one is a leftover.

    Raises:
        OSError: a file cannot be removed.
    """
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def refuse_to_wait() -> None:
    """The function for callers that must not wait for a lock."""
    raise Held


@contextlib.contextmanager
def locked(
    path: Path, waiting: Callable[[], None] = lambda: None, polled: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """One builder or remover of an environment at a time, over all processes.

    Args:
        path: its manifest.
        waiting: called once where another process holds the lock; may raise.
        polled: called repeatedly while that lasts; may raise.
    """
    import filelock

    lock = filelock.FileLock(path.with_suffix(".lock"))
    with contextlib.suppress(filelock.Timeout):
        lock.acquire(timeout=0)
    if not lock.is_locked:
        waiting()
    while not lock.is_locked:
        polled()
        with contextlib.suppress(filelock.Timeout):
            lock.acquire(timeout=POLL)
    try:
        yield
    finally:
        lock.release()
