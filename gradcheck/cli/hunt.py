"""`gradcheck hunt`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradcheck.cli._completion import known_problems
from gradcheck.cli._descendants import DESCENDANTS
from gradcheck.cli._listener import TerminalListener
from gradcheck.cli._options import flag, given, option, reader
from gradcheck.settings import OPTIONS
from gradcheck.settings.option import Option
from gradcheck.settings.validators import number, whole_number
from gradcheck.text.escaping import as_argument, escaped, quoted

if TYPE_CHECKING:
    from gradcheck.runs.hunt import Hunted

MOST_LISTED = 10
MINUTES = Option(
    "minutes",
    1.0,
    number("a number of minutes above 0, at most 100000", lambda value: 0 < value <= 1e5),
    "How long to search.",
    metavar="N",
    keyword=None,
)
CASES = Option(
    "cases",
    None,
    whole_number(1, 24),
    "Most cases of the search.",
    metavar="N",
    keyword=None,
    unset="no limit",
)


@click.command("hunt", short_help="Look for the smallest case in which a backend differs.")
@click.argument("problem", type=reader(replace(OPTIONS["problem"], several=False)), shell_complete=known_problems)
@option("backend")
@option("k", default=8, help="Largest size of the problem.")
@option("dtype")
@option("order")
@option("seed", help="Seed of the search.")
@flag(MINUTES)
@flag(CASES)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write a case that fails, as a record.  [default: PROBLEM-failing.json]",
)
@option("gate")
@option("device")
@option("timeout")
@option("no_build")
@click.pass_context
def command(context: click.Context, /, minutes: float, cases: int | None, output: Path | None, **common: Any) -> int:
    """Look for the smallest case in which a backend differs from the truth or crashes.

    Besides sizes, seeds, distributions and scales, hunt tries single entries, ties, zeros, repeated indices, extremes,
    and the numbers in the problem's file. It makes the case that it finds smaller (the size, the entries that are not
    zero, the digits), and writes it as a record. Failing cases are kept in the user's cache, and tried first. Without a
    failing case, hunt lists the branches of the loss that no usual case takes.

    Needs hypothesis: pip install 'gradcheck[hunt]'. Exit code: 1 with a failing case, 0 without.
    """
    from gradcheck.errors import Interrupted
    from gradcheck.runs import hunt
    from gradcheck.settings import Settings

    settings = Settings(**common, given=frozenset(given(context)))
    path = output or Path(f"{Path(settings.problem).stem}-failing.json")
    limits = hunt.Limits(settings.k, 60 * minutes, cases)
    DESCENDANTS.adopt()
    with TerminalListener() as listener:
        found = hunt.hunt(settings, limits, path, listener)
    for line in lines(found, settings.problem, path):
        click.echo(line)
    if not found.is_complete:
        raise Interrupted
    return found.exit_code


def lines(found: Hunted, problem: str, path: Path) -> Iterator[str]:
    """What a hunt found, in words."""
    spent = f"{found.cases} cases in {found.seconds:.1f} s"
    if found.found_after is None:
        yield f"{escaped(problem)}: no case fails: {spent}"
        for branch, again in found.taken[:MOST_LISTED]:
            yield f"  taken: {escaped(branch)}: {again}"
        for branch in found.untried[:MOST_LISTED]:
            yield f"  not tried: {escaped(branch)}"
        if found.refused:
            yield f"  {len(found.refused)} more cases are none of the problem: {escaped(found.refused[0])}"
        return
    report = found.report.printable()
    yield from (line for backend in report.backends for line in backend.finding())
    size = "" if not isinstance(report.case.k, int) else f"k = {report.case.k}, "
    entries = f"{found.nonzero} {'entry' if found.nonzero == 1 else 'entries'} not zero"
    yield f"found: case {found.found_after}, after {found.found_seconds:.1f} s"
    yield f"smallest: {size}{entries}, of {spent}"
    yield f"again: {report.case.replay}"
    yield f"   or: {quoted(['gradcheck', 'verify', as_argument(path)])}"
