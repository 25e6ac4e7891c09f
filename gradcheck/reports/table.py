"""Tables for people: verdicts, errors, differences between backends, and the gradients while they fit."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradcheck.results import SENTENCES, Backend, Report, RunVerdict, Verdict, index_in_code, two_digits

SUFFIX = ".txt"
LARGEST_SHOWN = 4  # k up to which gradients are printed without being asked for
DIFFERENCE_WIDTH = 13
FEWEST_DIGITS = 8
LONGEST_NAME = 20  # of a backend, that is not folded
PADDING = 9  # beside the digits: sign, point, exponent and the space between columns
WIDE = 120  # columns from which there is room for the interpreters' paths

STYLES = {
    Verdict.AGREES: "green",
    Verdict.DIFFERS: "bold red",
    Verdict.UNDECIDED: "yellow",
    RunVerdict.AGREE: "green",
    RunVerdict.DIFFER: "bold red",
}
OTHER_STYLE = "yellow"


def write(report: Report, stream: TextIO, show_gradients: bool) -> None:
    """Write a report, as wide as the terminal (80 columns where there is none, or what COLUMNS says)."""
    console = Console(file=stream, highlight=False)
    case = report.case
    factor = "" if case.scale == 1 else f" × {case.scale:g}"
    drawn = (
        f"{case.dtype}  given inputs" if case.seed is None else f"seed {case.seed}  {case.dtype}  {case.distribution}"
    )
    console.print(f"[bold]{case.problem}[/bold]  k = {case.k}  {drawn}{factor}")
    for title, table in parts(report, console.width, show_gradients):
        console.print(Text(f"\n{title}", "bold"))  # not the table's own title, which is folded at the table's width
        console.print(table)
    console.print()
    for backend in report.backends:
        for line in findings(backend):
            console.print(line)
    verdicts = {backend.spec: backend.verdict for backend in report.backends}
    for parting in report.partings:
        console.print(Text(str(parting), "bold" if verdicts[parting.left] != verdicts[parting.right] else ""))
    verdict = Text(f"{report.verdict}: {SENTENCES[report.verdict]}", STYLES.get(report.verdict, OTHER_STYLE))
    console.print(verdict)
    console.print(f"again: {case.replay}", soft_wrap=True)  # one line, to be copied


def parts(report: Report, width: int, show_gradients: bool) -> Iterator[tuple[str, Table]]:
    """The tables of a report, with their titles."""
    answered = [backend for backend in report.backends if backend.loss is not None]
    yield "Backends", backends(report, width)
    if any(backend.errors for backend in answered):
        yield "Largest error of each gradient", errors(answered)
    if any(backend.errors for backend in answered):
        yield "Smallest relative error that would have been caught in an entry", powers(answered)
    for columns in chunks(answered[:-1], width - 20, DIFFERENCE_WIDTH):
        yield "Largest absolute differences between backends", differences(report, answered, columns)
    if report.case.k <= LARGEST_SHOWN or show_gradients:
        for columns in chunks([each for each in answered if each.gradients], width - 10, FEWEST_DIGITS + PADDING):
            yield "Gradients", gradients(columns, width - 10)


def chunks(columns: list[Backend], width: int, column: int) -> Iterator[list[Backend]]:
    """As many backends at a time as fit beside each other."""
    fitting = max(width // column, 1)
    for first in range(0, len(columns), fitting):
        yield columns[first : first + fitting]


def backends(report: Report, width: int) -> Table:
    """A line for each backend."""
    table = plain("backend", "version", "verdict", "loss", "|error|", "import s", "first s")
    widened(table, (backend.spec for backend in report.backends))
    if width >= WIDE:
        table.add_column("python", overflow="fold")
    for backend in report.backends:
        where = report.environment.backends.get(backend.spec)
        row: list[str | Text] = [
            Text(backend.spec),
            Text(backend.version or "–"),
            Text(backend.verdict, STYLES.get(backend.verdict, OTHER_STYLE)),
            number(backend.loss, 17 if width >= WIDE else 9),
            two_digits(backend.loss_error),
            seconds(backend.seconds.imported if backend.seconds else None, 2),
            seconds(backend.seconds.first if backend.seconds else None, 4),
        ]
        if width >= WIDE:
            row.append(Text((where and where.python) or "–"))
        table.add_row(*row)
    return table


def seconds(value: float | None, decimals: int) -> str:
    """Seconds in a table."""
    return "–" if value is None else f"{value:.{decimals}f}"


def errors(answered: list[Backend]) -> Table:
    """A line for each backend's gradients: the largest error, in three units, and where."""
    table = plain("backend", "gradient", "|error|", "in ulp", "of bound", "at", "bad entries")
    widened(table, (backend.spec for backend in answered))
    for backend in answered:
        for position, (name, error) in enumerate(backend.errors.items()):
            style = "bold red" if error.bad_entries else ""
            table.add_row(
                Text(backend.spec if position == 0 else ""),
                f"dL/d{name}",
                two_digits(error.max_abs),
                two_digits(error.max_ulp),
                two_digits(error.max_bound_ratio),
                index_in_code(error.worst_index),
                f"{error.bad_entries} of {error.entries}",
                style=style,
            )
    return table


def powers(answered: list[Backend]) -> Table:
    """The detection power of the check of each gradient, of the backend for which it is weakest."""
    table = plain("gradient", "median entry", "99 % of entries", labels=1)
    judged = [backend.errors for backend in answered if backend.errors]
    for name in dict.fromkeys(name for errors in judged for name in errors):
        checks = [errors[name].power for errors in judged if name in errors]
        medians, percentiles = [check.median for check in checks], [check.percentile_99 for check in checks]
        table.add_row(f"dL/d{name}", two_digits(max(medians)), two_digits(max(percentiles)))
    return table


def findings(backend: Backend) -> Iterator[Text | Table]:
    """What a reader wants to know of a backend that does not agree: why, where it went wrong first, and how."""
    first, *others = backend.finding() or [""]
    if first:
        yield Text(first, STYLES.get(backend.verdict, OTHER_STYLE))
    yield from map(Text, others)
    bad = {name: error for name, error in backend.errors.items() if error.bad_entries}
    if bad:
        table = plain("  worst entries", "got", "true", "|error|", "bound", "of bound", labels=1)
        for name, error in bad.items():
            for entry in error.worst:
                numbers = (
                    number(entry.got, 10),
                    number(entry.true, 10),
                    two_digits(entry.error),
                    two_digits(entry.bound),
                )
                table.add_row(f"  dL/d{name}{index_in_code(entry.index)}", *numbers, two_digits(entry.bound_ratio))
        yield table


def differences(report: Report, answered: list[Backend], columns: list[Backend]) -> Table:
    """The lower triangle of the matrix of largest absolute differences, for the loss and each gradient."""
    table = plain("", "", *(column.spec for column in columns))
    found = {(pair.left, pair.right): pair for pair in report.pairs}
    names = list(dict.fromkeys(name for pair in report.pairs for name in pair.max_abs_diff))
    for quantity in (None, *names):
        label = "loss" if quantity is None else f"dL/d{quantity}"
        for row in answered[1:]:
            pairs = [found.get((column.spec, row.spec)) for column in columns]
            cells = [
                "" if pair is None else two_digits(pair.max_abs_diff.get(quantity) if quantity else pair.loss_abs_diff)
                for pair in pairs
            ]
            if any(cells):
                table.add_row(label, Text(row.spec), *cells)
                label = ""
    return table


def gradients(shown: list[Backend], width: int) -> Table:
    """Every entry of every gradient, a column for each backend."""
    digits = min(17, width // max(len(shown), 1) - PADDING)
    table = plain("", *(backend.spec for backend in shown), labels=1)
    names = list(dict.fromkeys(name for backend in shown for name in backend.gradients or {}))
    for name in names:
        columns = [dict(entries((backend.gradients or {}).get(name))) for backend in shown]
        for position in dict.fromkeys(itertools.chain.from_iterable(columns)):
            table.add_row(
                f"{name}{index_in_code(position)}", *(number(column.get(position), digits) for column in columns)
            )
    return table


def entries(nested: Any, position: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], float]]:
    """The entries of nested lists, with their indices."""
    if isinstance(nested, list):
        for number_, each in enumerate(nested):
            yield from entries(each, (*position, number_))
    elif nested is not None:
        yield position, nested


def widened(table: Table, names: Iterable[str]) -> Table:
    """Give the first column room for its names, so that what must fold is another: a version, a path."""
    table.columns[0].min_width = min(max(map(len, names), default=0), LONGEST_NAME)
    return table


def number(value: float | None, digits: int) -> str:
    """A number with so many significant digits."""
    return "–" if value is None else f"{value:.{digits}g}"


def plain(*names: str, labels: int = 2, wrap: bool = False) -> Table:
    """A table without vertical lines, which is legible in a pipe too: labels to the left, then numbers.

    Where they `wrap`, the numbers' columns are as narrow as they need to be.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for position, name in enumerate(names):
        if position < labels:
            table.add_column(Text(name), overflow="fold")
        else:
            table.add_column(Text(name), justify="right", no_wrap=not wrap, overflow="fold")
    return table
