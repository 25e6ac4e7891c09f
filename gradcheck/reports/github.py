"""Annotations of GitHub Actions: what is wrong at the user's file and line, where a pull request shows it.

An annotation is a line `::error file=layer.py,line=23,title=...::message` of standard output. Other lines are the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from gradcheck.outcomes import Summary, in_cases
from gradcheck.reports._view import View
from gradcheck.reports._wording import case_in_words, in_workspace
from gradcheck.results import SENTENCES, Backend, Report, Verdict

SUFFIX = None
MILD = (Verdict.UNDECIDED, Verdict.UNSUPPORTED)
"""Verdicts that are warnings."""


def write(report: Report, stream: TextIO, view: View) -> None:
    """Write a report."""
    report = report.printable()
    lines = [*of_report(report), f"{report.verdict}: {SENTENCES[report.verdict]}"]
    stream.write("\n".join([case_in_words(report.case), *lines, f"again: {report.case.replay}"]) + "\n")


def write_summary(summary: Summary, stream: TextIO) -> None:
    """Write the summary of many cases: an annotation for each reason, and for the worst case at its line."""
    summary = summary.printable()
    lines = [in_cases(summary.cases)]
    for each in summary.merged():
        message = f"{each.reason} ({in_cases(each.cases)})\nagain: {each.replay}"
        lines.append(annotation(level(each.verdict), f"{each.backend} {each.verdict}", message))
    if summary.worst and summary.worst.report:
        lines += of_report(summary.worst.report.printable())
    lines += [annotation("notice", "branch not tried", each.strip()) for each in summary.branches()]
    stream.write("\n".join([*lines, f"{summary.verdict}: {SENTENCES[summary.verdict]}"]) + "\n")


def of_report(report: Report) -> Iterator[str]:
    """An annotation for each backend that does not agree, and for each branch that no input took."""
    for backend in report.backends:
        if backend.verdict is not Verdict.AGREES:
            yield of_backend(backend, report.case.replay)
    for condition in report.conditions if not report.exit_code else ():
        for branch in condition.untried:
            yield annotation("notice", "branch not tried", branch, condition.file, condition.line)


def of_backend(backend: Backend, again: str) -> str:
    """The annotation of a backend that does not agree, at the line that is wrong."""
    source = backend.first_wrong.source if backend.first_wrong else None
    evidence = f" ({backend.evidence})" if backend.evidence else ""
    message = "\n".join([*backend.finding(), f"again: {again}"])
    title = f"{backend.spec} {backend.verdict}{evidence}"
    place = (source.file, source.line) if source else ()
    return annotation(level(backend.verdict), title, message, *place)


def level(verdict: Verdict) -> str:
    """The level of an annotation."""
    return "warning" if verdict in MILD else "error"


def annotation(level: str, title: str, message: str, file: str | None = None, line: int | None = None) -> str:
    """One annotation; without its file if that is not in the workspace."""
    path = in_workspace(file) if file else None
    place = f"file={_property(path)},line={line}," if path else ""
    return f"::{level} {place}title={_property(f'gradcheck: {title}')}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
