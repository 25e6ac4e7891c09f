"""Reports from files, so that what is shown is the same on every machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from gradcheck.results import Report

DATA = Path(__file__).parent / "data"


def example(name: str) -> Report:
    """A report that a run has written with `--format json`."""
    return msgspec.convert(numbers(json.loads((DATA / f"{name}.json").read_text())), Report)


def numbers(value: Any) -> Any:
    """JSON with the numbers that it cannot hold."""
    if isinstance(value, dict):
        return {name: numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [numbers(each) for each in value]
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value
