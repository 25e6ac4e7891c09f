"""JSON: the records themselves, keys sorted, non-finite numbers as strings."""

from __future__ import annotations

import json
import math
from typing import Any, TextIO

import msgspec

from gradcheck.outcomes import Summary
from gradcheck.reports._view import View
from gradcheck.results import Report

SUFFIX = ".json"


def write(report: Report, stream: TextIO, view: View) -> None:
    """Write a report."""
    _write(report, stream)


def write_summary(summary: Summary, stream: TextIO) -> None:
    """Write the summary of many cases."""
    _write(summary, stream)


def _write(record: Report | Summary, stream: TextIO) -> None:
    encoded = msgspec.json.encode(_finite(msgspec.to_builtins(record)), order="sorted")
    stream.write(_printable(msgspec.json.format(encoded, indent=1).decode()) + "\n")


def _printable(text: str) -> str:
    """JSON with control characters as \\uXXXX: only strings have them."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def schema(of: type[Report | Summary] = Report) -> str:
    """The JSON Schema of a report, or of a summary."""
    encoded = msgspec.json.encode(_untyped(msgspec.json.schema(of)), order="sorted")
    return msgspec.json.format(encoded, indent=1).decode() + "\n"


def _untyped(schema: Any) -> Any:
    """A schema without the single type that msgspec writes beside our alternatives, since it would forbid them."""
    if isinstance(schema, dict):
        return {name: _untyped(each) for name, each in schema.items() if not (name == "type" and "anyOf" in schema)}
    return [_untyped(each) for each in schema] if isinstance(schema, list) else schema


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value
