"""Markdown: the summary of a job on GitHub, a comment or a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from gradcheck.outcomes import Summary, in_cases
from gradcheck.reports._grids import worst
from gradcheck.reports._view import View
from gradcheck.reports._wording import case_in_words
from gradcheck.results import SENTENCES, Backend, Report, Verdict
from gradcheck.text.wording import two_digits

SUFFIX = ".md"
MARKS = {Verdict.AGREES: "✅", Verdict.DIFFERS: "❌"}
OTHER_MARK = "⚠️"


def write(report: Report, stream: TextIO, view: View) -> None:
    """Write a report: the verdict, the findings, and a row for each backend."""
    report = report.printable()
    head = ("backend", "version", "verdict", "loss", "largest error / bound", "of")
    findings = [line for backend in report.backends for line in backend.finding()]
    findings += [*map(str, report.first_divergences), *report.untried()]
    blocks = [
        f"### gradcheck: {report.verdict}",
        f"{text(case_in_words(report.case))}: {SENTENCES[report.verdict]}.",
        *([fenced(findings)] if findings else []),
        table(head, map(row, report.backends)),
        fenced([report.case.replay], "sh"),
    ]
    stream.write("\n\n".join(blocks) + "\n")


def write_summary(summary: Summary, stream: TextIO) -> None:
    """Write the summary of many cases: a row for each problem, dtype and backend, and the worst case."""
    summary = summary.printable()
    head = ("problem", "dtype", "backend", "cases", "verdicts", "largest error / bound")
    rows = (
        (
            each.problem,
            each.dtype,
            each.backend,
            f"{each.cases:,}",
            ", ".join(
                f"{MARKS.get(verdict, OTHER_MARK)} {count:,} {verdict}" for verdict, count in each.verdicts.items()
            ),
            two_digits(each.bound_ratio),
        )
        for each in summary.rows
    )
    blocks = [
        f"### gradcheck: {summary.verdict}",
        f"{in_cases(summary.cases)}: {SENTENCES[summary.verdict]}.",
        table(head, rows),
        *([fenced(summary.branches())] if summary.branches() else []),
        *_worst_case(summary),
    ]
    stream.write("\n\n".join(blocks) + "\n")


def _worst_case(summary: Summary) -> Iterator[str]:
    if summary.worst is None:
        return
    yield "Worst case:"
    if summary.worst.report:
        yield fenced(summary.worst.report.finding().splitlines())
    yield fenced([summary.worst.replay], "sh")


def row(backend: Backend) -> Sequence[str]:
    """The cells of a backend."""
    verdict = f"{MARKS.get(backend.verdict, OTHER_MARK)} {backend.verdict}"
    loss = "–" if backend.loss is None else f"{backend.loss:.9g}"
    errors = {name: error.max_bound_ratio for name, error in backend.measured().items()}
    return (backend.spec, backend.version or "–", verdict, loss, *worst(errors))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(text, cells))} |" for cells in lines)


def text(words: str) -> str:
    """Text without any effect on its page."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", words)


def fenced(lines: Sequence[str], language: str = "text") -> str:
    """Lines as they are, in a fence that is longer than any in them."""
    content = "\n".join(lines)
    longest = max(map(len, re.findall("`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{content}\n{fence}"
