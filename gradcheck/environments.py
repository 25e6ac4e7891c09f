"""Find the interpreter in which a backend's framework is installed, or build one with uv."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import os
import platform
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import platformdirs

from gradcheck.catalogue import Engine, Spec

# Of what uv says, the lines that tell how far it is.
PROGRESS = ("Resolved", "Downloading", "Prepared", "Installed", "Bytecode")

# What a caller's shell may hold and what must not reach another interpreter.
LEAKS = ("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Environment:
    """An interpreter for a backend; `version` is the framework's where it is known without importing it."""

    python: Path
    where: str
    version: str | None = None


@dataclass(frozen=True)
class Missing:
    """Why there is no interpreter for a backend; `buildable` where building one would help."""

    reason: str
    buildable: bool = False


class Mark(msgspec.Struct, frozen=True):
    """The file that makes a managed environment known. It is written last: a folder that no mark names is half built.

    Each build has a folder of its own, so a uv that outlived its killed parent cannot write into another one's work.
    """

    folder: str
    backend: str
    requirements: tuple[str, ...]
    python_version: str
    packages: dict[str, str]

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return cache_folder() / self.folder / "bin" / "python"


def find(spec: Spec, engine: Engine) -> Environment | Missing:
    """The interpreter for a backend, in this order: the one named, the current one, a managed environment.

    The framework is looked for, never imported: that is the worker's part.
    """
    if spec.python is not None:
        if os.access(spec.python, os.X_OK) and spec.python.is_file():
            return Environment(spec.python, "named")
        return Missing(f"{spec.python} is no executable file")
    if spec.version is None and (version := installed_here(engine)) is not None:
        return Environment(Path(sys.executable), "current", version or None)
    mark = read_mark(mark_path(engine, spec.version))
    if mark is not None:
        return Environment(mark.python, "managed", mark.packages.get(engine.distribution))
    return Missing(
        f"{engine.distribution}=={spec.version or engine.release} is not installed; "
        f"build its environment with: gradcheck backends build {spec}",
        buildable=True,
    )


def installed_here(engine: Engine) -> str | None:
    """The engine's version in the current interpreter ("" where it does not say), or None where it is not installed."""
    # A worker runs isolated: what the current directory, PYTHONPATH or the user's site add here is not there.
    leaked = {"", str(Path.cwd()), site.getusersitepackages(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    path = [entry for entry in sys.path[1:] if entry not in leaked]
    if importlib.machinery.PathFinder.find_spec(engine.module, path) is None:
        return None
    from importlib import metadata  # costs 30 ms

    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(engine.distribution)
    return ""


def cache_folder() -> Path:
    """Where managed environments are kept."""
    return platformdirs.user_cache_path("gradcheck") / "environments"


def mark_path(engine: Engine, version: str | None) -> Path:
    """The mark of the managed environment with an engine's requirements, built or not."""
    identity = repr((engine.packages(version), engine.python, sys.platform, platform.machine()))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return cache_folder() / f"{engine.distribution}-{version or engine.release}-{digest}.json"


def read_mark(path: Path) -> Mark | None:
    """What a mark says; None where there is none, or where its environment or the interpreter below that is gone."""
    try:
        mark = msgspec.json.decode(path.read_bytes(), type=Mark)
    except (OSError, msgspec.MsgspecError):
        return None
    return mark if mark.python.exists() else None


def remove(engine: Engine) -> int:
    """Remove every managed environment of an engine, half-built ones too, and count those that were complete."""
    marks = list(cache_folder().glob(f"{engine.name}-*.json"))
    for mark in marks:
        with _locked(mark):
            _clear(mark)
    return len(marks)


class Building(Protocol):
    """Who is told, from the building threads, how far an environment is."""

    def building(self, spec: str, text: str) -> None:
        """It is being built."""

    def built(self, spec: str) -> None:
        """It is complete, or will never be."""


class Builder:
    """Builds managed environments with uv, several at once, and ends uv when it is told to stop.

    Args:
        listener: who is told how far they are.
    """

    def __init__(self, listener: Building) -> None:
        import uv

        self._binary = uv.find_uv_bin()  # here, not in the threads: it reads sysconfig, which is not safe in several
        self._listener = listener
        self._running: set[subprocess.Popen[str]] = set()
        self._guard = threading.Lock()
        self._stopped = False

    def build(self, wanted: Mapping[Spec, Engine]) -> dict[Spec, Environment | Missing]:
        """Build an environment for each backend that has none, and say where each is or why there is none."""
        pool = ThreadPoolExecutor(max_workers=max(len(wanted), 1))
        try:
            futures = {spec: pool.submit(self._build_one, spec, engine) for spec, engine in wanted.items()}
            return {spec: future.result() for spec, future in futures.items()}
        except BaseException:
            self._stop()
            raise
        finally:
            pool.shutdown()

    def _build_one(self, spec: Spec, engine: Engine) -> Environment | Missing:
        mark = mark_path(engine, spec.version)
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            with _locked(mark, waiting=lambda: self._listener.building(str(spec), "waiting for another builder")):
                if read_mark(mark) is None:
                    self._fill(mark, spec, engine)
        except OSError as error:
            return Missing(f"cannot build in {mark.parent}: {error.strerror or error}")
        except subprocess.CalledProcessError as error:
            return Missing(
                f"uv could not build it: {gist(error.stderr)}; try again with: gradcheck backends build {spec}"
            )
        finally:
            self._listener.built(str(spec))
        return find(spec, engine)

    def _fill(self, mark: Path, spec: Spec, engine: Engine) -> None:
        requirements = engine.packages(spec.version)
        self._listener.building(str(spec), f"building an environment with {' '.join(requirements)}")
        _clear(mark)
        folder = Path(tempfile.mkdtemp(prefix=f"{mark.stem}.", dir=mark.parent))
        python = str(folder / "bin" / "python")
        self._uv(spec, "venv", "--no-project", "--python", base_python(engine), str(folder))
        target = ("pip", "install", "--compile-bytecode", "--python", python)
        self._install(spec, target, requirements, engine.install_options.get(sys.platform, ()))
        listing = self._uv(spec, "pip", "list", "--format", "json", "--python", python)
        packages = {entry["name"]: entry["version"] for entry in msgspec.json.decode(listing)}
        partial = folder / "mark.json"
        partial.write_bytes(msgspec.json.encode(
            Mark(folder.name, spec.name, requirements, python_version(folder), packages)
        ))  # fmt: skip
        partial.replace(mark)

    def _install(
        self, spec: Spec, target: tuple[str, ...], packages: tuple[str, ...], options: tuple[str, ...]
    ) -> None:
        if options and not index_settings(os.environ):
            try:
                self._uv(spec, *target, *options, *packages)
                return
            except subprocess.CalledProcessError:
                self._listener.building(
                    str(spec), f"{' '.join(options)} cannot be had; trying the registry's own build"
                )
        self._uv(spec, *target, *packages)

    def _uv(self, spec: Spec, *arguments: str) -> str:
        """Run uv and give back what it prints; what it says meanwhile goes to `notify`."""
        command = [self._binary, "--color", "never", *arguments]
        # In the cache's folder, so that no project's uv settings around the user's current directory take part.
        with self._guard:
            if self._stopped:
                raise subprocess.CalledProcessError(1, command, stderr="stopped")
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                cwd=cache_folder(), env=uv_environment(os.environ), start_new_session=True,
            )  # fmt: skip
            self._running.add(process)
        said = []
        with process:
            assert process.stderr is not None
            assert process.stdout is not None
            for line in process.stderr:
                said.append(line)
                if line.startswith(PROGRESS):
                    self._listener.building(str(spec), line.strip())
            printed = process.stdout.read()
            code = process.wait()
        with self._guard:
            self._running.discard(process)
        if code:
            raise subprocess.CalledProcessError(code, command, printed, "".join(said))
        return printed

    def _stop(self) -> None:
        with self._guard:
            self._stopped = True
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def base_python(engine: Engine) -> str:
    """What uv shall build on: this interpreter where the engine installs on it, else any that fits."""
    lowest, below = engine.python
    if lowest <= sys.version_info[:2] and (below is None or sys.version_info[:2] < below):
        return getattr(sys, "_base_executable", sys.executable)
    upper = f",<{below[0]}.{below[1]}" if below else ""
    return f">={lowest[0]}.{lowest[1]}{upper}"


def python_version(folder: Path) -> str:
    """The version that a virtual environment's configuration states."""
    lines = (folder / "pyvenv.cfg").read_text().splitlines()
    settings = dict(line.split(" = ", 1) for line in lines if " = " in line)
    return settings.get("version_info", settings.get("version", ""))


# pip's setting -> the UV_ settings any of which takes its place, the first of which it is handed on as.
HANDED_ON = {
    "PIP_INDEX_URL": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "PIP_EXTRA_INDEX_URL": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "PIP_FIND_LINKS": ("UV_FIND_LINKS",),
}


def index_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Where packages come from, as UV_ settings: those of the caller, and pip's where no UV_ setting says otherwise."""
    names = [name for several in HANDED_ON.values() for name in several]
    settings = {name: environment[name] for name in (*names, "UV_TORCH_BACKEND") if environment.get(name)}
    for theirs, ours in HANDED_ON.items():
        if environment.get(theirs) and not any(name in settings for name in ours):
            # pip separates several by spaces; uv separates folders of links by commas and indexes by spaces.
            separator = "," if theirs == "PIP_FIND_LINKS" else " "
            settings[ours[0]] = separator.join(environment[theirs].split())
    return settings


def uv_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables in which uv runs."""
    return scrubbed(environment) | index_settings(environment)


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment variables less those that would lead another interpreter to this one's packages."""
    return {name: value for name, value in environment.items() if name not in LEAKS and not name.startswith("PYTHON")}


def gist(said: str) -> str:
    """The gist of uv's error output in one line."""
    lines = [line.strip(" \t×╰─▶│├·") for line in said.splitlines()]
    told = [line for line in lines if line and not line.startswith(("hint:", "Using", "Resolved", "Creating"))]
    return " ".join(told)[:400] or "it gave no reason"


@contextlib.contextmanager
def _locked(mark: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """One builder or remover of an environment at a time, over all processes."""
    import filelock

    lock = filelock.FileLock(mark.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _clear(mark: Path) -> None:
    """Remove an environment, its mark first, and whatever builds of it were left half-way."""
    mark.unlink(missing_ok=True)
    for folder in mark.parent.glob(f"{mark.stem}.*/"):
        shutil.rmtree(folder, ignore_errors=True)
