"""The cost of many engines: one command with all of them, and their environments from nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.common import Cell, Table, command, selection_of
from gradcheck.execution import engines

ENGINES = ("torch", "mxnet", "jax", "tensorflow", "autograd", "mlx")
"""Each in an environment of its own."""
BACKENDS = ("manual", "numpy", *engines.paths())
REPEATS = 3


def everything(small: bool) -> list[Table]:
    """Seconds of one command with every backend, and of the slowest import; seconds and MB of their environments."""
    tables = [together(1 if small else REPEATS)]
    return tables if small else [*tables, *from_nothing()]


def together(repeats: int) -> Table:
    """`sigmoid_skip` at K = 3 in float64 in every backend at once; medians."""
    selection_of(BACKENDS)  # every environment is built now
    words = ["run", "--format", "json", *(word for backend in BACKENDS for word in ("-b", backend))]
    run(words, {})  # files come into the system's cache, and compilers fill theirs
    taken = sorted((seconds_of(words) for _ in range(repeats)), key=lambda pair: pair[0])
    whole, report = taken[len(taken) // 2]
    verdicts = [backend["verdict"] for backend in report["backends"]]
    alone = {name: import_alone(name, repeats) for name in engines.paths()}
    slowest = max(alone, key=lambda name: alone[name])
    row: dict[str, Cell] = {
        "backends": len(verdicts),
        "agree": verdicts.count("agrees"),
        "unsupported": verdicts.count("unsupported"),
        "seconds": whole,
        "slowest import alone": slowest,
        "its seconds": alone[slowest],
        "ratio": whole / alone[slowest],
    }
    return Table(f"Every backend in one command at K = 3 (medians of {repeats})", [row])


def seconds_of(words: Sequence[str]) -> tuple[float, Any]:
    """The time of a command, and its printed report."""
    began = time.perf_counter()
    printed = run(words, {})
    return time.perf_counter() - began, msgspec.json.decode(printed)


def import_alone(name: str, repeats: int) -> float:
    """The median of the seconds in which a worker of one engine imports its framework, without other work."""
    reports = [msgspec.json.decode(run(["run", "--format", "json", "-b", name], {})) for _ in range(repeats)]
    seconds = sorted((report["backends"][0]["seconds"] or {"import": 0.0})["import"] for report in reports)
    return float(seconds[len(seconds) // 2])


def from_nothing() -> list[Table]:
    """Every environment built from empty caches, one by one and at once; where wheels lie on this disk, from there."""
    rows: list[dict[str, Cell]] = [built((name,)) for name in ENGINES]
    return [
        Table("Environments from empty caches, one at a time", rows),
        Table("All of them at once, from empty caches", [built(ENGINES)]),
    ]


def built(names: Sequence[str]) -> dict[str, Cell]:
    """Seconds and MB of some engines' environments, with their own caches, which are removed again."""
    with tempfile.TemporaryDirectory() as folder:
        caches = {"XDG_CACHE_HOME": folder, "UV_CACHE_DIR": str(Path(folder) / "uv")}
        began = time.perf_counter()
        run(["backends", "build", *names], caches)
        seconds = time.perf_counter() - began
        size = sum(file.stat().st_size for file in (Path(folder) / "gradcheck").rglob("*") if file.is_file())
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir()
    return {"environments": ", ".join(names), "seconds": seconds, "MB": size / 1e6}


def run(words: Sequence[str], variables: dict[str, str]) -> bytes:
    """Run `gradcheck` and return its output; an unsupported engine is not a failure here."""
    done = subprocess.run(
        [sys.executable, "-m", "gradcheck", *words], stdout=subprocess.PIPE, env=os.environ | variables, check=False
    )
    if done.returncode not in (0, 3):
        raise RuntimeError(f"gradcheck {' '.join(words)} ended with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    command(everything)()
