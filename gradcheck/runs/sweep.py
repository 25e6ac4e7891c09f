"""A run of many cases, from a plan to a summary."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from gradcheck._version import __version__
from gradcheck.errors import Interrupted
from gradcheck.outcomes import CaseOutcome, Row, Summary, in_cases, unpack
from gradcheck.problems import find
from gradcheck.results import Report
from gradcheck.runs.cluster import Cluster
from gradcheck.runs.jobs import Processes
from gradcheck.runs.many import Batches, Executor, OneProcess, row_of
from gradcheck.runs.plan import AXES, Plan, listed
from gradcheck.runs.runner import Listener, Runner
from gradcheck.runs.store import CONTENT, Store
from gradcheck.runs.tally import Tally
from gradcheck.settings import OPTIONS, Settings
from gradcheck.text.escaping import quoted

WAIT = 0.2
"""Seconds between two looks at what another process stores."""
DECISIVE = ("order", "device", "tf32", "gate", "watch")
"""Options that an outcome depends on, beside those of its case."""


class ManyListener(Listener, Protocol):
    """Receives events of a run of many cases too."""

    def progress(self, done: int, total: int) -> None:
        """Some of all cases have an outcome."""

    def notice(self, text: str) -> None:
        """A sentence about the run for its user."""


@contextlib.contextmanager
def executor_of(plan: Plan, runner: Runner, listener: Listener) -> Iterator[Executor]:
    """What evaluates the cases of a plan: a Dask cluster, several processes, or this one with its runner.

    Raises:
        RequestError: there is no such cluster, or a problem or a backend is wrong.
    """
    settings = plan.settings
    if settings.dask:
        workers = settings.jobs if "jobs" in settings.given | settings.stated else None
        with contextlib.closing(Cluster(settings.dask, runner.problem, workers)) as cluster:
            yield cluster
    elif settings.jobs > 1:
        with contextlib.closing(Processes(settings.jobs, plan, listener)) as processes:
            yield processes
    else:
        yield OneProcess(runner)


def sweep(plan: Plan, executor: Executor, listener: ManyListener) -> Summary:
    """The summary of all cases of a plan, of which a store may have some.

    Raises:
        RequestError: the request is wrong, or the store is of no use.
    """
    began = time.perf_counter()
    tally, total = Tally(), plan.size
    with opened(plan) as store:
        batches = Batches(plan, plan.settings.partition, store, lambda outcome: tally.add(outcome, stored=True))
        listener.progress(0, total)
        try:
            for outcomes in evaluated(executor, batches):
                if store:
                    store.add(outcomes)
                for outcome in outcomes:
                    tally.add(outcome)
                listener.progress(tally.cases, total)
        except Interrupted:
            if store:
                listener.notice(f"{in_cases(store.count())} in {store.path}: the same command continues there")
            raise
        notes = notes_of(store, tally)
        seconds = time.perf_counter() - began
        summary = tally.summary(plan.values, seconds, lambda outcome: report_of(outcome, store), notes)
    return summary.allowing(plan.settings.allow)


def evaluated(executor: Executor, batches: Batches) -> Iterator[Sequence[CaseOutcome]]:
    """The outcomes of each batch, and at the end of those cases that another process has claimed and not stored."""
    while True:
        yield from executor.outcomes(batches)
        if not batches.postponed:
            return
        time.sleep(WAIT)
        batches.again()


@contextlib.contextmanager
def opened(plan: Plan) -> Iterator[Store | None]:
    """The store of a plan, if it has one.

    Raises:
        RequestError: it is of no use.
    """
    if not plan.settings.store:
        yield None
        return
    with contextlib.closing(Store(Path(plan.settings.store), command(plan.settings), decisive(plan))) as store:
        yield store


def command(settings: Settings) -> str:
    """The command of a run of many cases, in words."""
    words = ["gradcheck", "run", *settings.values.get("problem", (settings.problem,))]
    for name, option in OPTIONS.items():
        values = settings.values.get(name)
        if values is not None and name in AXES:
            words += [option.flag, listed(values)]
        elif name in settings.given | settings.stated and name != "problem":
            words += option.words(getattr(settings, name))
    return quoted(words)


def decisive(plan: Plan) -> dict[str, str]:
    """What outcomes depend on beside the values of their cases, by name."""
    found = {"gradcheck": __version__} | {name: str(getattr(plan.settings, name)) for name in DECISIVE}
    for group in plan.groups:
        name = group.settings.problem
        found[f"the list of backends of {name}"] = ", ".join(group.backends)
        found[f"{CONTENT}{name}"] = hashlib.sha256(find(name).read_bytes()).hexdigest()[:16]
    return found


def notes_of(store: Store | None, tally: Tally) -> tuple[str, ...]:
    """What the user should know about a store."""
    others = store.count() - tally.cases if store else 0
    return (f"the store has {in_cases(others)} more, of other commands",) if others > 0 else ()


def report_of(outcome: CaseOutcome, store: Store | None = None) -> Report | None:
    """The report of an outcome that has one."""
    if outcome.report:
        return unpack(outcome.report)
    return store.report(outcome.key) if store else None


def rows_of(found: Report | Summary) -> tuple[Row, ...]:
    """A row for each problem, dtype and backend."""
    return found.rows if isinstance(found, Summary) else tuple(row_of(found, backend) for backend in found.backends)
