"""Outcomes of many cases: one of each case, and the summary of all."""

from __future__ import annotations

import re
import zlib

import msgspec

from gradcheck.findings import Condition, Number, Record, Source
from gradcheck.results import SENTENCES, Backend, Report, RunVerdict, Verdict
from gradcheck.shown import Shown
from gradcheck.text.escaping import all_escaped

SCHEMA = "gradcheck-summary/1"
SEVERITY = (
    Verdict.UNSUPPORTED,
    Verdict.AGREES,
    Verdict.UNDECIDED,
    Verdict.UNAVAILABLE,
    Verdict.TIMED_OUT,
    Verdict.CRASHED,
    Verdict.DIFFERS,
)
"""The verdicts from the least severe to the most; among many cases, one that a backend does not support is no fault."""


def most_severe(verdicts: list[Verdict]) -> Verdict:
    """The most severe of some verdicts, at least one."""
    return max(verdicts, key=SEVERITY.index)


class BackendOutcome(Record, frozen=True, kw_only=True):
    """The outcome of one backend in one case: `bound_ratio` is its largest error in units of the bound.

    A ratio that is not a number counts as infinite. `seconds` are those of its computation, if it measures them.
    """

    spec: str
    version: str | None
    verdict: Verdict
    bound_ratio: Number | None
    reason: str | None = None
    seconds: float | None = None


class CaseOutcome(Record, frozen=True, kw_only=True):
    """The outcome of one case.

    `key` identifies the case in any run, and `replay` is the shell command that runs it alone. `report` is the whole
    report, packed, if a backend needs attention: it neither agrees nor lacks what the case needs. `seconds` is the
    wall-clock time of the case, and `conditions` select the branches of its loss.
    """

    key: str
    problem: str
    k: int | None
    seed: int | None
    dtype: str
    distribution: str
    scale: float
    verdict: RunVerdict
    backends: tuple[BackendOutcome, ...]
    replay: str
    seconds: float
    conditions: tuple[Condition, ...] = ()
    report: bytes | None = None

    @property
    def severity(self) -> tuple[int, float]:
        """The rank of its most severe verdict, and the largest error of a backend with that verdict in bounds."""
        worst = most_severe([each.verdict for each in self.backends])
        ratios = [each.bound_ratio for each in self.backends if each.verdict is worst]
        lacking = float("inf") if worst is Verdict.DIFFERS else -1.0
        return SEVERITY.index(worst), max(lacking if ratio is None else ratio for ratio in ratios)


def pack(report: Report) -> bytes:
    """A report in few bytes."""
    return zlib.compress(msgspec.msgpack.encode(report))


def unpack(packed: bytes) -> Report:
    """The report of some bytes.

    Raises:
        Exception: they hold none.
    """
    return msgspec.msgpack.decode(zlib.decompress(packed), type=Report)


class Row(Record, frozen=True, kw_only=True):
    """The outcomes of one backend on one problem in one dtype.

    `verdicts` counts cases, `bound_ratio` is the largest error in units of the bound, and `seconds` are those of the
    backend's own computations. `reason` is that of the first case with the most severe verdict.
    """

    problem: str
    dtype: str
    backend: str
    cases: int
    verdicts: dict[Verdict, int]
    bound_ratio: Number | None
    reason: str | None
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """The most severe verdict."""
        return most_severe(list(self.verdicts))


NUMBERS = ((re.compile(r" in [\d,]+ of [\d,]+ entries"), ""), (re.compile(r"up to \S+ standard"), "many standard"))
"""What of a reason belongs to its case alone, and what stands in its place: how many entries are wrong, by how much."""


def without_numbers(reason: str) -> str:
    """A reason that many cases share."""
    for pattern, instead in NUMBERS:
        reason = pattern.sub(instead, reason)
    return reason


class Reason(Record, frozen=True, kw_only=True):
    """Why a backend does not agree: in how many cases of a problem in a dtype, and the command of the first of them.

    `source` is the line of the first wrong step in that first case, if it is known.
    """

    problem: str
    dtype: str
    backend: str
    verdict: Verdict
    reason: str
    cases: int
    replay: str
    source: Source | None = None

    def is_of(self, backend: Backend) -> bool:
        """Whether a backend of a report does not agree for this reason."""
        reason = without_numbers(backend.reason or "")
        return (self.backend, self.verdict, self.reason) == (backend.spec, backend.verdict, reason)


class Worst(Record, frozen=True, kw_only=True):
    """The case with the most severe verdict and the largest error; its report, if it needs attention."""

    replay: str
    backend: str
    verdict: Verdict
    bound_ratio: Number | None
    report: Report | None


class Summary(Shown, Record, frozen=True, kw_only=True):
    """The summary of many cases.

    `values` are those of the problem and of each option that may have several, in words. `stored` counts the cases
    whose outcome a store had before. `untried` are the branches of each problem's loss that no entry of any case took.
    """

    schema: str = SCHEMA
    verdict: RunVerdict
    exit_code: int
    cases: int
    stored: int
    values: dict[str, str]
    rows: tuple[Row, ...]
    reasons: tuple[Reason, ...]
    worst: Worst | None
    untried: dict[str, tuple[str, ...]]
    seconds: float
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """The verdict and the number of cases in one line."""
        return f"<Summary {in_cases(self.cases)}: {self.verdict}>"

    def printable(self) -> Summary:
        """The same with escaped texts and names: many come from elsewhere, and must not control a terminal."""
        return msgspec.convert(all_escaped(msgspec.to_builtins(self)), Summary)

    def allowing(self, verdict: str) -> Summary:
        """The same with exit code 0 if this is its verdict."""
        return msgspec.structs.replace(self, exit_code=0) if self.verdict == verdict else self

    def finding(self) -> str:
        """The findings in words: why backends do not agree, and the worst case in full."""
        shown = self.printable()
        lines = [f"{each.backend}: {each.verdict}: {each.reason} ({in_cases(each.cases)})" for each in shown.merged()]
        if shown.worst and shown.worst.report:
            lines += ["worst case:", shown.worst.report.finding()]
        return "\n".join([*lines, f"{self.verdict}: {SENTENCES[self.verdict]}", *shown.branches()])

    def merged(self, by_line: bool = False) -> tuple[Reason, ...]:
        """The reasons, each once for all problems and dtypes of a backend, with the first one's command.

        Args:
            by_line: whether those of different lines of source stay apart.
        """
        found: dict[tuple[str, str, str, str | None], Reason] = {}
        for each in self.reasons:
            line = each.source.place if each.source and by_line else None
            key = each.backend, each.verdict, each.reason, line
            cases = found[key].cases + each.cases if key in found else each.cases
            found[key] = msgspec.structs.replace(found.get(key, each), cases=cases)
        return tuple(found.values())

    def branches(self) -> list[str]:
        """The branches that no case took, line by line."""
        return [f"  not tried: {branch}" for branches in self.untried.values() for branch in branches]

    def assert_agrees(self) -> None:
        """Do nothing if every backend agrees in every case, or if the run allows its verdict.

        Raises:
            AssertionError: a backend does not agree in a case; the message is the finding.
        """
        __tracebackhide__ = True  # pytest and IPython show the caller
        if self.exit_code:
            raise AssertionError(self.finding())


def in_cases(count: int) -> str:
    """A number of cases in words."""
    return f"{count:,} case{'s' if count != 1 else ''}"
