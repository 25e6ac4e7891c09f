"""The tables of a report: few by default, every one with details."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from rich.text import Text

from gradcheck.reports._findings import style
from gradcheck.reports._grid import LONGEST_NAME, Grid
from gradcheck.reports._numbers import FEWEST_DIGITS, MOST_DIGITS, USUAL_DIGITS, in_columns, number, seconds
from gradcheck.results import Backend, Pair, Report
from gradcheck.text.wording import index_in_code, two_digits

MOST_PAIRS = 6
"""The largest number of pairs that are shown without details."""
WIDE = 120
"""The least width with space for all digits of the loss, in columns."""
PADDING = 9  # beside the digits: sign, point, exponent and the space between columns
WORST = ("largest", "of")
"""The columns for many gradients, or for long names."""


def rank(value: float) -> float:
    """A number to sort by: not a number comes after any."""
    return math.inf if math.isnan(value) else value


def largest(values: Iterable[float]) -> float:
    """The largest value."""
    return max(values, key=rank, default=math.nan)


def losses(report: Report, width: int) -> Grid:
    """A line for each backend: its loss, and each gradient's largest error in units of its bound, as the width allows.

    A narrow table leaves out versions; one of many gradients has the largest error of all.
    """
    arrays = list(dict.fromkeys(name for backend in report.backends for name in backend.measured()))
    columns = [arrays, WORST] if short(arrays) else [WORST]
    grids = [_losses(report, width, with_version, each) for each in columns for with_version in (True, False)]
    return next((grid for grid in grids if grid.fits(width)), grids[-1])


def short(names: Sequence[str]) -> bool:
    """Whether names can be those of columns, on one line each."""
    return all(len(name) <= LONGEST_NAME for name in names)


def _losses(report: Report, width: int, with_version: bool, arrays: Sequence[str]) -> Grid:
    names = ["backend", *(["version"] if with_version else []), "verdict", "loss", *arrays]
    table = Grid(names, labels=1, texts=("version", "verdict", *WORST[1:]))
    for backend in report.backends:
        ratios = {name: error.max_bound_ratio for name, error in backend.measured().items()}
        bad = any(error.bad_entries for error in backend.measured().values())
        table.add(
            backend.spec,
            *([backend.version or "–"] if with_version else []),
            Text(backend.verdict, style(backend.verdict)),
            number(backend.loss, MOST_DIGITS if width >= WIDE else USUAL_DIGITS),
            *(worst(ratios) if arrays is WORST else [two_digits(ratios.get(name)) for name in arrays]),
            style="bold red" if bad else "",
        )
    return table


def worst(values: Mapping[str, float]) -> tuple[str, str]:
    """The largest of some values, and its name: the cells of the columns `WORST`."""
    name = max(values, key=lambda each: rank(values[each]), default=None)
    return ("–", "–") if name is None else (two_digits(values[name]), name)


def largest_differences(report: Report, width: int) -> Grid:
    """A line for each pair of backends; of many pairs, those whose difference of an array is the largest of all."""
    names = list(dict.fromkeys(name for pair in report.pairs for name in pair.max_abs_diff))
    shown = report.pairs if len(report.pairs) <= MOST_PAIRS else furthest(report.pairs, names)
    labels = [f"dL/d{name}" for name in names]
    grid = _differences(shown, labels)
    return grid if short(labels) and grid.fits(width) else _differences(shown, WORST)


def furthest(pairs: Sequence[Pair], names: Sequence[str]) -> list[Pair]:
    """At most `MOST_PAIRS` pairs: those with the largest difference of the loss, and of each gradient."""
    found = [max(pairs, key=lambda pair: rank(pair.loss_abs_diff))]
    found += [max(pairs, key=lambda pair: rank(pair.max_abs_diff.get(name, -1.0))) for name in names]
    unique = list(dict.fromkeys((pair.left, pair.right) for pair in found))[:MOST_PAIRS]
    return [pair for pair in pairs if (pair.left, pair.right) in unique]


def _differences(pairs: Sequence[Pair], labels: Sequence[str]) -> Grid:
    table = Grid(["", "", "loss", *labels], texts=WORST[1:])
    for pair in pairs:
        found = {f"dL/d{name}": value for name, value in pair.max_abs_diff.items()}
        cells = worst(found) if labels is WORST else [two_digits(found.get(label)) for label in labels]
        table.add(pair.left, pair.right, two_digits(pair.loss_abs_diff), *cells)
    return table


def backends(report: Report, width: int) -> Grid:
    """A line for each backend: its loss, its times and its interpreter."""
    names = ["backend", "version", "verdict", "loss", "|error|", "import s", "first s", "python"]
    table = Grid(names, labels=1, texts=("version", "verdict", "python"))
    for backend in report.backends:
        where = report.environment.backends.get(backend.spec)
        table.add(
            backend.spec,
            backend.version or "–",
            Text(backend.verdict, style(backend.verdict)),
            number(backend.loss, MOST_DIGITS if width >= WIDE else USUAL_DIGITS),
            two_digits(backend.loss_error),
            seconds(backend.seconds.imported if backend.seconds else None, 2),
            seconds(backend.seconds.first if backend.seconds else None, 4),
            (where and where.python) or "–",
        )
    return table


def errors(answered: Sequence[Backend]) -> Grid:
    """A line for each backend's gradients: the largest error, in several units, and where."""
    table = Grid(["backend", "gradient", "|error|", "in ulp", "of bound", "of spread", "at", "bad entries"])
    for backend in answered:
        for name, error in backend.measured().items():
            values = (error.max_abs, error.max_ulp, error.max_bound_ratio, error.max_spread_ratio)
            share = f"{error.bad_entries} of {error.entries}"
            bad = "bold red" if error.bad_entries else ""
            where = index_in_code(error.worst_index)
            table.add(backend.spec, name, *map(two_digits, values), where, share, style=bad)
    return table


def powers(answered: Sequence[Backend]) -> Grid:
    """The detection power of the check of each gradient, of the backend for which it is weakest."""
    table = Grid(["gradient", "median entry", "99 % of entries"], labels=1)
    for name, (median, percentile) in weakest(answered).items():
        table.add(name, two_digits(median), two_digits(percentile))
    return table


def weakest(answered: Sequence[Backend]) -> dict[str, tuple[float, float]]:
    """The detection power of each gradient: median and 99th percentile, where they are the largest."""
    judged = [backend.measured() for backend in answered]
    names = dict.fromkeys(name for errors in judged for name in errors)
    checks = {name: [errors[name].power for errors in judged if name in errors] for name in names}
    return {
        name: (largest(each.median for each in powers), largest(each.percentile_99 for each in powers))
        for name, powers in checks.items()
    }


def differences(report: Report, answered: Sequence[Backend]) -> Grid:
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


def gradients(shown: Sequence[Backend], width: int) -> Grid:
    """Every entry of every gradient, a column for each backend."""
    beside = min(len(shown), max(width // (FEWEST_DIGITS + PADDING), 1))
    digits = min(MOST_DIGITS, max(width // beside - PADDING, FEWEST_DIGITS))
    table = Grid(["", *(backend.spec for backend in shown)], labels=1)
    for name, values in in_columns(shown).items():
        table.add(name, *(number(value, digits) for value in values))
    return table
