"""One page for a browser: it loads nothing, needs no script, and suits phones, wide screens, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TextIO

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from gradcheck.outcomes import Row, Summary, in_cases
from gradcheck.reports import _grids
from gradcheck.reports._explained import EXPLANATIONS
from gradcheck.reports._pictures import heat_map, histograms
from gradcheck.reports._stages import STATES, diagrams
from gradcheck.reports._view import View
from gradcheck.reports._wording import drawn
from gradcheck.results import SENTENCES, Report
from gradcheck.text.wording import index_in_code, two_digits

SUFFIX = ".html"


def write(report: Report, stream: TextIO, view: View) -> None:
    """Write a report."""
    stream.write(_template().render(report=report.printable(), summary=None, grid={}))


def write_summary(summary: Summary, stream: TextIO) -> None:
    """Write the summary of many cases, and the report on the worst of them."""
    summary = summary.printable()
    report = summary.worst.report if summary.worst else None
    stream.write(_template().render(report=report, summary=summary, grid=grid(summary.rows)))


def grid(rows: Sequence[Row]) -> dict[str, dict[str, tuple[int, Row]]]:
    """Each row and its number, by the problem with its dtype and by the backend."""
    found: dict[str, dict[str, tuple[int, Row]]] = {}
    for number, row in enumerate(rows, 1):
        found.setdefault(f"{row.problem} {row.dtype}", {})[row.backend] = number, row
    return found


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("gradcheck.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"two_digits": two_digits, "in_code": index_in_code}
    environment.globals |= {
        "EXPLANATIONS": EXPLANATIONS,
        "SENTENCES": SENTENCES,
        "STATES": STATES,
        "diagrams": diagrams,
        "drawn": drawn,
        "heat_map": heat_map,
        "histograms": histograms,
        "in_cases": in_cases,
        "weakest": _grids.weakest,
    }
    return environment.get_template("page.html.jinja")
