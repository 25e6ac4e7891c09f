"""A Dask cluster that evaluates batches: each is a task, and the backends of a Dask worker stay warm.

Dask gives the batches of a worker that is lost to others. The cases of a batch that lost several workers wait until the
end, and are evaluated one by one, with no other beside: one that loses its worker again has crashed it.
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
from typing import Any

import msgspec

from gradcheck._version import __version__
from gradcheck.errors import RequestError
from gradcheck.outcomes import CaseOutcome
from gradcheck.problems import Problem
from gradcheck.results import Verdict
from gradcheck.runs.many import Batch, Batches, Pace, evaluated, without_answer
from gradcheck.runs.plan import PlannedCase
from gradcheck.runs.runner import Runner
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
            outcomes, seconds = future.result()
        except self._dask.KilledWorker:
            if len(batch) > 1 or not is_alone:
                self._suspects.extend(batch)
                return ()
            reason = "each worker of the cluster that evaluated this case ended"
            return [without_answer(case, self._problem(case.settings), Verdict.CRASHED, reason) for case in batch]
        except ImportError as error:
            raise RequestError(f"{self._name}: {error} on a worker: expected gradcheck {__version__} there") from None
        except CancelledError:
            raise RequestError(f"{self._name}: the scheduler has ended: expected one as long as the run") from None
        pace.took(len(batch), seconds)
        return msgspec.msgpack.decode(outcomes, type=list[CaseOutcome])


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
                scheduler_kwargs={"allowed_failures": 1},
                silence_logs=logging.CRITICAL,
            )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _Quiet:
    """Receives no events: a worker of a cluster has no terminal."""

    def building(self, spec: str, text: str) -> None:
        """An environment is under construction."""

    def built(self, spec: str, complete: bool) -> None:
        """An environment is complete, or cannot be built."""

    def evaluating(self, specs: list[str]) -> None:
        """Workers have started."""

    def details(self, spec: str, text: str) -> None:
        """A backend failed."""


_RUNNERS: dict[int, Runner] = {}
"""The runner of a process of a cluster, by its process identifier: it lives as long as the process."""
_ONE_BATCH = threading.Lock()
"""The folder is that of the process: its threads evaluate one batch after the other."""


def evaluated_there(batch: Batch, folder: str, release: str) -> tuple[bytes, float]:
    """The outcomes of a batch in MessagePack, and the seconds that it took; runs in a process of the cluster.

    Args:
        batch: the cases.
        folder: where relative paths start, if the machine has it.
        release: of gradcheck in the process that counts the outcomes.

    Raises:
        RequestError: the request is wrong, or this is another release.
    """
    if release != __version__:
        raise RequestError(f"gradcheck {__version__} on a worker of the cluster: expected {release} there too")
    with _ONE_BATCH, contextlib.chdir(folder if Path(folder).is_dir() else "."):
        began = time.perf_counter()
        runner = _RUNNERS.setdefault(os.getpid(), Runner(_Quiet()))
        outcomes = evaluated(batch, runner)
        return msgspec.msgpack.encode(outcomes), time.perf_counter() - began
