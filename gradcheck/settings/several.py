"""Several values of one option: "1,4,16", "0:100", "0:100:10" and "all", a list in a file, an iterable in Python."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from gradcheck.errors import RequestError
from gradcheck.settings.validators import Validator

ALL = "all"
"""The word for all values of an option whose values are names."""
RANGE = re.compile(r"(\d+):(\d+)(?::(\d+))?")
MOST_VALUES = 1_000_000
"""The largest number of values in a list; a single range takes no memory."""


def form(validator: Validator) -> str:
    """How several values are written."""
    if validator.choices:
        return f"{','.join(validator.choices[:2])}, or {ALL}"
    if validator.is_whole:
        return "1,4,16, or 0:100, which is without 100"
    return "0.5,2" if validator.type is float else f"one after the other, or {ALL}"


def pieces(validator: Validator, value: Any, written: str) -> Sequence[Any]:
    """The single values of what is given, not checked yet; one range is a `range`.

    Raises:
        RequestError: a range is empty, there is no value, or there are too many.
    """
    if isinstance(value, range) and validator.is_whole:
        return _not_empty(value, written)
    if isinstance(value, str):  # a text without choices is a path, which may have commas
        given: list[Any] = [value] if validator.type is str and not validator.choices else value.split(",")
    else:
        given = list(value) if isinstance(value, Iterable) and not isinstance(value, bytes) else [value]
    expanded = [_expanded(validator, each, written) for each in given]
    if len(expanded) == 1:
        return expanded[0]
    if sum(map(len, expanded)) > MOST_VALUES:
        raise RequestError(f"{written}: expected at most {MOST_VALUES} values, or one range")
    if not expanded:
        raise RequestError(f"{written}: no value: expected one at least")
    return [one for each in expanded for one in each]


def _expanded(validator: Validator, piece: Any, written: str) -> Sequence[Any]:
    """The values of one piece."""
    if not isinstance(piece, str):
        return [piece]
    if piece == ALL and validator.choices:
        return validator.choices
    found = RANGE.fullmatch(piece.strip()) if validator.is_whole else None
    if found is None:
        return [piece]
    step = int(found[3] or 1)
    if step < 1:
        raise RequestError(f"{written}: a step of 0: expected a step of at least 1")
    return _not_empty(range(int(found[1]), int(found[2]), step), written)


def _not_empty(values: range, written: str) -> range:
    try:
        len(values)
    except OverflowError:
        raise RequestError(f"{written}: too many values: expected fewer than 2^63") from None
    if not values:
        raise RequestError(f"{written}: an empty range: expected FIRST:END, which is without END, such as 0:100")
    return values
