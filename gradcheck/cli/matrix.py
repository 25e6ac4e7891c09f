"""`gradcheck matrix`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradcheck.cli._descendants import DESCENDANTS
from gradcheck.cli._listener import TerminalListener
from gradcheck.cli._options import option
from gradcheck.settings import Settings
from gradcheck.text.escaping import escaped

if TYPE_CHECKING:
    from gradcheck.reports._grid import Grid
    from gradcheck.results import Cell

DIFFERS = 1


@click.command("matrix", short_help="Run many backends on many problems, and report changed outcomes.")
@option("backend")
@click.option("--every-engine", is_flag=True, help="Run every known engine, and the hand-written gradients.")
@option("problem", repeated=True, default=(), unset="every shipped problem")
@option("dtype", repeated=True, default=("float64", "float32"))
@option("k")
@option("seed")
@option("timeout", default=300.0)
@option("no_build")
@click.option(
    "--write", type=click.Path(path_type=Path), metavar="FILE", help="Write the outcome of each cell, as text."
)
@click.option(
    "--expect", type=click.Path(path_type=Path), metavar="FILE", help="Report verdicts that differ from those in FILE."
)
def command(
    every_engine: bool,
    problem: tuple[str, ...],
    dtype: tuple[str, ...],
    write: Path | None,
    expect: Path | None,
    **common: Any,
) -> int:
    """Run backends × problems × dtypes, and print the outcome of each cell.

    A cell that agrees shows its largest error in units of the bound. Any other cell shows its verdict.

    Exit code: with --expect, 1 if an outcome is not the expected one, else 0. Without it, that of a run of all cells,
    where an unsupported cell is not a fault; 3 if no cell has an answer.
    """
    from gradcheck.execution import engines
    from gradcheck.runs import matrix
    from gradcheck.system import files

    settings = Settings(**common)
    every = ("manual", "numpy", *engines.paths()) if every_engine else ()
    plan = matrix.Plan(problem, dtype, replace(settings, backend=(*settings.backend, *every)))
    expected = None if expect is None else matrix.read(expect, plan)
    if write is not None:
        files.check_writable(write, "--write")
    DESCENDANTS.adopt()
    with TerminalListener() as listener:
        found = list(matrix.cells(plan, listener))
    printed(found)
    if write is not None:
        files.write(write, "".join(matrix.lines(found, plan)), "--write")
    if expected is None:
        return matrix.exit_code(found)
    drifted = list(matrix.drift(found, expected))
    for line in drifted:
        click.echo(escaped(line))
    others = len(expected.keys() - {matrix.place(cell) for cell in found})
    click.echo(f"{len(found) - len(drifted)} of {len(found)} outcomes as expected; {others} others in {expect} not run")
    return DIFFERS if drifted else 0


def printed(found: Sequence[Cell]) -> None:
    """Print a table for each dtype, a line for each backend, and below them the reason of each missing answer."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    for dtype in dict.fromkeys(cell.dtype for cell in found):
        those = [cell for cell in found if cell.dtype == dtype]
        names = list(dict.fromkeys(cell.problem for cell in those))
        console.print(f"{dtype}: the largest error in units of the bound, or the verdict\n")
        table(dtype, those, names).print(console)
        console.print()
    for line in reasons(found):
        console.print(escaped(line))


def table(dtype: str, found: Sequence[Cell], names: Sequence[str]) -> Grid:
    """The cells of some problems."""
    from rich.text import Text

    from gradcheck.reports._grid import Grid
    from gradcheck.reports.table import OTHER_STYLE, STYLES
    from gradcheck.results import Verdict

    cells = {(cell.backend, cell.problem): cell for cell in found}
    grid = Grid([dtype, *(escaped(name.replace("_", " ")) for name in names)], labels=1)
    for backend in dict.fromkeys(cell.backend for cell in found if cell.problem in names):
        row = [Text(escaped(backend))]
        for name in names:
            cell = cells.get((backend, name))
            agrees = cell is not None and cell.verdict is Verdict.AGREES
            shown = "" if cell is None else f"{cell.bound_ratio:.2g}" if agrees else str(cell.verdict)
            row.append(Text(shown, STYLES.get(cell.verdict, OTHER_STYLE) if cell else ""))
        grid.add(*row)
    return grid


def reasons(found: Sequence[Cell]) -> Iterator[str]:
    """Each reason once, with the cells that have it."""
    places: dict[tuple[str, str], list[str]] = {}
    for cell in found:
        if cell.reason:
            places.setdefault((cell.backend, f"{cell.verdict}: {cell.reason}"), []).append(
                f"{cell.problem} {cell.dtype}"
            )
    for (backend, reason), where in places.items():
        others = f" and {len(where) - 1} more" if len(where) > 1 else ""
        yield f"{backend}: {reason} ({where[0]}{others})"
