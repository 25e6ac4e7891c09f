"""Numbers and nested lists in tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gradcheck.results import Backend
from gradcheck.text.wording import index_in_code

FEWEST_DIGITS = 8
USUAL_DIGITS = 9
MOST_DIGITS = 17


def number(value: float | None, digits: int) -> str:
    """A number with a number of significant digits."""
    return "–" if value is None else f"{value:.{digits}g}"


def seconds(value: float | None, decimals: int) -> str:
    """Seconds in a table."""
    return "–" if value is None else f"{value:.{decimals}f}"


def entries(nested: Any, position: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], float]]:
    """The entries of nested lists, with their indices."""
    if isinstance(nested, list):
        for number_, each in enumerate(nested):
            yield from entries(each, (*position, number_))
    elif nested is not None:
        yield position, nested


def in_columns(shown: Sequence[Backend]) -> dict[str, list[float | None]]:
    """Every entry of every gradient, "A[0][1]", with its value in each backend, or None where a backend lacks it."""
    columns = [
        {
            f"{name}{index_in_code(position)}": value
            for name, nested in (backend.gradients or {}).items()
            for position, value in entries(nested)
        }
        for backend in shown
    ]
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name) for column in columns] for name in names}
