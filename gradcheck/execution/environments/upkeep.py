"""The content of the cache of managed environments, and the removal of unneeded parts."""

from __future__ import annotations

import contextlib
import enum
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradcheck.errors import RequestError
from gradcheck.execution.engines import EngineDeclaration
from gradcheck.execution.environments.manifest import (
    STEM,
    Held,
    clear,
    discard,
    leftovers,
    locked,
    manifest_path,
    manifest_paths,
    read_manifest,
    refuse_to_wait,
    size_of,
)

DAY = 86400  # seconds


class State(enum.StrEnum):
    """The state of an environment."""

    READY = "ready"
    UNWANTED = "no engine uses it"
    BEING_BUILT = "being built"
    HALF_BUILT = "half built"


@dataclass(frozen=True)
class Kept:
    """A managed environment, or leftovers of its builds.

    `name` is its distribution and release; `size` is in bytes; `built` and `used` are in seconds since the epoch, and
    `used` is None for an incomplete one; `paths` are all of its files and folders.
    """

    name: str
    python_version: str
    state: State
    size: int
    built: float
    used: float | None
    paths: tuple[Path, ...]

    def reason_to_go(self, unused_for: int) -> str | None:
        """Why `prune` removes it, if it does."""
        if self.state in (State.HALF_BUILT, State.UNWANTED):
            return str(self.state)
        days = (time.time() - (self.used or self.built)) / DAY
        return f"unused for {int(days)} days" if days >= unused_for else None


def survey(engines: Iterable[EngineDeclaration]) -> list[Kept]:
    """Every managed environment, complete or not; `engines` are those that may use them."""
    known = list(engines)
    found: list[Kept] = []
    for path in manifest_paths():
        with contextlib.suppress(FileNotFoundError):  # removed in the meantime
            found.extend(_at(path, known, being_built=_is_held(path)))
    return found


def prune(engines: Iterable[EngineDeclaration], unused_for: int, dry_run: bool = False) -> list[tuple[Kept, str]]:
    """Remove incomplete environments, those that no engine would use, and those that none has used for long.

    Environments that another process is building stay.

    Args:
        engines: those that may use them.
        unused_for: for how many days none has.
        dry_run: remove nothing.

    Returns:
        The removed environments, and why.

    Raises:
        RequestError: one cannot be removed.
    """
    known = list(engines)
    removed = []
    for path in manifest_paths():
        with contextlib.suppress(Held), _removing(path, refuse_to_wait):
            for kept in _at(path, known, being_built=False):
                if reason := kept.reason_to_go(unused_for):
                    removed.append((kept, reason))
                    discard([] if dry_run else kept.paths)
    return removed


def remove(distribution: str, version: str | None = None) -> int:
    """Remove every managed environment of a distribution, incomplete ones too, and count those that were complete.

    Args:
        distribution: its name.
        version: the release whose environments are removed; None means all.

    Raises:
        RequestError: one cannot be removed.
    """
    count = 0
    for path in manifest_paths():
        if is_of(path, distribution, version):
            with _removing(path):
                count += read_manifest(path) is not None
                clear(path)
    return count


def is_of(path: Path, distribution: str, version: str | None) -> bool:
    """Whether an environment was built for a distribution, by its manifest, or by its name if that is missing."""
    from packaging.utils import canonicalize_version

    manifest = read_manifest(path)
    name, release = (manifest.distribution, manifest.version) if manifest else _named(path)
    return name == distribution and (version is None or canonicalize_version(release) == canonicalize_version(version))


def _at(path: Path, engines: Sequence[EngineDeclaration], being_built: bool) -> Iterator[Kept]:
    """The environment that a manifest names, and incomplete builds beside it."""
    manifest = read_manifest(path)
    if manifest is not None:
        wanted = any(
            engine.distribution == manifest.distribution and manifest_path(engine, manifest.version) == path
            for engine in engines
        )
        yield Kept(
            name=f"{manifest.distribution}=={manifest.version}",
            python_version=manifest.python_version,
            state=State.READY if wanted else State.UNWANTED,
            size=manifest.size,
            built=manifest.built,
            used=path.stat().st_mtime,
            paths=(path, manifest.place),
        )
    if halves := leftovers(path, manifest):
        yield Kept(
            name="==".join(_named(path)),
            python_version="",
            state=State.BEING_BUILT if being_built else State.HALF_BUILT,
            size=sum(map(size_of, halves)),
            built=max(half.stat().st_mtime for half in halves),
            used=None,
            paths=tuple(halves),
        )


def _named(path: Path) -> tuple[str, str]:
    """The distribution and the release in the name of a manifest."""
    match = STEM.fullmatch(path.stem)
    assert match is not None, "manifest_paths gives no other"
    return match["distribution"], match["version"]


def _is_held(path: Path) -> bool:
    try:
        with locked(path, refuse_to_wait):
            return False
    except Held:
        return True
    except OSError:  # a cache of another owner; no build of ours runs in it
        return False


@contextlib.contextmanager
def _removing(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    try:
        with locked(path, waiting):
            yield
    except OSError as error:
        raise RequestError(
            f"{path}: cannot be removed: {error.strerror}: expected a folder that can be written"
        ) from None
