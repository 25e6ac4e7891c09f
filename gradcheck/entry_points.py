"""Files that installed distributions publish by entry points: engines and problems of third parties."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from collections.abc import Iterator
from pathlib import Path


def files(group: str) -> Iterator[tuple[str, Path]]:
    """The names and the files of a group's entry points; entry points without their module are skipped."""
    from importlib import metadata  # costs 10 ms, which shipped problems and engines need not pay

    for entry in metadata.entry_points(group=group):
        if path := _file_of(entry.value):
            yield entry.name, path


def _file_of(module: str) -> Path | None:
    """The file of an installed module. Its package, which may be a framework, is not imported."""
    first, *others = module.split(".")
    spec = importlib.util.find_spec(first)
    for name in others:
        folders = spec.submodule_search_locations if spec else None
        spec = importlib.machinery.PathFinder.find_spec(name, folders or [])
    return Path(spec.origin) if spec and spec.origin else None
