"""The common part of the benchmarks: tables, the command line, the case, and the interpreters of engines."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table as RichTable

from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.backends._worker.source import execute
from gradcheck.execution import selection
from gradcheck.execution.selection import Selection
from gradcheck.problems import Problem
from gradcheck.problems.cases import Case, sample
from gradcheck.runs import assemble
from gradcheck.settings import Settings

PROBLEM = "sigmoid_skip"
ROOT = Path(__file__).parent.parent
Cell = str | int | float | None


@dataclass
class Table:
    """A titled table: one mapping of column to cell for each row; None is a cell that was not measured."""

    title: str
    rows: list[dict[str, Cell]] = field(default_factory=list)

    def printed(self) -> RichTable:
        """The table for a terminal, without its title."""
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        table = RichTable()
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number and column.strip() else "left")
        for row in self.rows:
            table.add_row(*(shown(row.get(column)) for column in columns))
        return table


def shown(cell: Cell) -> str:
    """A cell in a terminal."""
    if cell is None:
        return "–"
    return f"{cell:.3g}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else cell


def command(measure: Callable[..., list[Table]], *options: click.Option) -> click.Command:
    """A benchmark's command line: `measure(small, **options)` gives the tables to print and to write."""

    def run(output: Path | None, **given: Any) -> None:
        tables = measure(**given)
        show(tables)
        if output:
            output.write_text(json.dumps(written(tables), indent=1, ensure_ascii=False) + "\n")

    small = click.Option(["--small"], is_flag=True, help="In seconds, for continuous integration.")
    path = click.Option(["--output"], type=click.Path(path_type=Path), help="Write the tables as JSON too.")
    return click.Command("benchmark", callback=run, params=[small, path, *options], help=measure.__doc__)


def show(tables: Sequence[Table]) -> None:
    """Print tables, wide enough for a log file where there is no terminal."""
    console = Console() if Console().is_terminal else Console(width=200)
    for table in tables:
        console.print(table.title, style="italic", highlight=False)
        if table.rows:
            console.print(table.printed())


def written(tables: Sequence[Table]) -> dict[str, Any]:
    """The tables and where they were measured, for JSON."""
    place = assemble.environment({})
    return {
        "environment": {"python": place.python, "platform": place.platform, "cpu": place.cpu, "numpy": np.__version__},
        "tables": [asdict(table) for table in tables],
    }


@cache
def problem() -> Problem:
    """The problem of the measurements."""
    return problems.load(PROBLEM)


def answer(case: Case) -> BackendAnswer:
    """The answer of the problem's hand-written NumPy gradient, in this process."""
    module = execute(str(case.problem.path))
    loss, derivatives, values = module.vectorised(**case.inputs)
    return BackendAnswer(
        loss=np.asarray(loss),
        gradients={name: array for name, array in derivatives.items() if name in case.inputs},
        values=values,
        adjoints={name: array for name, array in derivatives.items() if name not in case.inputs},
    )


def draw(k: int, dtype: str, seed: int = 0, distribution: str = "uniform") -> Case:
    """A case of the problem."""
    return sample(problem(), k, seed, dtype, distribution)


class Notices:
    """Reports on standard error which environment is under construction."""

    def building(self, spec: str, text: str) -> None:
        """It is under construction."""
        click.echo(f"{spec}: {text}", err=True)

    def built(self, spec: str, complete: bool) -> None:
        """It is complete, or cannot be built."""


def selection_of(specs: Sequence[str]) -> Selection:
    """Backends and the interpreters they run in, built if necessary.

    Raises:
        click.ClickException: one is not available; a benchmark never continues without it.
    """
    found = selection.place(selection.choose(specs, problem()), Settings(), Notices(), {})
    for spec, failure in found.failures.items():
        raise click.ClickException(f"{spec}: {failure.reason}")
    return found
