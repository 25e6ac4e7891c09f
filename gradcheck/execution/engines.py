"""The known backends, their requirements, and their names."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gradcheck import entry_points
from gradcheck.backends._worker import handwritten
from gradcheck.backends._worker.source import execute
from gradcheck.errors import RequestError
from gradcheck.settings.declared import BACKEND_FORMS, PROGRAM

ENTRY_POINTS = "gradcheck.backends"
FOLDER = Path(handwritten.__file__).parents[1]
Release = tuple[int, int]
ENGINE_FORM = r"[A-Za-z][\w.-]*(==[\w.+!-]+)?"
"""Behind an `@`: an engine's name. A path has a `/`, or begins with a `~` or a `.`."""


@dataclass(frozen=True)
class EngineDeclaration:
    """The constants in a backend's file; `gradcheck.backends` documents each."""

    name: str
    path: Path
    title: str
    module: str
    distribution: str
    release: str
    requirements: tuple[str, ...]
    python: tuple[Release, Release | None]
    formats: Mapping[str, Mapping[str, Any]]
    lacks: Mapping[str, str]
    install_options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    older_requirements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    devices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    variant_of: str | None = None

    def on(self, device: str) -> EngineDeclaration:
        """The engine as installed for a device; unchanged for the CPU, or for a device that it does not support."""
        return replace(self, **self.devices.get(kind_of(device), {}))

    def packages(self, version: str | None) -> tuple[str, ...]:
        """The requirement of the engine itself in its managed environment."""
        return (f"{self.distribution}=={version or self.release}", *self._beside(version))

    def _beside(self, version: str | None) -> tuple[str, ...]:
        """The other requirements of a release: an older one may need an older NumPy."""
        if version is None or not self.older_requirements:
            return self.requirements
        from packaging.version import Version

        later = [release for release in self.older_requirements if Version(version) < Version(release)]
        return self.older_requirements[min(later, key=Version)] if later else self.requirements


def kind_of(device: str) -> str:
    """The kind of a device: "cuda" of "cuda:1"."""
    return device.partition(":")[0]


@dataclass(frozen=True)
class Spec:
    """A backend as the user names it: `NAME`, `NAME==VERSION`, `NAME@/path/to/python` or `exec:/path/to/program`.

    `program` is the path as the user writes it, since it is the backend's name in reports. A hand-written gradient may
    be named `NAME@ENGINE` or `NAME@ENGINE==VERSION`: it runs in the environment of that engine, its `home`.
    """

    name: str
    version: str | None = None
    python: Path | None = None
    program: str | None = None
    home: Spec | None = None

    @property
    def program_path(self) -> Path | None:
        """The path of the program, if the backend is one."""
        return absolute(self.program) if self.program else None

    def __str__(self) -> str:
        if self.program:
            return f"{PROGRAM}{self.program}"
        if self.version:
            return f"{self.name}=={self.version}"
        where = self.home or self.python
        return f"{self.name}@{where}" if where else self.name


def parse(text: str) -> Spec:
    """Read a backend's name.

    Raises:
        RequestError: it is not the name of a backend.
    """
    if text.startswith(PROGRAM):
        return parse_program(text)
    match = re.fullmatch(r"(?P<name>[A-Za-z][\w.-]*)(==(?P<version>[\w.+!-]+)|@(?P<python>.+))?", text)
    if match is None:
        several = " for each -b" if "," in text or " " in text else ""
        raise RequestError(f"backend {text!r}: expected {BACKEND_FORMS}{several}")
    if match["version"] and not _is_release(match["version"]):
        raise RequestError(f"backend {text!r}: {match['version']!r} is not a release: expected one such as 2.4.1")
    where = match["python"]
    if where and re.fullmatch(ENGINE_FORM, where):
        return Spec(match["name"], home=parse(where))
    return Spec(match["name"], match["version"], absolute(where) if where else None)


def parse_program(text: str) -> Spec:
    """Read the name of a backend that is a program.

    Raises:
        RequestError: it names no program.
    """
    path = text.removeprefix(PROGRAM)
    if not path.strip():
        raise RequestError(f"backend {text!r}: no program: expected {PROGRAM}/path/to/program")
    return Spec("exec", program=path)


def absolute(path: str) -> Path:
    """A path as the user writes it, from the current folder or from ~."""
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 (Path.expanduser raises where ~ is nobody's)


def _is_release(version: str) -> bool:
    from packaging.version import InvalidVersion, Version  # costs 10 ms

    try:
        Version(version)
    except InvalidVersion:
        return False
    return True


def own_path(name: str) -> Path | None:
    """The file of an engine of ours, or None; installed distributions are not looked at, which costs 30 ms."""
    path = FOLDER / f"{name.replace('-', '_')}.py"
    return path if "_" not in name and path.is_file() else None


def paths() -> dict[str, Path]:
    """Every engine's file by its name: ours, `jax-eager` in `jax_eager.py`, then those of installed distributions."""
    found = {path.stem.replace("_", "-"): path for path in sorted(FOLDER.glob("[!_]*.py"))}
    for name, path in entry_points.files(ENTRY_POINTS):
        found.setdefault(name, path)
    return found


@functools.cache
def find(name: str) -> EngineDeclaration | None:
    """An engine's constants, or None where there is no such engine."""
    path = own_path(name) or paths().get(name)
    return None if path is None else read_engine(name, path)


def read_engine(name: str, path: Path) -> EngineDeclaration:
    """The constants in a backend's file.

    Raises:
        RequestError: one is missing.
    """
    constants: dict[str, Any] = vars(execute(str(path)))
    if "VARIANT_OF" in constants:
        constants = vars(execute(str(path.with_name(f"{constants['VARIANT_OF']}.py")))) | constants
    try:
        return EngineDeclaration(
            name=name,
            path=path,
            title=str(constants["__doc__"]).strip().splitlines()[0],
            module=constants["MODULE"],
            distribution=constants["DISTRIBUTION"],
            release=constants["RELEASE"],
            requirements=tuple(constants["REQUIREMENTS"]),
            python=constants["PYTHON"],
            formats=constants["FORMATS"],
            lacks=constants["LACKS"],
            install_options=constants.get("INSTALL_OPTIONS", {}),
            older_requirements=constants.get("OLDER_REQUIREMENTS", {}),
            devices=constants.get("DEVICES", {}),
            variant_of=constants.get("VARIANT_OF"),
        )
    except KeyError as missing:
        raise RequestError(
            f"{path}: no constant {missing.args[0]}: expected what gradcheck.backends documents"
        ) from None
