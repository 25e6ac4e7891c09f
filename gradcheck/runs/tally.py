"""The summary of many cases, counted as their outcomes come: its memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gradcheck.judging.coverage import Coverage
from gradcheck.outcomes import (
    BackendOutcome,
    CaseOutcome,
    Reason,
    Row,
    Summary,
    Worst,
    most_severe,
    without_numbers,
)
from gradcheck.results import Report, RunVerdict, Verdict

MOST_REASONS = 20
"""The largest number of different reasons in each row."""
OTHER_REASONS = "other reasons"

Place = tuple[str, str, str]
"""A problem, a dtype and a backend."""


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


@dataclass
class Those:
    """The cases with one reason so far: the first of them, and their number."""

    first: CaseOutcome
    cases: int = 0


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
        self._counts: dict[Place, Count] = {}
        self._reasons: dict[tuple[Place, Verdict, str], Those] = {}
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
        self._reasons.setdefault(key, Those(case)).cases += 1

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
            reasons=tuple(reason_of(*key, those, report_of(those.first)) for key, those in self._reasons.items()),
            worst=worst(self.worst, report_of(self.worst)) if self.worst else None,
            untried={problem: tuple(found.untried) for problem, found in self._coverage.items() if found.untried},
            seconds=seconds,
            notes=notes,
        )


def reason_of(place: Place, verdict: Verdict, reason: str, those: Those, report: Report | None) -> Reason:
    """The record of a reason, with the line of source in the report of its first case."""
    problem, dtype, backend = place
    return Reason(
        problem=problem,
        dtype=dtype,
        backend=backend,
        verdict=verdict,
        reason=reason,
        cases=those.cases,
        replay=those.first.replay,
        source=next((each.source for each in report if each.spec == backend), None) if report else None,
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
