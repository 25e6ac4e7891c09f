"""A small engine from a wheel made here, so that real uv builds its environment in a second and without a network.

As a program: `python -m tests.environments.small FOLDER` builds it, reports on stderr and prints its place.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

from gradcheck.execution import engines, environments
from gradcheck.execution.engines import EngineDeclaration, Spec
from gradcheck.execution.environments import Environment, Missing

BACKEND = '''
"""A small engine for tests."""
MODULE = "{module}"
DISTRIBUTION = "{distribution}"
RELEASE = "{release}"
REQUIREMENTS = ()
PYTHON = ((3, 9), None)
FORMATS = {{"float64": {{}}}}
LACKS = {{}}
OLDER_REQUIREMENTS = {{"1.5": ("beside<2",), "1.7": ("beside<3",)}}
def load():
    raise ImportError("for tests of building alone")
'''


def engine(folder: Path, name: str = "small", distribution: str = "small", release: str = "2.0") -> EngineDeclaration:
    path = folder / f"{name}.py"
    written = path.with_suffix(f".{os.getpid()}")  # two builders may read and write it at once
    written.write_text(BACKEND.format(module="no_such_module_here", distribution=distribution, release=release))
    written.replace(path)
    return engines.read_engine(name, path)


def wheel(folder: Path, name: str, release: str, python: str = "py3", content: bytes = b"") -> None:
    """Make a wheel of one module and a file beside it, for Pythons such as py3 or cp39.cp310."""
    about = f"{name}-{release}.dist-info"
    files = {
        f"{name}/__init__.py": b"",
        f"{name}/content": content,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n".encode(),
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {python}-none-any\n".encode(),
    }  # fmt: skip
    files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD")).encode()
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{release}-{python}-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


SLOW_BUILD = """
import subprocess
def build_wheel(*arguments):
    subprocess.run(["sleep", "600"])
"""


def source(folder: Path, name: str, release: str) -> None:
    """Make a source distribution whose build starts a process that takes minutes, as a compiler may."""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: {release}\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "slow"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{release}"\n',
        "slow.py": SLOW_BUILD,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / f"{name}-{release}.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-{release}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


class HeardLines:
    """Records the messages of a builder."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def building(self, spec: str, text: str) -> None:
        self.lines.append(f"{spec}: {text}")

    def built(self, spec: str, complete: bool) -> None:
        self.lines.append(f"{spec}: {'complete' if complete else 'cannot be built'}")


class PrintedLines(HeardLines):
    """Prints them to stderr."""

    def building(self, spec: str, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def build(small: EngineDeclaration, version: str | None = None) -> tuple[Environment | Missing, list[str]]:
    listener = HeardLines()
    spec = Spec(small.name, version)
    return environments.Builder(listener).build({spec: small})[spec], listener.lines


if __name__ == "__main__":
    small = engine(Path(sys.argv[1]))
    print(environments.Builder(PrintedLines()).build({Spec("small"): small})[Spec("small")])
