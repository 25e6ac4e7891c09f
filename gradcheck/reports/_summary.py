"""The table of many cases for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from rich.text import Text

from gradcheck.outcomes import Summary, Worst, in_cases
from gradcheck.reports._console import console_of
from gradcheck.reports._findings import hanging, style
from gradcheck.reports._grid import Grid
from gradcheck.results import SENTENCES, Verdict
from gradcheck.text.wording import two_digits

MOST_REASONS = 12
"""The largest number of reasons that a summary prints."""


def write_summary(summary: Summary, stream: TextIO) -> None:
    """Write the summary of many cases: a line for each problem, dtype and backend, then reasons and the worst case."""
    summary = summary.printable()
    console = console_of(stream)
    values = dict(summary.values)
    problem, size, seed = values.pop("problem"), values.pop("k"), values.pop("seed")
    scale = "" if values["scale"] == "1" else f" × {values['scale']}"
    drawn = f"  k = {size}  seed {seed}  {values['dtype']}  {values['distribution']}{scale}"
    console.print(hanging(Text.assemble((problem, "bold"), drawn), console))
    console.print(Text(_cases(summary)))
    for note in summary.notes:
        console.print(hanging(Text(note), console))
    if summary.rows:
        console.print()
        summary_rows(summary).print(console)
        console.print()
    reasons = summary.merged()
    for each in reasons[:MOST_REASONS]:
        line = f"{each.backend}: {each.verdict}: {each.reason} ({in_cases(each.cases)})"
        console.print(hanging(Text(line, style(each.verdict)), console))
    if len(reasons) > MOST_REASONS:
        console.print(f"and {len(reasons) - MOST_REASONS} other reasons: --format json has them")
    for finding in worst_case(summary.worst) if summary.worst else ():
        console.print(finding, soft_wrap=True)
    console.print(Text(f"{summary.verdict}: {SENTENCES[summary.verdict]}", style(summary.verdict)))
    for branch in summary.branches():
        console.print(hanging(Text(branch, style(Verdict.UNDECIDED)), console))


def _cases(summary: Summary) -> str:
    """How many cases there are, and how long they took."""
    new = summary.cases - summary.stored
    rate = f", {_number(new / summary.seconds)} a second" if new and summary.seconds else ""
    stored = f"; {summary.stored:,} of them were stored before" if summary.stored else ""
    return f"{in_cases(summary.cases)} in {summary.seconds:.1f} s{rate}{stored}"


def _number(rate: float) -> str:
    """A rate in words: two digits, or a whole number."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def summary_rows(summary: Summary) -> Grid:
    """A line for each problem, dtype and backend."""
    verdicts = [each for each in Verdict if any(each in row.verdicts for row in summary.rows)]
    places = [each for each in ("problem", "dtype") if len({getattr(row, each) for row in summary.rows}) > 1]
    names = [*places, "backend", "cases", *verdicts, "of bound", "seconds"]
    table = Grid(names, labels=len(places) + 1)
    for row in summary.rows:
        counts = [f"{row.verdicts.get(each, 0):,}" for each in verdicts]
        cells = (*(getattr(row, each) for each in places), row.backend, f"{row.cases:,}", *counts)
        colour = "" if row.verdict is Verdict.AGREES else style(row.verdict)
        table.add(*cells, two_digits(row.bound_ratio), f"{row.seconds:.2f}", style=colour)
    return table


def worst_case(worst: Worst) -> Iterator[Text]:
    """The worst case: its findings if it needs attention, and the command that runs it alone."""
    if worst.report is None:
        ratio = "" if worst.bound_ratio is None else f", error {two_digits(worst.bound_ratio)} of its bound"
        yield Text(f"worst case: {worst.backend} {worst.verdict}{ratio}")
        yield Text(f"again: {worst.replay}")
        return
    yield Text("worst case:", "bold")
    *lines, _, again = worst.report.finding().splitlines()  # without the verdict, which the summary has
    yield from map(Text, [*lines, again])
