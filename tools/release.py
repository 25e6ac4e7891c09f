"""Build the distributions, check them, and use the wheel in an empty environment: `python tools/release.py`.

It leaves the sdist and the wheel in dist/. The wheel is built from the sdist, so that the sdist is complete. It needs
the extra `release`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uv

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
USED = (
    ("--help",),
    ("problems", "new", "layer.py"),
    ("run", "layer.py", "--report", "page.html", "--report", "junit.xml"),
    ("backends",),
    ("schema",),
)
"""What the installed command does, in an empty folder: it reads the files of data that the wheel must have."""


def run(*words: str | Path, folder: Path = ROOT) -> None:
    """Run a command, whose output is shown only if it fails.

    Raises:
        CalledProcessError: it failed.
    """
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.stdout.write(done.stdout + done.stderr)
    done.check_returncode()


def build() -> Sequence[Path]:
    """The sdist and the wheel, in an empty folder `dist`."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST)
    return sorted(DIST.iterdir())


def use(wheel: Path, folder: Path) -> None:
    """Install a wheel in an empty environment, and run its command without this repository."""
    python = folder / "environment" / "bin" / "python"
    run(uv.find_uv_bin(), "venv", "--python", sys.executable, folder / "environment")
    run(uv.find_uv_bin(), "pip", "install", "--python", python, wheel)
    for words in USED:
        run(python.with_name("gradcheck"), *words, folder=folder)


def main() -> None:
    """Build, check and use."""
    start = time.monotonic()
    built = build()
    run(sys.executable, "-m", "twine", "check", "--strict", *built)
    (wheel,) = DIST.glob("*.whl")
    with tempfile.TemporaryDirectory() as folder:
        use(wheel, Path(folder))
    for path in built:
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
    print(f"built, checked and used in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
