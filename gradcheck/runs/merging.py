"""Outcomes from files: stores and JSON reports, one after the other, as the outcomes of one run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gradcheck.errors import RequestError
from gradcheck.outcomes import SCHEMA, CaseOutcome, Summary
from gradcheck.results import Report
from gradcheck.runs import store as stores
from gradcheck.runs.many import outcome_of
from gradcheck.runs.plan import AXES, key_of, listed
from gradcheck.runs.store import Store
from gradcheck.runs.sweep import report_of
from gradcheck.runs.tally import Tally

SQLITE = b"SQLite format 3\0"
"""The first bytes of a store."""
MOST_BYTES = 1 << 28
"""The largest JSON report."""
NON_FINITE = ("NaN", "Infinity", "-Infinity")


def merged(paths: Sequence[Path], into: Path | None = None) -> Report | Summary:
    """The report or the summary in one JSON file, or else the summary of all outcomes in some files.

    Args:
        paths: of stores and JSON reports.
        into: a store to which the outcomes are added.

    Raises:
        RequestError: a file is none, or its outcomes are not comparable with those of another.
    """
    if len(paths) == 1 and not into and not is_store(paths[0]):
        return read(paths[0])
    began = time.perf_counter()
    found = Found(paths)
    with contextlib.ExitStack() as stack:
        target = (
            stack.enter_context(contextlib.closing(Store(into, "gradcheck report", found.settings))) if into else None
        )
        for outcomes in found.outcomes():
            if target:
                target.add(outcomes)
            for outcome in outcomes:
                found.tally.add(outcome, stored=True)
        return found.tally.summary(found.values(), time.perf_counter() - began, report_of)


class Found:
    """The outcomes of some files, each case once.

    Args:
        paths: of stores and JSON reports.

    Raises:
        RequestError: the stores have outcomes that are not comparable.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.tally = Tally()
        self.settings: dict[str, str] = {}
        self._paths = paths
        self._seen: set[str] = set()
        self._values: dict[str, dict[Any, None]] = {name: {} for name in ("problem", *AXES)}
        for path in paths:
            if is_store(path):
                with contextlib.closing(stores.connected(path)) as connection:
                    self._compare(path, stores.stored_settings(connection))

    def _compare(self, path: Path, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            if self.settings.setdefault(name, value) != value:
                others = f"{self.settings[name]!r} in another file"
                raise RequestError(f"{path}: {name} is {value!r}, and {others}: expected stores of one command")

    def outcomes(self) -> Iterator[list[CaseOutcome]]:
        """The outcomes, some at a time."""
        for path in self._paths:
            for some in of_store(path) if is_store(path) else [[of_report(path)]]:
                new = [outcome for outcome in some if outcome.key not in self._seen]
                self._seen.update(outcome.key for outcome in new)
                for outcome in new:
                    for name, known in self._values.items():
                        known[getattr(outcome, name)] = None
                yield new

    def values(self) -> dict[str, str]:
        """The values of the problem and of each option that may have several, in words."""
        return {name: in_words([*known]) for name, known in self._values.items()}


def in_words(values: list[Any]) -> str:
    """Values in words: whole numbers without a gap as a range."""
    if len(values) > 2 and all(isinstance(each, int) for each in values):
        several = range(min(values), max(values) + 1)
        return listed(several if len(several) == len(values) else sorted(values))
    return listed(values)


def is_store(path: Path) -> bool:
    """Whether a file is a store.

    Raises:
        RequestError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE)) == SQLITE
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RequestError(f"{str(path)!r}: {reason}: expected a store, or a JSON report") from None


def of_store(path: Path) -> Iterator[list[CaseOutcome]]:
    """The outcomes of a store, with their reports, some at a time."""
    with contextlib.closing(stores.connected(path)) as connection:
        last = 0
        while some := stores.following(connection, last):
            last = some[-1][0]
            yield list(stores.outcomes(connection, [key for _, key in some], with_reports=True))


def of_report(path: Path) -> CaseOutcome:
    """The outcome of the case of a JSON report."""
    report = read(path)
    if isinstance(report, Summary):
        raise RequestError(f"{path}: the summary of many cases: expected a report of one case, or a store, to merge")
    case = report.case
    k = None if case.k is msgspec.UNSET else case.k
    key = key_of(case.problem, (case.dtype, k, case.distribution, case.scale, case.seed))
    return outcome_of(key, report)


def read(path: Path) -> Report | Summary:
    """The report or the summary in a JSON file.

    Raises:
        RequestError: it holds none.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise RequestError(f"{path}: more than {MOST_BYTES} bytes: expected a JSON report")
        raw = msgspec.json.decode(content)
        kind: type[Report | Summary] = Report
        if isinstance(raw, dict) and raw.get("schema") == SCHEMA:
            kind = Summary
        return msgspec.convert(
            with_numbers(raw), kind, strict=False
        )  # names of numbers that are not finite are strings
    except OSError as error:
        raise RequestError(f"{str(path)!r}: {error.strerror}: expected a store, or a JSON report") from None
    except (ValueError, RecursionError) as error:  # msgspec's own, and those of text that is not UTF-8
        raise RequestError(f"{path}: {error}: expected a store, or a JSON report of `gradcheck run`") from None


def with_numbers(raw: Any) -> Any:
    """A report whose gradients have numbers that are not finite instead of their names."""
    if isinstance(raw, dict):
        return {name: numbers(each) if name == "gradients" else with_numbers(each) for name, each in raw.items()}
    return [with_numbers(each) for each in raw] if isinstance(raw, list) else raw


def numbers(nested: Any) -> Any:
    """Nested lists of numbers."""
    if isinstance(nested, dict):
        return {name: numbers(each) for name, each in nested.items()}
    if isinstance(nested, list):
        return [numbers(each) for each in nested]
    return float(nested.replace("Infinity", "inf")) if nested in NON_FINITE else nested
