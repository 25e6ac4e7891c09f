"""Loading a source file by its path: problems and backends, in the parent and in workers."""

from __future__ import annotations

import hashlib
import os
import sys
from types import ModuleType


def execute(path: str) -> ModuleType:
    """Load a Python source file as a module, whatever its name, and leave no __pycache__ beside it.

    Raises:
        Exception: any exception that the file raises.
    """
    with open(path, "rb") as file:
        source = file.read()
    stem = os.path.splitext(os.path.basename(path))[0]
    module = ModuleType(f"gradcheck_{stem}_{hashlib.sha256(path.encode()).hexdigest()[:8]}")
    module.__file__ = path
    module.__package__ = ""  # it belongs to no package: a relative import reports that
    sys.modules[module.__name__] = module  # dataclasses and pickle look a class's module up there
    exec(compile(source, path, "exec"), module.__dict__)
    return module
