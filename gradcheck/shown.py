"""What users see of a report in Python: its table, its JSON, and files in every format."""

from __future__ import annotations

import html
import importlib
import os
from typing import Any

WIDTH_IN_NOTEBOOKS = 100
"""Of the tables, in columns."""


class Shown:
    """The base of reports: the formats are above this layer, and found by name."""

    __slots__ = ()

    def __str__(self) -> str:
        """The tables that the command prints."""
        return self.table()

    def table(self, details: bool = False, gradients: bool = False, width: int | None = None) -> str:
        """The tables that the command prints, without colours.

        Args:
            details: with every error, and the meaning of each column.
            gradients: with the gradients, even if they have more than 32 entries.
            width: in columns; by default that of the terminal.
        """
        reports = _reports()
        written: str = reports.text(self, "table", reports.View(details, gradients, width))
        return written.rstrip("\n")

    def _repr_html_(self) -> str:
        """The tables for notebooks."""
        return f"<pre>{html.escape(self.table(width=WIDTH_IN_NOTEBOOKS))}</pre>"

    def to_json(self) -> str:
        """The report as JSON: what `gradcheck run --format json` prints."""
        written: str = _reports().text(self, "json")
        return written

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, in the format that the file's ending names: .html, .json, .md, .txt or .xml.

        Raises:
            RequestError: the ending is unknown, or the file cannot be written.
        """
        _reports().save(self, os.fspath(path))


def _reports() -> Any:
    return importlib.import_module("gradcheck.reports")


def pandas() -> Any:
    """The module pandas.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module("pandas")
    except ImportError:
        raise ImportError("to_dataframe: no pandas here: expected it to be installed: pip install pandas") from None
