"""What a report for people shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """What a report for people shows beside the verdicts.

    Attributes:
        details: every error, difference and worst entry, and what the columns mean.
        gradients: the gradients, even if they have many entries.
        width: of the tables, in columns; None for that of the terminal.
    """

    details: bool = False
    gradients: bool = False
    width: int | None = None


QUIET = View()
"""The verdicts, and what the user must know."""
