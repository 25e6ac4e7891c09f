"""`gradcheck backends`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from gradcheck.cli._commands import Commands
from gradcheck.cli._completion import known_engines
from gradcheck.cli._listener import TerminalListener
from gradcheck.text.escaping import escaped

if TYPE_CHECKING:
    from gradcheck.execution.environments import Kept

COLUMNS = ("environment", "python", "size", "age", "unused", "state")
UNITS = {"d": 86400, "h": 3600, "min": 60}  # seconds


@click.group(
    "backends",
    cls=Commands,
    short_help="List, build and remove the engines' environments.",
    invoke_without_command=True,
)
@click.pass_context
def command(context: click.Context) -> None:
    """List every engine, and every environment that gradcheck has built.

    For an engine: its version, whether it is ready, its dtypes, and where it would run or what is missing. For an
    environment: its size, how long ago it was built and last used, and whether an engine would use it.
    """
    if context.invoked_subcommand is None:
        context.invoke(listing)


@command.command("list", short_help="List engines and environments, as without a command.")
def listing() -> None:
    """Print two lines for each engine, and one for each environment."""
    from gradcheck.execution.environments import Environment
    from gradcheck.runs import upkeep

    rows, places = [], []
    for engine, found in upkeep.listing():
        if isinstance(found, Environment):
            version, state, where = found.version or "", f"ready ({found.where})", str(found.python)
        else:
            version, state, where = engine.release, "missing", found.reason
        rows.append((engine.name, version, state, " ".join(engine.formats)))
        places.append(where)
    for line, where in zip(aligned(rows), places, strict=True):
        click.echo(f"{escaped(line)}\n    {escaped(where)}")
    if kept := upkeep.kept():
        click.echo("\n" + "\n".join(map(escaped, aligned([COLUMNS, *map(environment_row, kept)]))))


def environment_row(kept: Kept) -> tuple[str, ...]:
    """The cells of an environment's row, under `COLUMNS`."""
    unused = "-" if kept.used is None else since(kept.used)
    return kept.name, kept.python_version or "-", megabytes(kept.size), since(kept.built), unused, kept.state


def aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows as lines, each column as wide as its longest text."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def since(moment: float) -> str:
    """How long ago a moment (in seconds since the epoch) was, in the largest unit that fits."""
    seconds = max(time.time() - moment, 0.0)
    unit, length = next((each for each in UNITS.items() if seconds >= each[1]), ("s", 1))
    return f"{seconds // length:.0f} {unit}"


def megabytes(size: int) -> str:
    """A number of bytes in MB."""
    return f"{size / 1e6:.1f} MB"


@command.command("build", short_help="Build an engine's environment.")
@click.argument("spec", metavar="NAME[==VERSION]", nargs=-1, required=True, shell_complete=known_engines)
def build(spec: tuple[str, ...]) -> int:
    """Build the environment of each named engine that has none yet."""
    from gradcheck.execution.environments import Environment
    from gradcheck.results import RunVerdict
    from gradcheck.runs import upkeep

    with TerminalListener() as listener:
        built = upkeep.build(spec, listener)
    for name, where in built.items():
        place = str(where.python) if isinstance(where, Environment) else f"unavailable: {where.reason}"
        click.echo(escaped(f"{name}: {place}"))
    complete = all(isinstance(where, Environment) for where in built.values())
    return (RunVerdict.AGREE if complete else RunVerdict.UNANSWERED).exit_code


@command.command("remove", short_help="Remove an engine's environments.")
@click.argument("spec", metavar="NAME[==VERSION]", nargs=-1, required=True, shell_complete=known_engines)
def remove(spec: tuple[str, ...]) -> None:
    """Remove every environment, or those of one release, of the distribution of each named engine.

    Engines of one distribution share them.
    """
    from gradcheck.runs import upkeep

    for distribution, count in upkeep.remove(spec).items():
        click.echo(f"{distribution}: {count} environment{'s' if count != 1 else ''} removed")


@command.command("prune", short_help="Remove environments that nothing needs.")
@click.option(
    "--unused-for", type=click.IntRange(min=0), default=30, metavar="DAYS", show_default=True,
    help="Remove environments unused for this many days.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and remove nothing.")
def prune(unused_for: int, dry_run: bool) -> None:
    """Remove incomplete environments, those that no engine would use, and those unused for DAYS.

    An environment that another process is building stays.
    """
    from gradcheck.runs import upkeep

    removed = upkeep.prune(unused_for, dry_run)
    for kept, reason in removed:
        size = megabytes(kept.size)
        click.echo(f"{kept.name}: {reason}: {f'would remove {size}' if dry_run else f'{size} removed'}")
    if not removed:
        click.echo("nothing to remove")
