"""Correct answers to every shipped problem, from default backends or every engine: none may be refused."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import click

import gradcheck
from benchmarks.common import Table, command
from gradcheck import problems
from gradcheck.execution import engines
from gradcheck.results import Verdict

SHIPPED = [name for name, path in problems.names().items() if path.parent == problems.FOLDER]
DTYPES = ("float64", "float32")
SIZES = (1, 3, 16, 64)
SMALL_SIZES = (3,)
ENTRY_BY_ENTRY = ("central-difference", "complex-step")
"""Backends that evaluate the loss for each entry of a gradient: they do not run above `LARGEST_BY_ENTRY`."""
LARGEST_BY_ENTRY = 16
COLUMNS = {
    Verdict.AGREES: "agree",
    Verdict.DIFFERS: "false alarms",
    Verdict.UNDECIDED: "undecided",
    Verdict.UNSUPPORTED: "unsupported",
}


def shipped(small: bool, seeds: int, every_engine: bool) -> list[Table]:
    """Check every shipped problem in every default backend, in float64 and float32, at k = 1, 3, 16 and 64."""
    table, commands = Table("Shipped problems with correct gradients"), Table("Commands that show anything else")
    cases = list(itertools.product(DTYPES, SMALL_SIZES if small else SIZES, range(1 if small else seeds)))
    with gradcheck.Session() as session:
        session.check(SHIPPED[0])  # so that no row pays for importing the frameworks
        for name in SHIPPED:
            began, verdicts = time.perf_counter(), Counter[Verdict]()
            for dtype, k, seed in cases:
                backends = everything(name, k) if every_engine else ()
                report = session.check(name, k=k, seed=seed, dtype=dtype, backends=backends)
                verdicts.update(backend.verdict for backend in report.backends)
                for backend in report.backends:
                    if backend.verdict not in (Verdict.AGREES, Verdict.UNSUPPORTED):
                        commands.rows.append(
                            {"command": report.case.replay, "backend": backend.spec, "verdict": backend.verdict}
                        )
            table.rows.append(row(name, verdicts, (time.perf_counter() - began) / 60))
    table.rows.append({"problem": "all", **{column: total(table, column) for column in list(table.rows[0])[1:]}})
    return [table, commands]


def everything(name: str, k: int) -> list[str]:
    """Every hand-written gradient of a problem, and every engine."""
    named = [each for each in engines.paths() if k <= LARGEST_BY_ENTRY or each not in ENTRY_BY_ENTRY]
    return [*problems.load(name).gradients, *named]


def row(name: str, verdicts: Counter[Verdict], minutes: float) -> dict[str, str | int | float | None]:
    """The counts of one problem; a failed backend is not counted, and stops the benchmark."""
    if set(verdicts) - set(COLUMNS):
        raise click.ClickException(f"{name}: {dict(verdicts)}: expected answers of every backend")
    found = {column: verdicts[verdict] for verdict, column in COLUMNS.items()}
    return {"problem": name, "answers": verdicts.total(), **found, "minutes": minutes}


def total(table: Table, column: str) -> int | float:
    """The sum of a column."""
    return sum(cell for each in table.rows if isinstance(cell := each[column], (int, float)))


if __name__ == "__main__":
    command(
        shipped,
        click.Option(["--seeds"], default=20, help="How many cases of each size.  [default: 20]"),
        click.Option(["--every-engine"], is_flag=True, help="Run every engine, not only the default ones."),
    )()
