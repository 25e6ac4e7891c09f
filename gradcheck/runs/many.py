"""Many cases: a plan's cases in batches, which an executor evaluates, and their outcomes as they come.

An executor is a class with `outcomes(batches)`. `OneProcess` evaluates the batches here, one after the other.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from gradcheck.errors import InputsError
from gradcheck.execution.selection import choose
from gradcheck.outcomes import BackendOutcome, CaseOutcome, Row, most_severe, pack
from gradcheck.problems import Problem
from gradcheck.results import Backend, Report, RunVerdict, Verdict
from gradcheck.runs.plan import Plan, PlannedCase
from gradcheck.runs.replaying import replay
from gradcheck.runs.runner import Runner
from gradcheck.runs.store import Store

Batch = Sequence[PlannedCase]
"""Cases of one problem, dtype and size."""
SECONDS = 0.5
"""The time that a batch should take: a store writes each batch at once, and no more than one is lost."""
LARGEST_BATCH = 256
LOOKED_UP = 500
"""Cases that are looked up in a store at once."""
QUIET = (Verdict.AGREES, Verdict.UNSUPPORTED)
"""Verdicts that need no whole report."""


class Batches:
    """The cases of a plan that have no outcome yet, in batches of a size that the executor asks for.

    Args:
        plan: the plan.
        partition: "M/N" for the M-th of N parts of the cases, by their keys.
        store: a store, whose cases are left out.
        on_stored: receives their outcomes.

    Attributes:
        postponed: cases that another process is evaluating.
    """

    def __init__(
        self,
        plan: Plan,
        partition: str | None = None,
        store: Store | None = None,
        on_stored: Callable[[CaseOutcome], None] = lambda outcome: None,
    ) -> None:
        self._partition = partition
        self._store = store
        self._on_stored = on_stored
        self._start(plan)

    def _start(self, cases: Iterable[PlannedCase]) -> None:
        self.postponed: list[PlannedCase] = []
        own = (case for case in cases if self._partition is None or is_in(self._partition, case.key))
        self._runs = itertools.groupby(own, key=lambda case: (case.group, case.values["dtype"], case.values["k"]))
        self._run: Iterator[PlannedCase] = iter(())

    def again(self) -> None:
        """Begin again, with the postponed cases alone."""
        self._start(self.postponed)

    def take(self, size: int) -> Batch:
        """The next cases, at most `size`; none at the end."""
        while True:
            if some := list(itertools.islice(self._run, size)):
                if batch := self._claimed(some):
                    return batch
                continue
            following = next(self._runs, None)
            if following is None:
                return ()
            self._run = self._new(following[1])

    def _new(self, cases: Iterator[PlannedCase]) -> Iterator[PlannedCase]:
        """Cases without those that are stored."""
        while self._store and (some := {case.key: case for case in itertools.islice(cases, LOOKED_UP)}):
            for outcome in self._store.stored([*some]):
                del some[outcome.key]
                self._on_stored(outcome)
            yield from some.values()
        yield from cases

    def _claimed(self, cases: list[PlannedCase]) -> Batch:
        """Those of some cases that no other process evaluates."""
        if self._store is None:
            return cases
        own = self._store.claim([case.key for case in cases])
        self.postponed += [case for case in cases if case.key not in own]
        return [case for case in cases if case.key in own]


def is_in(partition: str, key: str) -> bool:
    """Whether a case belongs to the M-th of N parts, of "M/N"."""
    part, parts = map(int, partition.split("/"))
    return int(key, 16) % parts == part - 1


class Pace:
    """The size of the next batch, from the time that those before took."""

    def __init__(self) -> None:
        self.size = 1

    def took(self, cases: int, seconds: float) -> None:
        """A batch took some time: the next one should take `SECONDS`, and has at most twice as many cases."""
        wanted = int(cases * SECONDS / max(seconds, 1e-6))
        self.size = min(max(wanted, 1), 2 * cases, LARGEST_BATCH)


class Executor(Protocol):
    """Evaluates batches somewhere."""

    def outcomes(self, batches: Batches) -> Iterator[Sequence[CaseOutcome]]:
        """The outcomes of each batch, in any order of batches.

        Raises:
            RequestError: the request is wrong.
        """


class OneProcess:
    """Evaluates batches in this process.

    Args:
        runner: whose workers stay warm from case to case.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def outcomes(self, batches: Batches) -> Iterator[Sequence[CaseOutcome]]:
        """The outcomes of each batch."""
        pace = Pace()
        while batch := batches.take(pace.size):
            began = time.perf_counter()
            yield evaluated(batch, self._runner)
            pace.took(len(batch), time.perf_counter() - began)


def evaluated(batch: Batch, runner: Runner) -> list[CaseOutcome]:
    """The outcomes of a batch.

    Raises:
        RequestError: the request is wrong.
    """
    found: list[CaseOutcome | InputsError] = []
    began = time.perf_counter()
    reports = runner.run_several([(case.settings, case.is_asked_twice) for case in batch])
    for case, report in zip(batch, reports, strict=True):
        found.append(report if isinstance(report, InputsError) else outcome_of(case.key, report))
    seconds = (time.perf_counter() - began) / len(batch)  # they are evaluated together, so that each has its share
    return [
        without_answer(case, runner.problem(case.settings), Verdict.UNSUPPORTED, str(each))
        if isinstance(each, InputsError)
        else msgspec.structs.replace(each, seconds=seconds)
        for case, each in zip(batch, found, strict=True)
    ]


def outcome_of(key: str, report: Report) -> CaseOutcome:
    """The outcome of a case that has a report; its seconds are those of its batch."""
    found = report.case
    backends = tuple(map(of_backend, report.backends))
    needs_attention = most_severe([each.verdict for each in backends]) not in QUIET
    return CaseOutcome(
        key=key,
        problem=found.problem,
        k=None if found.k is msgspec.UNSET else found.k,
        seed=found.seed,
        dtype=found.dtype,
        distribution=found.distribution,
        scale=found.scale,
        verdict=report.verdict,
        backends=backends,
        replay=found.replay,
        seconds=0.0,
        conditions=report.conditions,
        report=pack(report) if needs_attention else None,
    )


def of_backend(backend: Backend) -> BackendOutcome:
    """The outcome of one backend."""
    ratios = [error.max_bound_ratio for error in backend.measured().values()]
    times = [backend.seconds.first, backend.seconds.again] if backend.seconds else []
    known = [each for each in times if each is not None]
    return BackendOutcome(
        spec=backend.spec,
        version=backend.version,
        verdict=backend.verdict,
        bound_ratio=max((float("inf") if ratio != ratio else ratio for ratio in ratios), default=None),
        reason=backend.reason,
        seconds=sum(known) if known else None,
    )


def row_of(report: Report, backend: Backend) -> Row:
    """The row of one backend in a report of one case."""
    found = of_backend(backend)
    return Row(
        problem=report.case.problem,
        dtype=report.case.dtype,
        backend=found.spec,
        cases=1,
        verdicts={found.verdict: 1},
        bound_ratio=found.bound_ratio,
        reason=found.reason,
        seconds=found.seconds or 0.0,
    )


def without_answer(case: PlannedCase, problem: Problem, verdict: Verdict, reason: str) -> CaseOutcome:
    """The outcome of a case to which no backend has an answer, all for one reason."""
    settings, values = case.settings, case.values
    chosen = choose(settings.backend, problem, settings.device, settings.tf32, settings.order)
    return CaseOutcome(
        key=case.key,
        problem=settings.problem,
        k=values["k"],
        seed=settings.seed,
        dtype=settings.dtype,
        distribution=settings.distribution,
        scale=settings.scale,
        verdict=RunVerdict.UNANSWERED,
        backends=tuple(
            BackendOutcome(spec=each.key, version=None, verdict=verdict, bound_ratio=None, reason=reason)
            for each in chosen
        ),
        replay=replay(settings, problem, values["k"]),
        seconds=0.0,
    )
