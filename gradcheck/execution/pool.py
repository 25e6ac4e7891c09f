"""A pool of workers: start them, send them requests, and take their answers as they come."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from gradcheck.answers import BackendAnswer
from gradcheck.backends._worker import comparison, protocol
from gradcheck.execution import array_files
from gradcheck.execution.messages import AnswerMessage, Request, SeveralAnswers, StartMessage
from gradcheck.execution.pending import Pending, clear
from gradcheck.execution.worker import Failure, Worker, end, exchange, failed
from gradcheck.results import Verdict
from gradcheck.system.folders import MEMORY, Folders, sweep
from gradcheck.system.interruptions import deferred

if TYPE_CHECKING:
    pass

T = TypeVar("T")
BOOTSTRAP = Path(protocol.__file__).with_name("bootstrap.py")
Outcome = BackendAnswer | Failure | list[BackendAnswer | Failure]
"""What came of a request; of several in one message a list, but of none if their worker ended."""
LONGEST_GRACE = 1.0  # seconds, in which a worker can write the longest line


@dataclass(frozen=True)
class Launch:
    """How a worker is started.

    Attributes:
        command: the command to run.
        start: what is sent with `start`.
        repeats: whether it runs its backend twice by itself. Our own workers do, and a program's claim has no effect.
    """

    command: Sequence[str]
    start: Mapping[str, str | bool] = field(default_factory=dict)
    repeats: bool = False


def cannot_run(error: OSError) -> str:
    """Why a program cannot be run, and what to do."""
    hint = ": expected a program, or a script whose first line is #!/path/to/interpreter"
    return f"{error.strerror}{hint if error.errno == errno.ENOEXEC else ''}"


def hosted(python: Path, **start: str | bool) -> Launch:
    """One of our own workers: it hosts, in an interpreter, the `backend` of a file or a problem's named `gradient`."""
    return Launch([str(python), "-I", str(BOOTSTRAP)], start, repeats=True)


class Pool:
    """Workers that run side by side, one for each key, until it is closed."""

    def __init__(self) -> None:
        self._folders = Folders()
        self._folder: Path | None = None
        self._memory: Path | None = None  # a folder in memory, if it had enough space
        self._own: dict[str, Path] = {}  # each worker's folder on disk
        self._numbers = itertools.count()
        self._timeout = 0.0
        self._workers: dict[str, Worker] = {}
        self._launches: dict[str, Launch] = {}
        self._dropped: dict[str, Failure] = {}
        self._deadlines: dict[str, float] = {}
        self._listened = time.monotonic()  # when the pool last read from workers
        self._pending: dict[str, Pending] = {}
        self.started: dict[str, StartMessage] = {}
        # If an interruption comes just before `close` begins, the interpreter's end calls it.
        self._close = weakref.finalize(self, _close, self._workers, self._folders, os.getpid())

    def close(self) -> None:
        """End all workers; in a fork of the process that started them, leave them alone."""
        with deferred():
            self._close()

    def start(self, launches: Mapping[str, Launch], timeout: float) -> None:
        """Start, all at once, the workers that do not run yet; restart those that were dropped or have another launch.

        It does not wait for them.

        Args:
            launches: how each is started.
            timeout: seconds that each has to import its framework, and again for each answer.
        """
        self._timeout = timeout
        for key, launch in launches.items():
            if key in self._workers and key not in self._dropped:
                if launch == self._launches[key]:
                    continue
                self._workers[key].end()
            self._launches[key] = launch
            self._start(key, launch)

    @contextlib.contextmanager
    def early(self, launches: Mapping[str, Launch], timeout: float) -> Iterator[None]:
        """A context before which those workers start that do not run yet, and which ends these where it fails."""
        new = {key: launch for key, launch in launches.items() if key not in self._workers}
        self.start(new, timeout)
        try:
            yield
        except BaseException:
            with deferred():
                end([self._workers.pop(key) for key in new if key in self._workers])
            raise

    def _restart(self, key: str) -> None:
        self._workers[key].end()
        self._start(key, self._launches[key])

    def _start(self, key: str, launch: Launch) -> None:
        self._dropped.pop(key, None)
        self.started.pop(key, None)
        self._pending.pop(key, None)
        self._own[key] = self._home() / str(next(self._numbers))
        try:
            self._own[key].mkdir(parents=True)
            with deferred():
                self._workers[key] = Worker(launch.command, self._own[key])
        except OSError as error:
            self._dropped[key] = Failure(Verdict.UNAVAILABLE, f"{launch.command[0]}: {cannot_run(error)}")
            return
        self._deadlines[key] = time.monotonic() + self._timeout
        self._workers[key].send("start", **launch.start)

    def _home(self) -> Path:
        """The folder of all workers, made when the first one starts."""
        if self._folder is None:
            sweep()
            self._folder = self._folders.make()
        return self._folder

    def evaluate(self, request: Request, keys: Sequence[str]) -> Iterator[tuple[str, BackendAnswer | Failure]]:
        """Send a request to several workers, and yield each answer to a case, or why there is none, as they come."""
        return ((key, first_of(outcome)) for key, outcome in self._evaluate(request, keys))

    def evaluate_several(
        self, requests: Sequence[Request], twice: Sequence[bool], keys: Sequence[str]
    ) -> Iterator[tuple[str, Outcome]]:
        """Send small requests that differ in their inputs alone to several workers of ours, in one message to each.

        Args:
            requests: two or more.
            twice: which of them each worker evaluates twice.
            keys: of the workers.

        Yields:
            What came of each request; or of none, where a worker ended: then they can be sent one by one.
        """
        first, *others = requests
        return self._evaluate(first, keys, others, twice)

    def _evaluate(
        self, request: Request, keys: Sequence[str], others: Sequence[Request] = (), twice: Sequence[bool] = ()
    ) -> Iterator[tuple[str, Outcome]]:
        inputs = array_files.Inputs({**request.inputs, **request.constants})
        base = self._base(request)
        for key in keys:
            if key in self._pending:  # an interruption came between: its answer would belong to another request
                self._restart(key)
            if key not in self._dropped:
                # A worker that still imports its framework reads this afterwards.
                own = self._own[key]
                self._pending[key] = Pending(request, inputs, base / own.name, own / "spare", None, others, twice)
                self._send_request(key)
        self._listened = time.monotonic()
        return self._answers(keys, inputs)

    def ask(self, key: str, method: str, **parameters: object) -> dict[str, Any] | Failure:
        """A worker's answer to a request of another method, or why there is none."""
        self._deadlines[key] = time.monotonic() + self._timeout
        self._listened = time.monotonic()
        try:
            if key not in self._dropped:
                self._workers[key].send(method, **parameters)
            while key not in self._dropped:
                self._next([key])
                if key in self.started:
                    return self._receive(key, dict)
                self._await_start(key)
            return self._dropped[key]
        except BaseException:  # a later answer of it would count for another request
            self._drop(key, Failure(Verdict.CRASHED, "was interrupted"))
            raise

    @contextlib.contextmanager
    def folder_of(self, key: str) -> Iterator[Path]:
        """An empty folder for arrays in the messages of a worker."""
        folder = self._own[key] / "arrays"
        clear(folder)
        try:
            yield folder
        finally:
            clear(folder)

    def _answers(self, keys: Sequence[str], inputs: array_files.Inputs) -> Iterator[tuple[str, Outcome]]:
        with contextlib.closing(inputs):
            yield from ((key, self._dropped[key]) for key in keys if key in self._dropped)
            yield from self._as_they_come([key for key in keys if key not in self._dropped])

    def _base(self, request: Request) -> Path:
        """A private folder for answers: in memory if several answers fit there, else on disk."""
        with contextlib.suppress(OSError):
            if shutil.disk_usage(MEMORY).free > 2 * request.largest_answer:
                self._memory = self._memory or self._folders.make(MEMORY)
                return self._memory
        return self._home()

    def _send_request(self, key: str) -> None:
        self._deadlines[key] = time.monotonic() + self._timeout
        try:
            message = self._pending[key].message()
        except OSError as error:
            reason = f"its folder is of no use: {error.strerror}: {error.filename}"
            self._drop(key, Failure(Verdict.CRASHED, reason, self._workers[key].printed()))
        else:
            request = self._pending[key].request
            own = {"folders": request.folders, "size": request.size} if self._launches[key].repeats else {}
            self._workers[key].send(self._pending[key].method, **message, **own)

    def _as_they_come(self, waiting: list[str]) -> Iterator[tuple[str, Outcome]]:
        while waiting:
            key = self._next(waiting)
            outcome = self._answer(key) if key in self.started else self._await_start(key)
            if outcome is not None:
                waiting.remove(key)
                del self._pending[key]
                yield key, outcome

    def _next(self, waiting: Sequence[str]) -> str:
        """The first of several workers that has a message, or whose time is over."""
        # While gradcheck did not read, for example while it judged an answer, a worker could only fill its pipe.
        now = time.monotonic()
        listen_until = now + min(now - self._listened, LONGEST_GRACE)
        for key in waiting:
            self._deadlines[key] = max(self._deadlines[key], listen_until)
        while True:
            for key in waiting:
                if self._workers[key].has_news:
                    return key
            first = min(waiting, key=lambda key: self._deadlines[key])
            if self._deadlines[first] <= self._listened:
                return first
            exchange([self._workers[key] for key in waiting], self._deadlines[first])
            self._listened = time.monotonic()

    def _await_start(self, key: str) -> Failure | None:
        started = self._receive(key, StartMessage)
        if isinstance(started, Failure):
            return self._drop(key, started)
        self.started[key] = started
        self._deadlines[key] = time.monotonic() + self._timeout
        return None

    def _answer(self, key: str) -> Outcome | None:
        """A worker's answer, after it has answered twice; or its answers to several requests."""
        pending = self._pending[key]
        if pending.others:
            return self._received_answers(key)
        answer = self._received_answer(key)
        if isinstance(answer, Failure):
            return answer
        if pending.first:
            varies = dict(comparison.differences(pending.first, answer))
            return replace(pending.first, again_seconds=answer.seconds, varies=varies)
        if self._launches[key].repeats:
            return answer
        pending.first = replace(answer, mutated=())
        self._send_request(key)
        return self._dropped.get(key)

    def _received_answer(self, key: str) -> BackendAnswer | Failure:
        wire = self._receive(key, AnswerMessage)
        if isinstance(wire, Failure):
            return wire
        answer = self._pending[key].checked(wire)
        return self._drop(key, answer) if isinstance(answer, Failure) else answer

    def _received_answers(self, key: str) -> list[BackendAnswer | Failure] | Failure:
        several = self._receive(key, SeveralAnswers)
        if isinstance(several, Failure):
            return several
        pending, found = self._pending[key], []
        for each in several.answers:
            answer = failed(each.error) if each.error else pending.checked(each.result)
            if isinstance(answer, Failure) and answer.lost:
                return self._drop(key, answer)
            found.append(answer)
        pending.clear()
        return found

    def _receive(self, key: str, kind: type[T]) -> T | Failure:
        received = self._workers[key].reply()
        if isinstance(received, Failure):
            return self._drop(key, received) if received.lost else received
        try:
            return msgspec.json.decode(received, type=kind)
        except (ValueError, RecursionError) as error:  # msgspec's own, and those of text that is not UTF-8
            method = "start" if kind is StartMessage else "evaluate"
            return self._drop(key, Failure(Verdict.CRASHED, f"gave a result of {method} that is not valid: {error}"))

    def _drop(self, key: str, failure: Failure) -> Failure:
        """End a worker: a later answer of it would count for another request."""
        if failure.verdict is Verdict.TIMED_OUT:
            failure = replace(failure, reason=f"no answer within {self._timeout:g} s")
        self._dropped[key] = failure
        self._workers[key].end()
        return failure


def first_of(outcome: Outcome) -> BackendAnswer | Failure:
    """The outcome of a single request."""
    return outcome[0] if isinstance(outcome, list) else outcome


def _close(workers: dict[str, Worker], folders: Folders, owner: int) -> None:
    if os.getpid() == owner:
        with deferred():
            end(workers.values())
            folders.close()
