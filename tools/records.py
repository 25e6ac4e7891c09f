"""The page on JSON reports, made from their records: `python -m tools.records > docs/json.md`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from gradcheck.findings import Record
from gradcheck.outcomes import Summary
from gradcheck.results import Report

INTRODUCTION = """\
# JSON reports

`gradcheck run --format json` prints a [Report](#report), or for many cases a [Summary](#summary). In Python
`report.to_json()` returns this text. `gradcheck schema` and `gradcheck schema summary` print the JSON Schemas. The
fields have the same names in Python. A number that is not finite is one of the strings `"NaN"`, `"Infinity"` and
`"-Infinity"`.

The same case gives the same JSON, byte for byte, except for `environment` and `seconds`. `python -m tools.records`
makes this page from the records.
"""
SIMPLE = {
    str: ("string", "strings"),
    int: ("whole number", "whole numbers"),
    float: ("number", "numbers"),
    bool: ("true or false", "true or false"),
    Any: ("lists of numbers, as deep as the array", "lists of numbers"),
    NoneType: ("null", "null"),
    msgspec.UnsetType: ("no such key", "no such key"),
}
"""Types -> one and several of their values, in words."""


def described() -> list[Any]:
    """All records and enumerations in reports, in the order in which they come."""
    found: list[Any] = [Report, Summary]
    for each in found:  # grows meanwhile
        kinds = [] if issubclass(each, StrEnum) else list(get_type_hints(each).values())
        for kind in kinds:  # grows too
            kinds += get_args(kind) if get_origin(kind) is not Literal else ()
            if isinstance(kind, type) and issubclass(kind, (Record, StrEnum)) and kind not in found:
                found.append(kind)
    return found


def in_words(kind: Any, several: bool = False) -> str:
    """A type in words, with links to the sections of other records.

    Args:
        kind: the type.
        several: whether the words are for several of its values.
    """
    if kind in SIMPLE:
        return SIMPLE[kind][several]
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in inner)
    if origin in (Union, UnionType):
        return " or ".join(in_words(each) for each in inner)
    if origin is dict:
        return f"name → {in_words(inner[1])}"
    if origin is tuple:
        count = "" if inner[-1] is Ellipsis else f"{len(inner)} "
        return f"{'lists' if several else 'list'} of {count}{in_words(inner[0], several=True)}"
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def section(of: Any) -> Iterator[str]:
    """The section of a record, or of an enumeration."""
    yield f"## {of.__name__}\n"
    yield f"{inspect.getdoc(of)}\n"
    if issubclass(of, StrEnum):
        yield f"One of {', '.join(f'`{each.value}`' for each in of)}.\n"
        return
    kinds = get_type_hints(of)
    keys = zip(of.__struct_fields__, of.__struct_encode_fields__, strict=True)
    rows = [f"| `{key}` | {in_words(kinds[field])} |" for field, key in keys]
    yield "\n".join(["| key | value |", "| --- | --- |", *rows, ""])


def page() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *(part for of in described() for part in section(of))])


if __name__ == "__main__":
    sys.stdout.write(page())
