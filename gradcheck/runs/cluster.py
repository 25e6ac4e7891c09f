"""A Dask cluster that evaluates batches: each is a task, for a process beside the Dask worker.

That process and its backends stay warm. Dask gives the batches of a worker that is lost to others. The cases of a batch
that lost several workers, or ended that process, wait until the end, and are evaluated one by one, with no other
beside: one that ends its process again has crashed it.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gradcheck._version import __version__
from gradcheck.errors import RequestError
from gradcheck.execution.worker import Failure, Worker, exchange
from gradcheck.outcomes import CaseOutcome
from gradcheck.problems import Problem
from gradcheck.results import Verdict
from gradcheck.runs.job import Outcomes
from gradcheck.runs.jobs import LONGEST_WAIT, started
from gradcheck.runs.many import Batch, Batches, Pace, without_answer
from gradcheck.runs.plan import PlannedCase
from gradcheck.settings import Settings
from gradcheck.system.folders import Folders
from gradcheck.system.interruptions import deferred

LOCAL = "local"
AHEAD = 2
"""Batches for each thread of the cluster that are evaluated or wait there."""
CONNECTING = 10.0
"""Seconds in which a scheduler answers."""
CLOSING = 5.0
"""Seconds in which each part of a cluster ends."""
LOGGERS = ("distributed", "asyncio", "tornado")
"""They report lost workers, which is no news for a run: their batches go elsewhere."""


class Cluster:
    """Evaluates batches on a Dask cluster.

    Args:
        address: of its scheduler, or "local" to start a cluster on this machine.
        problem: settings -> their problem, loaded in this process.
        workers: of a local cluster; None for one for each core.

    Raises:
        RequestError: distributed is not installed, or no scheduler answers at the address.
    """

    def __init__(self, address: str, problem: Callable[[Settings], Problem], workers: int | None = None) -> None:
        self._name, self._problem = f"--dask {address}", problem
        try:
            self._dask = _distributed()
        except ImportError:
            expected = "expected pip install 'gradcheck[dask]'"
            raise RequestError(f"{self._name}: distributed is not installed: {expected}") from None
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._futures: dict[Any, Batch] = {}
        self._suspects: deque[PlannedCase] = deque()
        self._folders = Folders()
        self._client: Any = None
        self._local: Any = None
        try:
            if address == LOCAL:
                with deferred():
                    self._local = _local_cluster(workers, self._folders.make())
            self._client = self._connected(self._local or address)
        except BaseException:
            self.close()
            raise

    def _connected(self, cluster: Any) -> Any:
        try:
            return self._dask.Client(cluster, timeout=CONNECTING, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            expected = 'expected "local", or the address of a scheduler, such as tcp://node:8786'
            raise RequestError(f"{self._name}: {reason}: {expected}") from None

    def close(self) -> None:
        """Cancel what is not evaluated; a local cluster ends."""
        with deferred():
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self._client.cancel(list(self._futures), force=True)
            self._futures.clear()
            for each in filter(None, (self._client, self._local)):
                with contextlib.suppress(Exception):
                    each.close(timeout=CLOSING)
            self._folders.close()

    def outcomes(self, batches: Batches) -> Iterator[Sequence[CaseOutcome]]:
        """The outcomes of each batch, as they come.

        Raises:
            RequestError: the request is wrong on a worker of the cluster, which may lack the problem's file.
        """
        pace, done = Pace(), self._dask.as_completed(loop=self._client.loop)
        while self._fill(batches, pace, done) or self._suspects:
            if not self._futures:
                self._send([self._suspects.popleft()], done)
            is_alone = len(self._futures) == 1
            future = next(done)
            if found := self._result(future, self._futures.pop(future), pace, is_alone):
                yield found

    def _fill(self, batches: Batches, pace: Pace, done: Any) -> bool:
        """Send batches, so that no thread of the cluster waits; whether any is there."""
        while len(self._futures) < AHEAD * max(sum(self._client.nthreads().values()), 1):
            batch = batches.take(pace.size)
            if not batch:
                break
            self._send(batch, done)
        return bool(self._futures)

    def _send(self, batch: Batch, done: Any) -> None:
        future = self._client.submit(evaluated_there, list(batch), str(Path.cwd()), __version__, pure=False)
        self._futures[future] = batch
        done.add(future)

    def _result(self, future: Any, batch: Batch, pace: Pace, is_alone: bool) -> Sequence[CaseOutcome]:
        """The outcomes of a batch; none if it lost its workers, and others were there that may have ended them."""
        try:
            there = future.result()
        except self._dask.KilledWorker:
            there = There(b"", 0.0, "each worker of the cluster that evaluated it ended")
        except ImportError as error:
            raise RequestError(f"{self._name}: {error} on a worker: expected gradcheck {__version__} there") from None
        except CancelledError:
            raise RequestError(f"{self._name}: the scheduler has ended: expected one as long as the run") from None
        if there.lost is not None:
            if len(batch) > 1 or not is_alone:
                self._suspects.extend(batch)
                return ()
            reason = f"the process of this case ended: {there.lost}"
            return [without_answer(case, self._problem(case.settings), Verdict.CRASHED, reason) for case in batch]
        pace.took(len(batch), there.seconds)
        return msgspec.msgpack.decode(there.outcomes, type=list[CaseOutcome])


def _distributed() -> Any:
    """The package, which is imported for a cluster alone."""
    return importlib.import_module("distributed")


def _local_cluster(workers: int | None, folder: Path) -> Any:
    """A cluster on this machine. Its processes do not get Ctrl-C of the terminal: this process ends them."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # they inherit it
    try:
        with importlib.import_module("dask").config.set({"temporary-directory": str(folder)}):
            return _distributed().LocalCluster(
                n_workers=workers or os.cpu_count() or 1,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                # Its server, which has pages without a dashboard too, takes any free port: its own may be in use.
                scheduler_kwargs={"allowed_failures": 1, "dashboard_address": ":0"},
                silence_logs=logging.CRITICAL,
            )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_JOBS: dict[tuple[int, str], tuple[Worker, Folders]] = {}
"""The process that evaluates batches for a process of a cluster, by the identifier of the latter and by its own folder.

It lives as long as the other one. Dask runs tasks in threads, and a time limit holds in a main thread alone.
"""
_ONE_BATCH = threading.Lock()
"""A process evaluates one batch after the other, and its folder is the current one when it starts."""


class There(NamedTuple):
    """What a process of the cluster did with a batch.

    Attributes:
        outcomes: in MessagePack.
        seconds: that it took.
        lost: why the process that evaluated it has ended; then there are no outcomes.
    """

    outcomes: bytes
    seconds: float
    lost: str | None = None


def evaluated_there(batch: Batch, folder: str, release: str) -> There:
    """The outcomes of a batch; runs in a process of the cluster.

    Args:
        batch: the cases.
        folder: where relative paths start, if the machine has it.
        release: of gradcheck in the process that counts the outcomes.

    Raises:
        RequestError: the request is wrong, or this is another release.
    """
    if release != __version__:
        raise RequestError(f"gradcheck {__version__} on a worker of the cluster: expected {release} there too")
    with _ONE_BATCH:
        began = time.perf_counter()
        reply = _ask(batch, os.getpid(), folder if Path(folder).is_dir() else ".")
        seconds = time.perf_counter() - began
    if isinstance(reply, Failure):
        return There(b"", seconds, reply.reason)
    found = msgspec.json.decode(reply, type=Outcomes)
    if found.refused is not None:
        raise RequestError(found.refused)
    return There(found.outcomes, seconds)


def _ask(batch: Batch, owner: int, folder: str) -> msgspec.Raw | Failure:
    """The reply of our process in a folder, which starts if there is none yet, and has ended after a failure."""
    key = owner, folder
    if key not in _JOBS:
        folders = Folders()
        private = folders.make(Path(_distributed().get_worker().local_directory))  # Dask removes it with the worker's
        with contextlib.chdir(folder):
            _JOBS[key] = started(private), folders
        _reply(_JOBS[key][0])
    worker, folders = _JOBS[key]
    worker.send("evaluate", cases=list(batch))
    reply = _reply(worker)
    if isinstance(reply, Failure):
        worker.end()
        folders.close()
        del _JOBS[key]
    return reply


def _reply(worker: Worker) -> msgspec.Raw | Failure:
    while not worker.has_news:
        exchange([worker], time.monotonic() + LONGEST_WAIT)
    return worker.reply()
