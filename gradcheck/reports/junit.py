"""JUnit XML for CI servers: a test case for each backend, or for each problem, dtype and backend of many cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO
from xml.etree import ElementTree

from gradcheck.findings import Source
from gradcheck.outcomes import Reason, Row, Summary, in_cases
from gradcheck.reports._view import View
from gradcheck.reports._wording import case_in_words, in_workspace
from gradcheck.results import Backend, Report, Verdict

SUFFIX = ".xml"
ERRORS = (Verdict.CRASHED, Verdict.TIMED_OUT, Verdict.UNAVAILABLE, Verdict.UNSUPPORTED)
"""Verdicts of a backend without an answer."""


@dataclass(frozen=True)
class TestCase:
    """One test case: its outcome is the tag of the element in it, or none if it passes."""

    name: str
    group: str
    seconds: float
    outcome: str | None = None
    kind: str = ""
    message: str = ""
    text: str = ""
    at: Source | None = None


def write(report: Report, stream: TextIO, view: View) -> None:
    """Write a report."""
    report = report.printable()
    cases = [of_backend(report, backend) for backend in report.backends]
    _write(case_in_words(report.case), cases, report.case.replay, stream)


def write_summary(summary: Summary, stream: TextIO) -> None:
    """Write the summary of many cases."""
    summary = summary.printable()
    again = summary.worst.replay if summary.worst else ""
    _write(in_cases(summary.cases), [of_row(summary, row) for row in summary.rows], again, stream)


def of_backend(report: Report, backend: Backend) -> TestCase:
    """The test case of a backend."""
    first = backend.seconds.first if backend.seconds else None
    lines = backend.finding()
    return TestCase(
        name=backend.spec,
        group=report.case.problem,
        seconds=first or 0.0,
        outcome=outcome_of(backend.verdict, passes=not report.exit_code),
        kind=backend.evidence or backend.verdict,
        message=backend.reason or backend.verdict,
        text="\n".join([*lines, f"again: {report.case.replay}"]),
        at=backend.source,
    )


def of_row(summary: Summary, row: Row) -> TestCase:
    """The test case of a backend on a problem in a dtype; a case that it does not support is no fault."""
    place = row.problem, row.dtype, row.backend
    those = [each for each in summary.reasons if (each.problem, each.dtype, each.backend) == place]
    passes = row.verdict is Verdict.UNSUPPORTED or not summary.exit_code
    return TestCase(
        name=f"{row.backend} {row.dtype}",
        group=row.problem,
        seconds=row.seconds,
        outcome=outcome_of(row.verdict, passes),
        kind=row.verdict,
        message=those[0].reason if those else row.verdict,
        text="\n".join(line for each in those for line in in_lines(each)),
        at=next((each.source for each in those if each.source), None),
    )


def in_lines(reason: Reason) -> list[str]:
    """A reason, its line of source, and the command of its first case."""
    at = [reason.source.labelled()] if reason.source else []
    return [f"{reason.verdict}: {reason.reason} ({in_cases(reason.cases)})", *at, f"again: {reason.replay}"]


def outcome_of(verdict: Verdict, passes: bool) -> str | None:
    """The tag of a verdict: failure for what differs, error for no answer, skipped where the run passes without it."""
    if verdict is Verdict.AGREES:
        return None
    if passes:
        return "skipped"
    return "error" if verdict in ERRORS else "failure"


def _write(name: str, cases: Sequence[TestCase], again: str, stream: TextIO) -> None:
    tags = ("failure", "error", "skipped")
    counts = {f"{tag}s".replace("skippeds", "skipped"): str(sum(case.outcome == tag for case in cases)) for tag in tags}
    totals = {"tests": str(len(cases)), **counts, "time": f"{sum(case.seconds for case in cases):.6f}"}
    root = ElementTree.Element("testsuites", {"name": "gradcheck", **totals})
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, **totals})
    properties = ElementTree.SubElement(suite, "properties")
    ElementTree.SubElement(properties, "property", {"name": "again", "value": again})
    for case in cases:
        attributes = {"name": case.name, "classname": case.group, "time": f"{case.seconds:.6f}"}
        if case.at:
            attributes |= {"file": in_workspace(case.at.file) or case.at.file, "line": str(case.at.line)}
        element = ElementTree.SubElement(suite, "testcase", attributes)
        if case.outcome == "skipped":
            ElementTree.SubElement(element, "skipped", {"message": case.message})
        elif case.outcome:
            ElementTree.SubElement(element, case.outcome, {"type": case.kind, "message": case.message}).text = case.text
    ElementTree.indent(root)
    stream.write(ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n")
