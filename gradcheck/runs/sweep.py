"""A run of one case or of many, from settings to a report or a summary."""

from __future__ import annotations

import time
from typing import Protocol

from gradcheck.outcomes import CaseOutcome, Row, Summary, unpack
from gradcheck.results import Report
from gradcheck.runs import plan as plans
from gradcheck.runs.many import Batches, Executor, OneProcess, row_of
from gradcheck.runs.plan import Plan
from gradcheck.runs.runner import Listener, Runner
from gradcheck.runs.tally import Tally
from gradcheck.settings import Settings


class ManyListener(Listener, Protocol):
    """Receives events of a run of many cases too."""

    def progress(self, done: int, total: int) -> None:
        """Some of all cases have an outcome."""


def run(settings: Settings, listener: ManyListener) -> Report | Summary:
    """Evaluate one case, or many, in every requested backend, and judge the answers.

    Args:
        settings: the settings of the run.
        listener: receives events during the run.

    Raises:
        RequestError: the request is wrong; nothing was run.
    """
    with Runner(listener) as runner:
        if not plans.is_of_many(settings):
            return runner.run(settings)
        plan = plans.plan(settings)
        if len(plan) == 1:
            return runner.run(next(iter(plan)).settings)
        return sweep(plan, OneProcess(runner), listener)


def sweep(plan: Plan, executor: Executor, listener: ManyListener) -> Summary:
    """The summary of all cases of a plan.

    Raises:
        RequestError: the request is wrong.
    """
    began = time.perf_counter()
    tally, total = Tally(), len(plan)
    listener.progress(0, total)
    for outcomes in executor.outcomes(Batches(plan)):
        for outcome in outcomes:
            tally.add(outcome)
        listener.progress(tally.cases, total)
    return tally.summary(plan.values, time.perf_counter() - began, report_of)


def report_of(outcome: CaseOutcome) -> Report | None:
    """The report of an outcome that has one."""
    return unpack(outcome.report) if outcome.report else None


def rows_of(found: Report | Summary) -> tuple[Row, ...]:
    """A row for each problem, dtype and backend."""
    return found.rows if isinstance(found, Summary) else tuple(row_of(found, backend) for backend in found.backends)
