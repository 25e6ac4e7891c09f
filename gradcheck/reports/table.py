"""Tables for people: verdicts, errors, differences between backends, and the gradients while they fit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import msgspec
from rich.console import Console
from rich.text import Text

from gradcheck.outcomes import Summary, Worst, in_cases
from gradcheck.reports._grid import Grid
from gradcheck.results import SENTENCES, Backend, CaseRecord, Report, RunVerdict, Verdict
from gradcheck.text.wording import index_in_code, two_digits

SUFFIX = ".txt"
MOST_REASONS = 12
"""The largest number of reasons that a summary prints."""
LARGEST_SHOWN = 4  # k up to which gradients are printed by default
FEWEST_DIGITS = 8
PADDING = 9  # beside the digits: sign, point, exponent and the space between columns
WIDE = 120  # the least width with space for the interpreters' paths, in columns

STYLES = {
    Verdict.AGREES: "green",
    Verdict.DIFFERS: "bold red",
    Verdict.UNDECIDED: "yellow",
    RunVerdict.AGREE: "green",
    RunVerdict.DIFFER: "bold red",
}
OTHER_STYLE = "yellow"


def write(report: Report, stream: TextIO, show_gradients: bool) -> None:
    """Write a report, as wide as the terminal (without one, 80 columns or the value of COLUMNS)."""
    report = report.printable()
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    case = report.case
    factor = "" if case.scale == 1 else f" × {case.scale:g}"
    drawn = (
        f"{case.dtype}  given inputs" if case.seed is None else f"seed {case.seed}  {case.dtype}  {case.distribution}"
    )
    size = "" if case.k is msgspec.UNSET else f"k = {case.k}  "
    console.print(Text.assemble((case.problem, "bold"), f"  {size}{drawn}{factor}"))
    for note in case.notes:
        console.print(Text(note))
    for title, table in parts(report, console.width, show_gradients):
        console.print(Text(f"\n{title}", "bold"))  # not the table's own title, which would fold at the table's width
        table.print(console)
    console.print()
    for backend in report.backends:
        for line in findings(backend):
            line.print(console) if isinstance(line, Grid) else console.print(hanging(line, console))
    verdicts = {backend.spec: backend.verdict for backend in report.backends}
    for divergence in report.first_divergences:
        style = "bold" if verdicts[divergence.left] != verdicts[divergence.right] else ""
        console.print(hanging(Text(str(divergence), style), console))
    verdict = Text(f"{report.verdict}: {SENTENCES[report.verdict]}", STYLES.get(report.verdict, OTHER_STYLE))
    console.print(verdict)
    for branch in report.untried():
        console.print(hanging(Text(branch, OTHER_STYLE), console))
    console.print(f"again: {case.replay}", soft_wrap=True)  # one line, to be copied


def write_summary(summary: Summary, stream: TextIO) -> None:
    """Write the summary of many cases: a line for each problem, dtype and backend, then reasons and the worst case."""
    summary = summary.printable()
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
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
    for each in summary.reasons[:MOST_REASONS]:
        line = f"{each.backend}: {each.verdict}: {each.reason} ({in_cases(each.cases)})"
        console.print(hanging(Text(line, STYLES.get(each.verdict, OTHER_STYLE)), console))
    if len(summary.reasons) > MOST_REASONS:
        console.print(f"and {len(summary.reasons) - MOST_REASONS} other reasons: --format json has them")
    for finding in worst_case(summary.worst) if summary.worst else ():
        console.print(finding, soft_wrap=True)
    console.print(Text(f"{summary.verdict}: {SENTENCES[summary.verdict]}", STYLES.get(summary.verdict, OTHER_STYLE)))


def _cases(summary: Summary) -> str:
    """How many cases there are, and how long they took."""
    new = summary.cases - summary.stored
    rate = f", {new / summary.seconds:,.0f} a second" if new and summary.seconds else ""
    stored = f"; {summary.stored:,} of them were stored before" if summary.stored else ""
    return f"{in_cases(summary.cases)} in {summary.seconds:.1f} s{rate}{stored}"


def summary_rows(summary: Summary) -> Grid:
    """A line for each problem, dtype and backend."""
    verdicts = [each for each in Verdict if any(each in row.verdicts for row in summary.rows)]
    places = [each for each in ("problem", "dtype") if len({getattr(row, each) for row in summary.rows}) > 1]
    names = [*places, "backend", "cases", *verdicts, "of bound", "seconds"]
    table = Grid(names, labels=len(places) + 1)
    for row in summary.rows:
        counts = [f"{row.verdicts.get(each, 0):,}" for each in verdicts]
        cells = (*(getattr(row, each) for each in places), row.backend, f"{row.cases:,}", *counts)
        style = "" if row.verdict is Verdict.AGREES else STYLES.get(row.verdict, OTHER_STYLE)
        table.add(*cells, two_digits(row.bound_ratio), f"{row.seconds:.2f}", style=style)
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


def parts(report: Report, width: int, show_gradients: bool) -> Iterator[tuple[str, Grid]]:
    """The tables of a report, with their titles."""
    answered = [backend for backend in report.backends if backend.loss is not None]
    yield "Backends", backends(report, width)
    if any(backend.measured() for backend in answered):
        yield "Largest error of each gradient", errors(answered)
        yield "Smallest relative error that would have been caught in an entry", powers(answered)
    if len(answered) > 1:
        yield "Largest absolute differences between backends", differences(report, answered)
    shown = [backend for backend in answered if backend.gradients]
    if shown and (show_gradients or is_small(report.case, shown)):
        yield "Gradients", gradients(shown, width - 10)


def is_small(case: CaseRecord, shown: Sequence[Backend]) -> bool:
    """Whether gradients are shown by default: depends on the size, or without one on their longest axis."""
    if case.k is not msgspec.UNSET:
        return case.k <= LARGEST_SHOWN
    return all(longest(nested) <= LARGEST_SHOWN for backend in shown for nested in (backend.gradients or {}).values())


def longest(nested: Any) -> int:
    """The length of the longest axis of nested lists."""
    return max([len(nested), *map(longest, nested)]) if isinstance(nested, list) else 0


def backends(report: Report, width: int) -> Grid:
    """A line for each backend."""
    wide = width >= WIDE
    names = ["backend", "version", "verdict", "loss", "|error|", "import s", "first s", *(["python"] if wide else [])]
    table = Grid(names, labels=1, texts=("version", "verdict", "python"))
    for backend in report.backends:
        where = report.environment.backends.get(backend.spec)
        row: list[str | Text] = [
            Text(backend.spec),
            Text(backend.version or "–"),
            Text(backend.verdict, STYLES.get(backend.verdict, OTHER_STYLE)),
            number(backend.loss, 17 if wide else 9),
            two_digits(backend.loss_error),
            seconds(backend.seconds.imported if backend.seconds else None, 2),
            seconds(backend.seconds.first if backend.seconds else None, 4),
        ]
        table.add(*row, *([(where and where.python) or "–"] if wide else []))
    return table


def seconds(value: float | None, decimals: int) -> str:
    """Seconds in a table."""
    return "–" if value is None else f"{value:.{decimals}f}"


def errors(answered: list[Backend]) -> Grid:
    """A line for each backend's gradients: the largest error, in three units, and where."""
    table = Grid(["backend", "gradient", "|error|", "in ulp", "of bound", "at", "bad entries"])
    for backend in answered:
        for name, error in backend.measured().items():
            table.add(
                backend.spec,
                name,
                two_digits(error.max_abs),
                two_digits(error.max_ulp),
                two_digits(error.max_bound_ratio),
                index_in_code(error.worst_index),
                f"{error.bad_entries} of {error.entries}",
                style="bold red" if error.bad_entries else "",
            )
    return table


def powers(answered: list[Backend]) -> Grid:
    """The detection power of the check of each gradient, of the backend for which it is weakest."""
    table = Grid(["gradient", "median entry", "99 % of entries"], labels=1)
    judged = [backend.measured() for backend in answered]
    for name in dict.fromkeys(name for errors in judged for name in errors):
        checks = [errors[name].power for errors in judged if name in errors]
        medians, percentiles = [check.median for check in checks], [check.percentile_99 for check in checks]
        table.add(name, two_digits(max(medians)), two_digits(max(percentiles)))
    return table


def hanging(text: Text, console: Console) -> Text:
    """A text in lines that fit a console; the lines after the first begin below the text after an indented label."""
    plain = text.plain
    if text.cell_len <= console.width:
        return text
    indent = plain.index(": ") + 2 if plain.startswith(" ") else 2
    first = text.wrap(console, console.width)[0]
    others = text[len(plain) - len(plain[len(first) :].lstrip()) :].wrap(console, console.width - indent)
    return Text("\n" + " " * indent).join([first, *others])


def findings(backend: Backend) -> Iterator[Text | Grid]:
    """The details of a backend that does not agree: why, the first wrong step, and its error."""
    first, *others = backend.finding() or [""]
    if first:
        yield Text(first, STYLES.get(backend.verdict, OTHER_STYLE))
    yield from map(Text, others)
    bad = {name: error for name, error in backend.measured().items() if error.bad_entries}
    if bad:
        table = Grid(["  worst, end to end", "got", "true", "|error|", "bound", "of bound"], labels=1)
        for name, error in bad.items():
            for entry in error.worst:
                numbers = (
                    number(entry.got, 10),
                    number(entry.true, 10),
                    two_digits(entry.error),
                    two_digits(entry.bound),
                )
                table.add(f"  {name}{index_in_code(entry.index)}", *numbers, two_digits(entry.bound_ratio))
        yield table


def differences(report: Report, answered: list[Backend]) -> Grid:
    """The lower triangle of the matrix of largest absolute differences, for the loss and each gradient."""
    columns = answered[:-1]
    table = Grid(["", "", *(column.spec for column in columns)])
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
            table.add(label, row.spec, *cells)
    return table


def gradients(shown: list[Backend], width: int) -> Grid:
    """Every entry of every gradient, a column for each backend."""
    beside = min(len(shown), max(width // (FEWEST_DIGITS + PADDING), 1))
    digits = min(17, max(width // beside - PADDING, FEWEST_DIGITS))
    table = Grid(["", *(backend.spec for backend in shown)], labels=1)
    names = list(dict.fromkeys(name for backend in shown for name in backend.gradients or {}))
    for name in names:
        columns = [dict(entries((backend.gradients or {}).get(name))) for backend in shown]
        for position in dict.fromkeys(itertools.chain.from_iterable(columns)):
            table.add(f"{name}{index_in_code(position)}", *(number(column.get(position), digits) for column in columns))
    return table


def entries(nested: Any, position: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], float]]:
    """The entries of nested lists, with their indices."""
    if isinstance(nested, list):
        for number_, each in enumerate(nested):
            yield from entries(each, (*position, number_))
    elif nested is not None:
        yield position, nested


def number(value: float | None, digits: int) -> str:
    """A number with a number of significant digits."""
    return "–" if value is None else f"{value:.{digits}g}"
