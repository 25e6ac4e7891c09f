"""Find the interpreter in which a backend's framework is installed."""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import site
import sys
from dataclasses import dataclass
from pathlib import Path

from gradcheck.execution.engines import EngineDeclaration, Spec
from gradcheck.execution.environments.manifest import manifest_path, note_use, read_manifest


@dataclass(frozen=True)
class Environment:
    """An interpreter for a backend, or its program; `version` is known without importing a framework."""

    python: Path
    where: str
    version: str | None = None


@dataclass(frozen=True)
class Missing:
    """Why there is no interpreter for a backend; `buildable` if building one would help."""

    reason: str
    buildable: bool = False


def find(spec: Spec, engine: EngineDeclaration) -> Environment | Missing:
    """The interpreter for a backend, as `locate` finds it; a managed environment counts as used now."""
    found = locate(spec, engine)
    if isinstance(found, Environment) and found.where == "managed":
        note_use(manifest_path(engine, spec.version))
    return found


def locate(spec: Spec, engine: EngineDeclaration) -> Environment | Missing:
    """The interpreter for a backend, in this order: the named one, the current one, a managed environment.

    It searches for the framework and never imports it: the worker does.
    """
    if spec.python is not None:
        if os.access(spec.python, os.X_OK) and spec.python.is_file():
            return Environment(spec.python, "named")
        return Missing(f"{spec.python} is not an executable file")
    if spec.version is None and (version := installed_here(engine)) is not None:
        return Environment(Path(sys.executable), "current", version or None)
    manifest = read_manifest(manifest_path(engine, spec.version))
    if manifest is not None:
        return Environment(manifest.python, "managed", manifest.packages.get(engine.distribution))
    return Missing(
        f"{engine.distribution}=={spec.version or engine.release} is not installed; "
        f"build its environment with: gradcheck backends build {spec}",
        buildable=True,
    )


def installed_here(engine: EngineDeclaration) -> str | None:
    """The engine's version in the current interpreter ("" if unknown), or None if it is not installed."""
    # A worker runs isolated: the current directory, PYTHONPATH and the user's site have no effect there.
    leaked = {"", str(Path.cwd()), site.getusersitepackages(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    path = [entry for entry in sys.path[1:] if entry not in leaked]
    if importlib.machinery.PathFinder.find_spec(engine.module, path) is None:
        return None
    from importlib import metadata  # costs 30 ms

    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(engine.distribution)
    return ""
