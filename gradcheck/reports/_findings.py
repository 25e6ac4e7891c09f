"""The findings of one backend in lines that fit their width: the most important first, few by default."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from gradcheck.reports._grid import Grid
from gradcheck.reports._numbers import number
from gradcheck.results import Backend, RunVerdict, Verdict
from gradcheck.text.wording import index_in_code, two_digits

MOST_LINES = 12
"""The largest number of printed lines on one backend without details."""
STYLES = {
    Verdict.AGREES: "green",
    Verdict.DIFFERS: "bold red",
    Verdict.UNDECIDED: "yellow",
    RunVerdict.AGREE: "green",
    RunVerdict.DIFFER: "bold red",
}
OTHER_STYLE = "yellow"


def style(verdict: Verdict | RunVerdict) -> str:
    """The colour of a verdict: those of a terminal's own palette, which suits light and dark ones."""
    return STYLES.get(verdict, OTHER_STYLE)


def summary(backend: Backend, console: Console) -> Iterator[Text]:
    """At most `MOST_LINES` printed lines on a backend."""
    lines = [line for text in texts(backend) for line in hanging(text, console).split("\n")]
    if len(lines) > MOST_LINES:
        hidden = len(lines) - (MOST_LINES - 1)
        lines = [*lines[: MOST_LINES - 1], Text(f"        ... {hidden} more lines: --details")]
    yield from lines


def details(backend: Backend, console: Console) -> Iterator[Text | Grid]:
    """Every line on a backend, and a table of its worst entries."""
    for text in texts(backend):
        yield hanging(text, console)
    if any(error.bad_entries for error in backend.measured().values()):
        yield worst_entries(backend)


def texts(backend: Backend) -> Iterator[Text]:
    """The findings of a backend, its verdict in colour."""
    for place, line in enumerate(backend.finding()):
        yield Text(line, style(backend.verdict) if place == 0 else "")


def worst_entries(backend: Backend) -> Grid:
    """The worst of the bad entries of each gradient."""
    table = Grid(["  worst, all steps", "got", "true", "|error|", "bound", "of bound"], labels=1)
    for name, error in backend.measured().items():
        for entry in error.worst if error.bad_entries else ():
            values = (number(entry.got, 10), number(entry.true, 10))
            errors = (two_digits(entry.error), two_digits(entry.bound), two_digits(entry.bound_ratio))
            table.add(f"  {name}{index_in_code(entry.index)}", *values, *errors)
    return table


def hanging(text: Text, console: Console) -> Text:
    """A text in lines that fit a console; the lines after the first begin below the text after an indented label."""
    plain = text.plain
    if text.cell_len <= console.width:
        return text
    indent = plain.index(": ") + 2 if plain.startswith(" ") and ": " in plain else 2
    first = text.wrap(console, console.width)[0]
    others = text[len(plain) - len(plain[len(first) :].lstrip()) :].wrap(console, console.width - indent)
    lines = [first, *others]
    for line in lines:
        line.rstrip()
    return Text("\n" + " " * indent).join(lines)
