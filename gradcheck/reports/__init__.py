"""Report formats: one file in this folder is one format.

A format's file states `SUFFIX`, the ending of its files or None, and has `write(report, stream, view)`. If it has
`write_summary(summary, stream)` too, it is a format of the summary of many cases.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from gradcheck.errors import RequestError
from gradcheck.outcomes import Summary
from gradcheck.reports._view import QUIET
from gradcheck.reports._view import View as View
from gradcheck.results import Report
from gradcheck.system import files
from gradcheck.text.suggestions import did_you_mean

SUMMARY_OF_JOB = "GITHUB_STEP_SUMMARY"
"""The variable with the path of the summary of a job in GitHub Actions."""


@dataclass(frozen=True)
class Destination:
    """A format and its file, to which it may append: standard output if there is none."""

    format: str
    path: Path | None
    appends: bool = False

    def write(self, found: Report | Summary, view: View) -> None:
        """Write a report, or the summary of many cases.

        Raises:
            RequestError: the file cannot be written.
        """
        if self.path is None:
            _write(found, self.format, view, sys.stdout)
        elif self.appends:
            files.append(self.path, text(found, self.format, view), SUMMARY_OF_JOB)
        else:
            files.write(self.path, text(found, self.format, view), "report")


def text(found: Report | Summary, format: str, view: View = QUIET) -> str:
    """A report, or the summary of many cases, in a format."""
    stream = io.StringIO()
    _write(found, format, view, stream)
    return stream.getvalue()


def tables(found: Report | Summary, details: bool, gradients: bool, width: int | None) -> str:
    """The tables of a report, or of the summary of many cases; see `View`."""
    return text(found, "table", View(details, gradients, width))


def save(found: Report | Summary, path: str) -> None:
    """Write a report, or the summary of many cases, to a file in the format of its ending.

    Raises:
        RequestError: the ending is unknown, or the file cannot be written.
    """
    _to_file(Path(path)).write(found, QUIET)


def data_frame(report: Report) -> Any:
    """The errors of a report as a table of pandas; see `Report.to_dataframe`."""
    return importlib.import_module("gradcheck.reports._data_frame").data_frame(report)


def figure(report: Report) -> Any:
    """The heat maps of a report as a figure of matplotlib; see `Report.plot`."""
    return importlib.import_module("gradcheck.reports._figure").figure(report)


def _write(found: Report | Summary, format: str, view: View, stream: TextIO) -> None:
    module = importlib.import_module(f"gradcheck.reports.{format}")
    if isinstance(found, Summary):
        module.write_summary(found, stream)
    else:
        module.write(found, stream, view)


def formats() -> list[str]:
    """The names of all formats."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def destinations(format: str, paths: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[Destination]:
    """The destinations of a report: standard output in one format, and files in that of their endings.

    In GitHub Actions, Markdown is appended to the summary of the job too.

    Raises:
        RequestError: a format is unknown, or a file cannot be written.
    """
    if format not in formats():
        meant = did_you_mean(format, formats())
        raise RequestError(f"format {format!r}: unknown: {meant}expected one of {', '.join(formats())}")
    found = [Destination(format, None), *(_to_file(Path(path)) for path in paths)]
    summary = environment.get(SUMMARY_OF_JOB)
    if environment.get("GITHUB_ACTIONS") and summary:
        files.check_writable(Path(summary), SUMMARY_OF_JOB)
        found.append(Destination("markdown", Path(summary), appends=True))
    return found


def _to_file(path: Path) -> Destination:
    suffixes = {importlib.import_module(f"gradcheck.reports.{name}").SUFFIX: name for name in formats()}
    suffixes.pop(None, None)
    if path.suffix not in suffixes:
        raise RequestError(f"report {str(path)!r}: unknown ending: expected one of {', '.join(suffixes)}")
    files.check_writable(path, "report")
    return Destination(suffixes[path.suffix], path)
