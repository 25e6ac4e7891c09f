"""The time of whole commands, compared with importing torch, and of warm checks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from benchmarks.common import Cell, Table, command, selection_of
from benchmarks.cost import REPEATS, median, timed
from gradcheck.api import Session

WARM_BACKENDS = ("manual", "numpy", "torch")


def commands(small: bool) -> list[Table]:
    """Seconds of whole commands, and warm checks a second."""
    return [whole(3 if small else REPEATS), warm(20 if small else 300)]


def whole(repeats: int) -> Table:
    """The main job and an import of torch in torch's environment, and help and an import of click, in turn."""
    torch = selection_of(("torch", "mxnet")).places["torch"].python  # both environments are built now
    main_job = median_of([sys.executable, "-m", "gradcheck", "run", "--k", "3", "--seed", "0"], repeats)
    import_torch = median_of([str(torch), "-c", "import torch"], repeats)
    asking_help = median_of([sys.executable, "-m", "gradcheck", "--help"], repeats)
    import_click = median_of([sys.executable, "-c", "import click"], repeats)
    return Table(
        f"Whole commands (medians of {repeats})",
        [
            {"command": "gradcheck run --k 3 --seed 0", "seconds": main_job, "beside": "import torch",
             "its seconds": import_torch, "ratio": main_job / import_torch},
            {"command": "gradcheck --help", "seconds": asking_help, "beside": "import click",
             "its seconds": import_click, "ratio": asking_help / import_click},
        ],
    )  # fmt: skip


def median_of(words: Sequence[str], repeats: int) -> float:
    """The median of a command's seconds."""

    def run() -> None:
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)

    run()  # files come into the system's cache
    return median(run, repeats)


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
