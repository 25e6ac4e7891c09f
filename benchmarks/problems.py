"""Correct answers to every shipped problem, from all default backends: none may be refused, none left undecided."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from pathlib import Path

import click

import gradcheck
from benchmarks.common import Table, command
from gradcheck import problems
from gradcheck.results import Verdict

SHIPPED = [name for name, path in problems.names().items() if path.parent == Path(problems.__file__).parent]
DTYPES = ("float64", "float32")
SIZES = (1, 3, 16, 64)
SMALL_SIZES = (1, 3)
COLUMNS = {Verdict.AGREES: "agree", Verdict.DIFFERS: "false alarms", Verdict.UNDECIDED: "undecided"}


def shipped(small: bool, seeds: int) -> list[Table]:
    """Check every shipped problem in every default backend, in float64 and float32, at k = 1, 3, 16 and 64."""
    table, commands = Table("Shipped problems with correct gradients"), Table("Commands that show anything else")
    cases = list(itertools.product(DTYPES, SMALL_SIZES if small else SIZES, range(1 if small else seeds)))
    with gradcheck.Session() as session:
        session.check(SHIPPED[0])  # so that no row pays for importing the frameworks
        for name in SHIPPED:
            began, verdicts = time.perf_counter(), Counter[Verdict]()
            for dtype, k, seed in cases:
                report = session.check(name, k=k, seed=seed, dtype=dtype)
                verdicts.update(backend.verdict for backend in report.backends)
                if any(backend.verdict != Verdict.AGREES for backend in report.backends):
                    commands.rows.append({"command": report.case.replay, "verdict": report.verdict})
            table.rows.append(row(name, verdicts, (time.perf_counter() - began) / 60))
    table.rows.append({"problem": "all", **{column: total(table, column) for column in list(table.rows[0])[1:]}})
    return [table, commands]


def row(name: str, verdicts: Counter[Verdict], minutes: float) -> dict[str, str | int | float | None]:
    """What was seen of one problem; a backend that failed is neither, and stops the benchmark."""
    if set(verdicts) - set(COLUMNS):
        raise click.ClickException(f"{name}: {dict(verdicts)}: expected answers of every backend")
    found = {column: verdicts[verdict] for verdict, column in COLUMNS.items()}
    return {"problem": name, "answers": verdicts.total(), **found, "minutes": minutes}


def total(table: Table, column: str) -> int | float:
    """The sum of a column."""
    return sum(cell for each in table.rows if isinstance(cell := each[column], (int, float)))


if __name__ == "__main__":
    option = click.Option(["--seeds"], default=20, help="How many cases of each size.  [default: 20]")
    command(shipped, option)()
