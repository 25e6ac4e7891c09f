"""Build managed environments with uv."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from gradcheck.execution.engines import EngineDeclaration, Spec
from gradcheck.execution.environments.finding import Environment, Missing, find
from gradcheck.execution.environments.installer import Failed, Installer
from gradcheck.execution.environments.manifest import (
    Manifest,
    cache_folder,
    clear,
    locked,
    manifest_path,
    read_manifest,
    size_of,
    write_manifest,
)
from gradcheck.execution.environments.variables import index_settings
from gradcheck.system import caches
from gradcheck.system.interruptions import deferred

OLDEST_PYTHON = (3, 9)  # of a worker

# uv's messages when another Python may help: no wheel for this one, or a source that this one cannot build.
BLAMES_PYTHON = ("Python", "Failed to build")


class Building(Protocol):
    """Receives the progress of environments from the building threads."""

    def building(self, spec: str, text: str) -> None:
        """It is under construction, for the backends in `spec`."""

    def built(self, spec: str, complete: bool) -> None:
        """It is complete, or cannot be built."""


@dataclass(frozen=True)
class Order:
    """An environment to build, once, for every backend that shares it."""

    path: Path
    engine: EngineDeclaration
    specs: tuple[Spec, ...]

    @property
    def label(self) -> str:
        """Its name in progress messages."""
        return ", ".join(map(str, self.specs))

    @property
    def version(self) -> str | None:
        """The requested release; None for the engine's own."""
        return self.specs[0].version

    @property
    def command(self) -> str:
        """The command that builds it."""
        return f"gradcheck backends build {' '.join(map(str, self.specs))}"


def orders(wanted: Mapping[Spec, EngineDeclaration]) -> list[Order]:
    """The environments to build for some backends."""
    shared: dict[Path, list[Spec]] = {}
    for spec, engine in wanted.items():
        shared.setdefault(manifest_path(engine, spec.version), []).append(spec)
    return [Order(path, wanted[specs[0]], tuple(specs)) for path, specs in shared.items()]


class Builder:
    """Builds managed environments with uv, several at once, and ends uv when it is interrupted.

    Args:
        listener: receives their progress.
    """

    def __init__(self, listener: Building) -> None:
        self._uv = Installer(cache_folder())
        self._listener = listener

    def build(self, wanted: Mapping[Spec, EngineDeclaration]) -> dict[Spec, Environment | Missing]:
        """Build an environment for each backend that has none, and return where each is or why there is none."""
        from concurrent.futures import ThreadPoolExecutor  # costs 3 ms, and most runs build nothing

        pool = ThreadPoolExecutor(max_workers=max(len(wanted), 1))
        try:
            futures = [(order.specs, pool.submit(self._build_one, order)) for order in orders(wanted)]
            missing = {spec: future.result() for specs, future in futures for spec in specs}
        except BaseException:
            with deferred():
                self._uv.stop()
            raise
        finally:
            pool.shutdown()
        return {spec: missing[spec] or find(spec, engine) for spec, engine in wanted.items()}

    def _build_one(self, order: Order) -> Missing | None:
        """Build an environment if there is none yet; return why that failed, if it did."""
        complete = False
        try:
            if read_manifest(order.path) is None:
                self._build_alone(order)
            complete = True
        except OSError as error:
            return Missing(f"cannot build in {order.path.parent}: {caches.trouble(error, 'it')}")
        except Failed as error:
            return Missing(f"uv could not build it: {error}; try again with: {order.command}")
        finally:
            self._listener.built(order.label, complete)
        return None

    def _build_alone(self, order: Order) -> None:
        """Build an environment; if another process builds it, wait for that."""
        caches.make(order.path.parent)
        with locked(order.path, lambda: self._tell(order, "waiting for another builder"), self._uv.check):
            if read_manifest(order.path) is None:
                self._fill(order)

    def _fill(self, order: Order) -> None:
        """Build on a suitable Python; a requested release may install only on an older one."""
        packages = " ".join(order.engine.packages(order.version))
        self._tell(order, f"building an environment with {packages}")
        try:
            self._fill_on(base_python(order.engine), order)
        except Failed as error:
            if order.version is None or not any(words in str(error) for words in BLAMES_PYTHON):
                raise
            self._tell(order, "not for this Python; trying an older one")
            try:
                self._fill_on(older_python(), order)
            except Failed:
                raise error from None

    def _fill_on(self, python: str, order: Order) -> None:
        clear(order.path)
        folder = Path(tempfile.mkdtemp(prefix=f"{order.path.stem}.", dir=order.path.parent))
        try:
            self._run(order, "venv", "--no-project", "--python", python, str(folder))
            self._install(order, folder)
            write_manifest(order.path, self._manifest(order, folder))
        except BaseException:
            clear(order.path)  # incomplete environments would fill the disk, and a full disk may be the failure
            raise

    def _install(self, order: Order, folder: Path) -> None:
        command = ("pip", "install", "--compile-bytecode", "--python", str(interpreter(folder)))
        packages = order.engine.packages(order.version)
        options = order.engine.install_options.get(sys.platform, ())
        if options and not index_settings(os.environ):
            try:
                self._run(order, *command, *options, *packages)
                return
            except Failed:
                self._tell(order, f"{' '.join(options)} cannot be had; trying the registry's own build")
        self._run(order, *command, *packages)

    def _manifest(self, order: Order, folder: Path) -> Manifest:
        listing = self._run(order, "pip", "list", "--format", "json", "--python", str(interpreter(folder)))
        return Manifest(
            folder=folder.name,
            distribution=order.engine.distribution,
            version=order.version or order.engine.release,
            requirements=order.engine.packages(order.version),
            python_version=python_version(folder),
            packages={entry["name"]: entry["version"] for entry in msgspec.json.decode(listing)},
            size=size_of(folder),
            built=time.time(),
        )

    def _run(self, order: Order, *arguments: str) -> str:
        return self._uv.run(arguments, lambda line: self._tell(order, line))

    def _tell(self, order: Order, text: str) -> None:
        self._listener.building(order.label, text)


def interpreter(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / "bin" / "python"


def base_python(engine: EngineDeclaration) -> str:
    """The Python for uv: this interpreter if the engine installs on it, else any suitable one."""
    lowest, below = engine.python
    if lowest <= sys.version_info[:2] and (below is None or sys.version_info[:2] < below):
        return getattr(sys, "_base_executable", sys.executable)
    upper = f",<{below[0]}.{below[1]}" if below else ""
    return f">={lowest[0]}.{lowest[1]}{upper}"


def older_python() -> str:
    """Any Python older than this one: an engine's own range is for the release that it states."""
    return f">={OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]},<{sys.version_info[0]}.{sys.version_info[1]}"


def python_version(folder: Path) -> str:
    """The version in a virtual environment's configuration."""
    lines = (folder / "pyvenv.cfg").read_text().splitlines()
    settings = dict(line.split(" = ", 1) for line in lines if " = " in line)
    return settings.get("version_info", settings.get("version", ""))
