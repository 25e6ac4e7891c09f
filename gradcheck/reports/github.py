"""Annotations of GitHub Actions: what is wrong at the user's file and line, where a pull request shows it.

An annotation is a line `::error file=layer.py,line=23,title=...::message` of standard output. Other lines are the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from gradcheck.findings import Condition, Source
from gradcheck.outcomes import Reason, Summary, in_cases
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
    """Write the summary of many cases: an annotation for each reason at its line, the worst case in full."""
    summary = summary.printable()
    lines = [in_cases(summary.cases)]
    worst = summary.worst.report if summary.worst else None
    for reason in summary.merged(by_line=True):
        those = [each for each in worst or () if reason.is_of(each) and each.source == reason.source]
        lines.append(of_backend(those[0], worst.case.replay, reason.cases) if worst and those else of_reason(reason))
    lines += [annotation("notice", "branch not tried", each.strip()) for each in summary.branches()]
    stream.write("\n".join([*lines, f"{summary.verdict}: {SENTENCES[summary.verdict]}"]) + "\n")


def of_report(report: Report) -> Iterator[str]:
    """An annotation for each backend that does not agree, and for each branch that no input took."""
    for backend in report.backends:
        if backend.verdict is not Verdict.AGREES:
            yield of_backend(backend, report.case.replay)
    for condition in report.conditions if not report.exit_code else ():
        for branch in condition.untried:
            yield annotation("notice", "branch not tried", branch, condition)


def of_backend(backend: Backend, again: str, cases: int = 1) -> str:
    """The annotation of a backend that does not agree, at the line that is wrong, in one or the worst of some cases."""
    evidence = f" ({backend.evidence})" if backend.evidence else ""
    heading = [f"{in_cases(cases)}, the worst:"] if cases > 1 else []
    message = "\n".join([*heading, *backend.finding(), f"again: {again}"])
    return annotation(level(backend.verdict), f"{backend.spec} {backend.verdict}{evidence}", message, backend.source)


def of_reason(reason: Reason) -> str:
    """The annotation of a reason, at the line that is wrong."""
    at = [reason.source.labelled()] if reason.source else []
    message = "\n".join([f"{reason.reason} ({in_cases(reason.cases)})", *at, f"again: {reason.replay}"])
    return annotation(level(reason.verdict), f"{reason.backend} {reason.verdict}", message, reason.source)


def level(verdict: Verdict) -> str:
    """The level of an annotation."""
    return "warning" if verdict in MILD else "error"


def annotation(level: str, title: str, message: str, at: Source | Condition | None = None) -> str:
    """One annotation, at a line of a file, if that is in the workspace."""
    path = in_workspace(at.file) if at else None
    place = f"file={_property(path)},line={at.line}," if at and path else ""
    return f"::{level} {place}title={_property(f'gradcheck: {title}')}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
