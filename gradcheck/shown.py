"""What users see of a report in Python: its table, its JSON, and files in every format."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

WIDTH_IN_NOTEBOOKS = 100
"""Of the tables, in columns."""


class Formats(Protocol):
    """What a report needs of the formats, which are above this layer: the package hands them down with `use`."""

    def tables(self, found: Any, details: bool, gradients: bool, width: int | None) -> str:
        """The tables for people."""

    def text(self, found: Any, format: str) -> str:
        """A report in a format."""

    def save(self, found: Any, path: str) -> None:
        """Write a report to a file."""

    def data_frame(self, report: Any) -> Any:
        """The errors of a report as a table of pandas."""

    def figure(self, report: Any) -> Any:
        """The heat maps of a report."""


_formats: Callable[[], Formats]


def use(formats: Callable[[], Formats]) -> None:
    """Take the formats of reports.

    Args:
        formats: a function that imports them, when they are used first.
    """
    global _formats
    _formats = formats


class Shown:
    """The base of reports."""

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
        return _formats().tables(self, details, gradients, width).rstrip("\n")

    def _repr_html_(self) -> str:
        """The tables for notebooks."""
        import html

        return f"<pre>{html.escape(self.table(width=WIDTH_IN_NOTEBOOKS))}</pre>"

    def to_json(self) -> str:
        """The report as JSON: what `gradcheck run --format json` prints."""
        return _formats().text(self, "json")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, in the format that the file's ending names: .html, .json, .md, .txt or .xml.

        Raises:
            RequestError: the ending is unknown, or the file cannot be written.
        """
        _formats().save(self, os.fspath(path))


class ShownCase(Shown):
    """The base of the reports on one case."""

    __slots__ = ()

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with a row for each gradient of each backend, or one without gradient if it has none.

        Columns: backend, version, verdict, loss, loss_error, gradient, and the numbers of `ArrayError`.

        Raises:
            ImportError: pandas is not installed.
        """
        return _formats().data_frame(self)

    def plot(self) -> Any:
        """A figure of matplotlib: for each gradient of each backend a heat map of log₁₀(error/bound).

        Blue is within the bound, orange to red is proved wrong, black is not a number. A ring marks the worst entry;
        a gradient of more than 32 entries along an axis is reduced by its maximum. `matplotlib.pyplot` keeps the
        figure: a notebook shows it, and elsewhere `pyplot.show()` does, or its own `savefig(path)`.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: no backend gave an answer.
        """
        return _formats().figure(self)
