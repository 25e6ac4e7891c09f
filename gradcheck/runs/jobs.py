"""Several processes on this machine that evaluate batches side by side, each with workers of its own."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from gradcheck.errors import RequestError
from gradcheck.execution.selection import choose, place
from gradcheck.execution.worker import Failure, Worker, end, exchange
from gradcheck.outcomes import CaseOutcome
from gradcheck.problems import Problem
from gradcheck.results import Verdict
from gradcheck.runs.job import Outcomes
from gradcheck.runs.many import Batch, Batches, Pace, without_answer
from gradcheck.runs.plan import Plan
from gradcheck.runs.runner import Listener, Runner
from gradcheck.system.folders import Folders, sweep
from gradcheck.system.interruptions import deferred

COMMAND = (sys.executable, "-m", "gradcheck.runs.job")
MOST_LOSSES = 3
"""How often a process may end with the same case alone before that case has crashed it."""
LONGEST_WAIT = 3600.0
"""Seconds until the next look; a job has time limits of its own."""


@dataclass
class Job:
    """One process, and the batch that it evaluates."""

    worker: Worker
    pace: Pace
    batch: Batch = ()
    began: float = 0.0


class Processes:
    """Evaluates batches in several processes.

    Args:
        jobs: how many.
        plan: of the run; the environments of its backends are built before the processes start.
        listener: receives events.
    """

    def __init__(self, jobs: int, plan: Plan, listener: Listener) -> None:
        self._listener = listener
        self._folders = Folders()
        self._jobs: list[Job] = []
        self._lost: deque[Batch] = deque()
        self._losses: Counter[str] = Counter()
        self._problems = build(plan, listener)
        sweep()
        self._folder = self._folders.make()
        try:
            for _ in range(jobs):
                self._jobs.append(Job(self._started(), Pace()))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes."""
        with deferred():
            end([job.worker for job in self._jobs])
            self._jobs.clear()
            self._folders.close()

    def outcomes(self, batches: Batches) -> Iterator[Sequence[CaseOutcome]]:
        """The outcomes of each batch, as they come.

        Raises:
            RequestError: the request is wrong.
        """
        while True:
            for job in self._jobs:
                if not job.batch:
                    self._give(job, batches)
            busy = [job for job in self._jobs if job.batch]
            if not busy:
                return
            if not any(job.worker.has_news for job in busy):
                exchange([job.worker for job in busy], time.monotonic() + LONGEST_WAIT)
            for job in busy:
                if job.worker.has_news and (found := self._reply(job)):
                    yield found

    def _give(self, job: Job, batches: Batches) -> None:
        """Send the next batch to a process: first one that another process has lost."""
        job.batch = self._lost.popleft() if self._lost else batches.take(job.pace.size)
        job.began = time.monotonic()
        if job.batch:
            job.worker.send("evaluate", cases=list(job.batch))

    def _reply(self, job: Job) -> Sequence[CaseOutcome]:
        """The outcomes of a batch; none where a reply to `start` has come, or the process has ended."""
        reply = job.worker.reply()
        if isinstance(reply, Failure):
            return self._replaced(job, reply)
        found = msgspec.json.decode(reply, type=Outcomes)
        if found.refused is not None:
            raise RequestError(found.refused)
        if not found.outcomes:
            return ()
        for spec, text in found.details:
            self._listener.details(spec, text)
        job.pace.took(len(job.batch), time.monotonic() - job.began)
        job.batch = ()
        return found.decoded()

    def _replaced(self, job: Job, failure: Failure) -> Sequence[CaseOutcome]:
        """Start another process instead of one that has ended; its cases are evaluated one by one."""
        lost, job.batch = job.batch, ()
        job.worker.end()
        with deferred():
            job.worker = self._started()
        job.pace = Pace()
        if len(lost) == 1:
            self._losses[lost[0].key] += 1
            if self._losses[lost[0].key] == MOST_LOSSES:
                reason = f"the process of this case ended: {failure.reason}"
                return [without_answer(lost[0], self._problems[lost[0].settings.problem], Verdict.CRASHED, reason)]
        self._lost.extend([case] for case in lost)
        return ()

    def _started(self) -> Worker:
        folder = self._folder / str(time.monotonic_ns())
        folder.mkdir()
        return started(folder)


def started(folder: Path) -> Worker:
    """A new process, which finds the modules that this one finds.

    Args:
        folder: a private one, for its temporary files.
    """
    worker = Worker(COMMAND, folder)
    environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    worker.send("start", environment=environment, path=sys.path)
    return worker


def build(plan: Plan, listener: Listener) -> dict[str, Problem]:
    """Build the environments of a plan's backends, so that the processes need not wait for each other.

    Returns:
        The problems by name.

    Raises:
        RequestError: a problem or a backend is wrong.
    """
    found = {}
    with Runner(listener) as runner:
        for group in plan.groups:
            settings = group.settings
            problem = found[settings.problem] = runner.problem(settings)
            backends = choose(settings.backend, problem, settings.device, settings.tf32, settings.order)
            for dtype in group.axes["dtype"]:
                place(backends, replace(settings, dtype=dtype), listener, {})
    return found
