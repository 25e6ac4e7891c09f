"""Where a problem's file finds the user's own modules: in the order of `python FILE`, then folders of this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from gradcheck.backends._worker.imports import is_installed


def folders(path: Path) -> tuple[str, ...]:
    """The folders in which the imports of a problem's file are searched, before installed packages.

    The file's own folder, the current one, those of PYTHONPATH, and other folders on this process's path: from pytest's
    `pythonpath`, a `conftest.py`, a script or a notebook, or an editable installation. None for a file that is
    installed itself.
    """
    if is_installed(str(path)) or path.parent == Path(__file__).with_name("shipped"):
        return ()
    others = [os.path.abspath(each) for each in (*sys.path, *_editable()) if each]  # noqa: PTH100 (links stay)
    absolute = dict.fromkeys([*plain_folders(path), *others])
    scripts = os.path.dirname(sys.executable)  # noqa: PTH120 (in which the command `gradcheck` is)
    return tuple(each for each in absolute if each != scripts and not is_installed(each) and os.path.exists(each))  # noqa: PTH110


def plain_folders(path: Path) -> list[str]:
    """Those of them that the command `gradcheck run` has in the same shell: the file's, the current one, PYTHONPATH."""
    try:
        current = os.getcwd()  # noqa: PTH109
    except OSError:  # it was removed
        return [str(path.parent)]
    named = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return [str(path.parent), current, *map(os.path.abspath, named)]


def _editable() -> Iterator[str]:
    """The folders of packages that are installed for editing, of which setuptools' finders have a mapping."""
    for finder in sys.meta_path:
        mapping = getattr(sys.modules.get(getattr(finder, "__module__", "")), "MAPPING", None)
        if isinstance(mapping, dict):
            yield from (os.path.dirname(str(place)) for place in mapping.values())  # noqa: PTH120
