"""The user's own modules that a problem's file imports: found in its folders, separate from other problems' modules.

While a problem's code runs, the standard library comes first, then the user's folders in their order, then what is
installed: so a `helper` of the user's own comes before an installed one, and a file named `random.py` or `queue.py`
breaks nothing that imports those. A module that a worker has imported already, NumPy or its framework, stays as it is.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from types import ModuleType, TracebackType
from typing import Any

from gradcheck.backends._worker.source import execute

STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__))
INSTALLED = ("site-packages", "dist-packages")
OURS = "gradcheck"


class Imports(AbstractContextManager):  # type: ignore[type-arg]
    """A context in which a problem's code runs: it finds the user's own modules, and they belong to this problem only.

    Each problem loads them again, and loads them once more if a file has changed: see `have_changed`. A package with a
    compiled part is loaded once in a process, since most cannot be loaded twice.

    Args:
        folders: where the user's modules are searched, in this order.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self.modules: dict[str, ModuleType] = {}
        self.folders_used: set[str] = set()
        self._path = path_with(folders)
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self._before: tuple[list[str], bool, dict[str, ModuleType], set[str]] | None = None
        self._depth = 0
        for folder in [each for each in sys.path_importer_cache if not is_installed(each)]:
            del sys.path_importer_cache[folder]  # a file may have been written within a tick of the folder's clock

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth > 1:
            return
        aside = {name: sys.modules.pop(name) for name in list(self._hidden())}
        self._before = list(sys.path), sys.dont_write_bytecode, aside, set(sys.modules)
        sys.path[:] = self._path
        sys.dont_write_bytecode = True
        sys.modules.update(self.modules)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth or self._before is None:
            return
        path, writes_none, aside, before = self._before
        self._take({name: sys.modules[name] for name in sys.modules.keys() - before})
        self._path = list(sys.path)
        sys.path[:] = path
        sys.dont_write_bytecode = writes_none
        for name in self.modules:
            sys.modules.pop(name, None)
        sys.modules.update(aside)

    def bound(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that runs in this context."""

        @wraps(function)
        def within(*arguments: Any, **named: Any) -> Any:
            with self:
                return function(*arguments, **named)

        return within

    def execute(self, path: str) -> ModuleType:
        """Load a problem's file, as `gradcheck.backends._worker.source.execute` does."""
        self._stamps[path] = stamp(path)
        with self:
            return execute(path)

    @property
    def files(self) -> list[str]:
        """The problem's file, and those of the user's modules that it imported."""
        return list(self._stamps)

    def note(self, files: Sequence[str], folders: Sequence[str]) -> None:
        """Notice changes of files that another process has loaded, from these folders."""
        self.folders_used.update(folders)
        for path in files:
            self._stamps.setdefault(path, stamp(path))

    def have_changed(self) -> bool:
        """Whether the problem's file, or one of its user's modules, has changed since it was loaded."""
        return any(stamp(path) != before for path, before in self._stamps.items())

    def _hidden(self) -> Iterator[str]:
        """Modules of the process, including the user's own, that have the name of a module in the folders."""
        folders = [folder for folder in self._path if not is_installed(folder)]
        names = {entry.partition(".")[0] for folder in folders for entry in listed(folder)}
        hidden = {name for name in names & sys.modules.keys() if is_own(name)}
        return (name for name in sys.modules if name.partition(".")[0] in hidden)

    def _take(self, loaded: dict[str, ModuleType]) -> None:
        """Keep those of the modules just loaded that are the user's own."""
        own = {name for name in {each.partition(".")[0] for each in loaded} if is_own(name)}
        self.folders_used |= {os.path.dirname(place_of(sys.modules[name]) or "") for name in own}
        for name, module in loaded.items():
            if name.partition(".")[0] in own:
                self.modules[name] = module
                file = getattr(module, "__file__", None)
                if file:
                    self._stamps[file] = stamp(file)


def path_with(folders: Sequence[str]) -> list[str]:
    """The path of this interpreter with a user's folders behind the standard library, before what is installed."""
    own = [entry for entry in sys.path if os.path.isabs(entry) and entry not in folders]
    first = next((index for index, entry in enumerate(own) if os.path.basename(entry) in INSTALLED), len(own))
    return [*own[:first], *folders, *own[first:]]


def is_installed(path: str) -> bool:
    """Whether a folder or a file belongs to the standard library or to an installed package."""
    inside = any(f"{os.sep}{name}" in path for name in INSTALLED)
    return inside or path.startswith(STANDARD_LIBRARY) or path in BUILT_IN


BUILT_IN = {entry for entry in sys.path if os.path.basename(entry) == "lib-dynload" or entry.endswith(".zip")}


def is_own(name: str) -> bool:
    """Whether a module that is loaded is the user's own, and can be loaded twice."""
    place = place_of(sys.modules.get(name))
    if name == OURS or place is None or is_installed(place):
        return False
    return not any(is_compiled(module) for each, module in sys.modules.items() if each.partition(".")[0] == name)


def is_compiled(module: ModuleType) -> bool:
    """Whether a module is a library that was compiled."""
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return isinstance(loader, importlib.machinery.ExtensionFileLoader)


def place_of(module: ModuleType | None) -> str | None:
    """The file of a module, the folder of a package; None where it has neither."""
    spec = getattr(module, "__spec__", None)
    folders = list(getattr(spec, "submodule_search_locations", None) or ())
    if folders:
        return str(folders[0])
    return spec.origin if spec is not None and spec.has_location else None


def listed(folder: str) -> list[str]:
    """The content of a folder, empty if it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def stamp(path: str) -> tuple[int, int] | None:
    """The properties that change when a file is written: time and length; None where it cannot be read."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
