"""The time of whole commands, compared with importing torch or NumPy, and of warm checks."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.common import Cell, Table, command, selection_of
from benchmarks.timing import median, timed
from gradcheck.api import Session

WARM_BACKENDS = ("manual", "numpy", "torch")
PAIRS = 9


def commands(small: bool) -> list[Table]:
    """Seconds of whole commands, and warm checks a second."""
    return [whole(3 if small else PAIRS), warm(20 if small else 300)]


def whole(repeats: int) -> Table:
    """Commands, each in turn with an import that it needs."""
    torch = selection_of(("torch", "mxnet")).places["torch"].python  # both environments are built now
    run = [sys.executable, "-m", "gradcheck"]
    table = Table(f"Whole commands (medians of {repeats} pairs)")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "layer.py"
        subprocess.run([*run, "problems", "new", file], stdout=subprocess.DEVNULL, check=True)
        for title, words, module, python in (
            ("gradcheck run --k 3 --seed 0", [*run, "run", "--k", "3", "--seed", "0"], "torch", str(torch)),
            ("gradcheck run layer.py --k 3 -b mine", [*run, "run", str(file), "--k", "3", "-b", "mine"], "numpy", None),
            ("gradcheck --help", [*run, "--help"], "click", None),
        ):
            pairs = in_turn(words, [python or sys.executable, "-c", f"import {module}"], repeats)
            ours, beside = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
            ratio = statistics.median(one / other for one, other in pairs)
            table.rows.append(
                {"command": title, "seconds": ours, "beside": f"import {module}", "its seconds": beside, "ratio": ratio}
            )
    return table


def in_turn(words: Sequence[str], others: Sequence[str], repeats: int) -> list[tuple[float, float]]:
    """The seconds of two commands, pair by pair: whatever else the machine does falls on both."""
    first, second = (partial(subprocess.run, each, stdout=subprocess.DEVNULL, check=True) for each in (words, others))
    first()
    second()  # files come into the system's cache
    return [(timed(first), timed(second)) for _ in range(repeats)]


def warm(checks: int) -> Table:
    """Checks of `sigmoid_skip` at K = 3 in one session, the first of which starts the workers."""
    with Session() as session:
        first = timed(lambda: session.check("sigmoid_skip", backends=WARM_BACKENDS).assert_agrees())
        seeds = iter(range(1, checks + 1))
        middle = median(lambda: session.check("sigmoid_skip", seed=next(seeds), backends=WARM_BACKENDS), checks)
    row: dict[str, Cell] = {"backends": ", ".join(WARM_BACKENDS), "checks": checks, "first, seconds": first}
    return Table("Checks in one session at K = 3", [row | {"median, ms": 1000 * middle, "a second": 1 / middle}])


if __name__ == "__main__":
    command(commands)()
