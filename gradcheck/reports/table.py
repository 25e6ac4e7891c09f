"""Tables for people: what differs first, then losses, errors, differences, and the gradients while they are few."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console, ConsoleDimensions
from rich.text import Text

from gradcheck.reports import _grids
from gradcheck.reports._console import console_of
from gradcheck.reports._explained import EXPLANATIONS
from gradcheck.reports._findings import details, hanging, style, summary
from gradcheck.reports._grid import Grid
from gradcheck.reports._numbers import in_columns
from gradcheck.reports._summary import write_summary as write_summary
from gradcheck.reports._view import QUIET, View
from gradcheck.reports._wording import drawn
from gradcheck.results import SENTENCES, CaseRecord, Report, RunVerdict, Verdict
from gradcheck.text.wording import two_digits

SUFFIX = ".txt"
MOST_ENTRIES = 32
"""The largest number of entries of all gradients together that are printed by default."""


def write(report: Report, stream: TextIO, view: View = QUIET) -> None:
    """Write a report, as wide as the terminal (without one, 80 columns or the value of COLUMNS)."""
    report = report.printable()
    console = console_of(stream, view.width)
    if view.width is None and console.is_dumb_terminal:  # for which rich assumes 80 columns
        console.size = ConsoleDimensions(shutil.get_terminal_size().columns, console.height)
    console.print(hanging(heading(report.case), console))
    for note in report.case.notes:
        console.print(hanging(Text(note), console))
    agree = report.verdict is RunVerdict.AGREE
    if not agree:
        conclude(report, console, view)
    for title, table in parts(report, console.width, view):
        console.print()
        console.print(hanging(Text(title, "bold"), console))  # not the table's title, which folds at its width
        table.print(console)
        if view.details:
            explain(table, console)
    console.print()
    console.print(hanging(Text(power(report)), console))
    if not view.details:
        console.print(hanging(Text("more: --details has every error, and explains the columns", "dim"), console))
    if agree:
        conclude(report, console, view)


def heading(case: CaseRecord) -> Text:
    """The case in one line."""
    return Text.assemble((case.problem, "bold"), f"  {drawn(case)}")


def conclude(report: Report, console: Console, view: View) -> None:
    """Print the findings, the verdict, and the command that runs the case again."""
    worst = None
    for backend in report.backends:
        for line in (details if view.details else summary)(backend, console):
            if isinstance(line, Grid):
                worst = line
                worst.print(console)
            else:
                console.print(line)
    if worst:
        explain(worst, console)
    verdicts = {backend.spec: backend.verdict for backend in report.backends}
    for divergence in report.first_divergences:
        emphasis = "bold" if verdicts[divergence.left] != verdicts[divergence.right] else ""
        console.print(hanging(Text(str(divergence), emphasis), console))
    sentence = Text(f"{report.verdict}: {SENTENCES[report.verdict]}", style(report.verdict))
    console.print(hanging(sentence, console))
    for branch in report.untried():
        console.print(hanging(Text(branch, style(Verdict.UNDECIDED)), console))
    console.print(f"again: {report.case.replay}", soft_wrap=True)  # one line, to be copied


def explain(grid: Grid, console: Console) -> None:
    """Print what the columns of a table mean."""
    for name in dict.fromkeys(grid.names):
        if name in EXPLANATIONS:
            console.print(hanging(Text(f"  {name}: {EXPLANATIONS[name]}", "dim"), console))


def parts(report: Report, width: int, view: View) -> Iterator[tuple[str, Grid]]:
    """The tables of a report, with their titles."""
    answered = [backend for backend in report.backends if backend.loss is not None]
    pairs = f", the largest of {len(report.pairs)} pairs" if len(report.pairs) > _grids.MOST_PAIRS else ""
    if view.details:
        yield "Backends", _grids.backends(report, width)
        if any(backend.measured() for backend in answered):
            yield "Largest error of each gradient", _grids.errors(answered)
            yield "Smallest relative error that would have been caught in an entry", _grids.powers(answered)
        if len(answered) > 1:
            yield "Largest absolute differences between backends", _grids.differences(report, answered)
    else:
        yield "Losses, and the largest error of each gradient in units of its bound", _grids.losses(report, width)
        if report.pairs:
            yield f"Largest absolute differences between backends{pairs}", _grids.largest_differences(report, width)
    shown = [backend for backend in answered if backend.gradients]
    if shown and (view.gradients or len(in_columns(shown)) <= MOST_ENTRIES):
        yield "Gradients", _grids.gradients(shown, width - 10)


def power(report: Report) -> str:
    """The detection power in one line: that of the gradient for which it is weakest."""
    percentiles = {name: each for name, (_, each) in _grids.weakest(report.backends).items()}
    if not percentiles:
        return "power: no gradient was judged"
    name, weakest = max(percentiles.items(), key=lambda each: _grids.rank(each[1]))
    if not math.isfinite(weakest):
        return f"power: no entry of {name} is known to differ from 0"
    return f"power: finds relative errors above {two_digits(weakest)} in 99 % of each gradient's entries"
