"""The summary of many cases, counted as their outcomes come: its memory does not grow with their number."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from gradcheck.judging.coverage import Coverage
from gradcheck.outcomes import BackendOutcome, CaseOutcome, Reason, Row, Summary, Worst, most_severe
from gradcheck.results import Report, RunVerdict, Verdict

MOST_REASONS = 20
"""The largest number of different reasons in each row."""
OTHER_REASONS = "other reasons"
NUMBERS = ((re.compile(r" in [\d,]+ of [\d,]+ entries"), ""), (re.compile(r"up to \S+ standard"), "many standard"))
"""What of a reason belongs to its case alone, and what stands in its place: how many entries are wrong, by how much."""


@dataclass
class Count:
    """The outcomes of one backend on one problem in one dtype so far."""

    verdicts: dict[Verdict, int] = field(default_factory=dict)
    bound_ratio: float | None = None
    reasons: dict[Verdict, str | None] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, outcome: BackendOutcome) -> None:
        """Count one outcome."""
        self.verdicts[outcome.verdict] = self.verdicts.get(outcome.verdict, 0) + 1
        self.reasons.setdefault(outcome.verdict, without_numbers(outcome.reason) if outcome.reason else None)
        self.seconds += outcome.seconds or 0.0
        if outcome.bound_ratio is not None:
            self.bound_ratio = max(outcome.bound_ratio, self.bound_ratio or 0.0)


class Tally:
    """Counts outcomes, in any order.

    Attributes:
        cases: how many were counted.
        stored: how many of them came from a store.
        worst: the most severe of them.
    """

    def __init__(self) -> None:
        self.cases = self.stored = 0
        self.worst: CaseOutcome | None = None
        self._counts: dict[tuple[str, str, str], Count] = {}
        self._reasons: dict[tuple[tuple[str, str, str], Verdict, str], Reason] = {}
        self._coverage: dict[str, Coverage] = {}

    def add(self, outcome: CaseOutcome, stored: bool = False) -> None:
        """Count one case."""
        self.cases += 1
        self.stored += stored
        self._coverage.setdefault(outcome.problem, Coverage()).add(outcome.conditions)
        for each in outcome.backends:
            self._counts.setdefault((outcome.problem, outcome.dtype, each.spec), Count()).add(each)
            if each.reason:
                self._add_reason(outcome, each, without_numbers(each.reason))
        if self.worst is None or self._rank(outcome) > self._rank(self.worst):
            self.worst = outcome

    def _rank(self, outcome: CaseOutcome) -> tuple[tuple[int, float], str]:
        return outcome.severity, outcome.key  # the key, so that the order of outcomes has no effect

    def _add_reason(self, case: CaseOutcome, outcome: BackendOutcome, reason: str) -> None:
        row = case.problem, case.dtype, outcome.spec
        key = row, outcome.verdict, reason
        if key not in self._reasons and sum(each == row for each, _, _ in self._reasons) >= MOST_REASONS:
            key = row, outcome.verdict, OTHER_REASONS
        known = self._reasons.get(key) or Reason(
            problem=case.problem,
            dtype=case.dtype,
            backend=outcome.spec,
            verdict=outcome.verdict,
            reason=key[2],
            cases=0,
            replay=case.replay,
        )
        self._reasons[key] = msgspec.structs.replace(known, cases=known.cases + 1)

    @property
    def rows(self) -> tuple[Row, ...]:
        """A row for each problem, dtype and backend, in the order in which they came first."""
        return tuple(self._row(*place, count) for place, count in self._counts.items())

    def _row(self, problem: str, dtype: str, backend: str, count: Count) -> Row:
        return Row(
            problem=problem,
            dtype=dtype,
            backend=backend,
            cases=sum(count.verdicts.values()),
            verdicts=count.verdicts,
            bound_ratio=count.bound_ratio,
            reason=count.reasons[most_severe(list(count.verdicts))],
            seconds=count.seconds,
        )

    def summary(
        self,
        values: Mapping[str, str],
        seconds: float,
        report_of: Callable[[CaseOutcome], Report | None],
        notes: tuple[str, ...] = (),
    ) -> Summary:
        """The summary.

        Args:
            values: of the options, in words.
            seconds: the wall-clock time of the run.
            report_of: the report of an outcome, if there is one.
            notes: sentences about the run.
        """
        rows = self.rows
        verdict = verdict_of(rows)
        return Summary(
            verdict=verdict,
            exit_code=verdict.exit_code,
            cases=self.cases,
            stored=self.stored,
            values=dict(values),
            rows=rows,
            reasons=tuple(self._reasons.values()),
            worst=worst(self.worst, report_of(self.worst)) if self.worst else None,
            untried={problem: tuple(found.untried) for problem, found in self._coverage.items() if found.untried},
            seconds=seconds,
            notes=notes,
        )


def worst(outcome: CaseOutcome, report: Report | None) -> Worst:
    """The record of the worst case: the backend in it with the most severe verdict and the largest error."""
    verdict = most_severe([each.verdict for each in outcome.backends])
    those = [each for each in outcome.backends if each.verdict is verdict]
    backend = max(those, key=lambda each: -1.0 if each.bound_ratio is None else each.bound_ratio)
    return Worst(
        replay=outcome.replay,
        backend=backend.spec,
        verdict=verdict,
        bound_ratio=backend.bound_ratio,
        report=report,
    )


def verdict_of(rows: tuple[Row, ...]) -> RunVerdict:
    """The verdict on many cases: unsupported ones are no fault, unless none has an answer. No case agrees with all."""
    verdicts = [verdict for row in rows for verdict in row.verdicts]
    supported: list[Verdict] = [verdict for verdict in verdicts if verdict is not Verdict.UNSUPPORTED]
    return RunVerdict.of(supported or verdicts) if verdicts else RunVerdict.AGREE


def without_numbers(reason: str) -> str:
    """A reason that many cases share."""
    for pattern, instead in NUMBERS:
        reason = pattern.sub(instead, reason)
    return reason
