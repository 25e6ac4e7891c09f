"""`gradcheck run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gradcheck.cli._completion import files, known_problems
from gradcheck.cli._descendants import DESCENDANTS
from gradcheck.cli._listener import TerminalListener
from gradcheck.cli._options import every_option, given, reader
from gradcheck.settings import OPTIONS
from gradcheck.text.escaping import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradcheck.outcomes import Row
    from gradcheck.results import Verdict

HELP = f"""Evaluate PROBLEM in every backend, and judge the answers: one case, or many.

PROBLEM: {OPTIONS["problem"].command_help}

Options that take several values make many cases, of which gradcheck prints a summary: for each problem and backend the
verdicts and the largest error, then the worst case with the command that runs it alone.

Settings come from pyproject.toml [tool.gradcheck], --config, GRADCHECK_* variables and options; the last counts.
"""
DRIFTED = 1


@click.command("run", short_help="Evaluate one case or many in every backend, and judge the answers.", help=HELP)
@click.argument("problem", nargs=-1, type=reader(OPTIONS["problem"]), shell_complete=known_problems)
@every_option
@click.option(
    "--config",
    metavar="FILE",
    help="Settings from a TOML file, whose keys are these options' names.",
    shell_complete=files,
)
@click.pass_context
def command(context: click.Context, /, config: str | None, **_: Any) -> int:
    """Evaluate one case or many, as `HELP` says."""
    import os
    from pathlib import Path

    from gradcheck import reports, settings
    from gradcheck.runs import expectations, one_or_many
    from gradcheck.system import files

    chosen = settings.load(given(context), config, os.environ, Path.cwd())
    destinations = reports.destinations(chosen.format, chosen.report)
    header = expectations.header(chosen)
    expected = expectations.read(Path(chosen.expect), header) if chosen.expect else None
    if chosen.write:
        files.check_writable(Path(chosen.write), "--write")
    DESCENDANTS.adopt()
    with TerminalListener() as listener:
        found = one_or_many.run(chosen, listener)
    view = reports.View(chosen.details, chosen.show_gradients)
    for destination in destinations:
        destination.write(found, view)
    if not chosen.write and expected is None:
        return found.exit_code
    from gradcheck.runs import sweep

    rows = sweep.rows_of(found)
    if chosen.write:
        files.write(Path(chosen.write), "".join(expectations.lines(rows, header)), "--write")
    if expected is None:
        return found.exit_code
    return compared(rows, expected, chosen.expect or "", is_beside=chosen.format == "table")


def compared(rows: Sequence[Row], expected: Mapping[tuple[str, str, str], Verdict], file: str, is_beside: bool) -> int:
    """Print the unexpected outcomes, on standard output beside a table, and return the exit code."""
    from gradcheck.runs import expectations

    drifted = list(expectations.drift(rows, expected))
    for line in drifted:
        click.echo(escaped(line), err=not is_beside)
    others = len(expected.keys() - {expectations.place(row) for row in rows})
    as_expected = f"{len(rows) - len(drifted)} of {len(rows)} outcomes as expected"
    click.echo(escaped(f"{as_expected}; {others} others in {file} not run"), err=not is_beside)
    return DRIFTED if drifted else 0
