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

from gradcheck.answers import BackendAnswer, meaningless
from gradcheck.backends._worker import comparison, protocol
from gradcheck.execution import array_files
from gradcheck.execution.messages import AnswerMessage, Request, StartMessage
from gradcheck.execution.worker import Failure, Worker, end, exchange
from gradcheck.results import Verdict
from gradcheck.system.folders import MEMORY, Folders, sweep
from gradcheck.system.interruptions import deferred

if TYPE_CHECKING:
    from gradcheck.answers import Arrays

T = TypeVar("T")
BOOTSTRAP = Path(protocol.__file__).with_name("bootstrap.py")
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


@dataclass
class Pending:
    """A request that a worker has not answered yet.

    Attributes:
        request: the request.
        inputs: its inputs and constants, which no worker can change.
        folder: the worker's own, for its answers.
        spare: the same on disk, for arrays that do not fit there.
        first: its first answer, during the second request.
    """

    request: Request
    inputs: array_files.Inputs
    folder: Path
    spare: Path
    first: BackendAnswer | None = None

    def message(self) -> dict[str, Any]:
        """The message. A program may have removed its folders, so they are made again; other files are not.

        Raises:
            OSError: they cannot be made.
        """
        for folder in (self._answers, self.spare):
            clear(folder)
        arrays = self.inputs.message(self.spare.parent)
        return {
            "problem": str(self.request.problem),
            "dtype": self.request.dtype,
            "wrt": self.request.wrt,
            "inputs": {name: array for name, array in arrays.items() if name in self.request.inputs},
            "folder": str(self._answers),
            "spare": str(self.spare),
            "constants": {name: array for name, array in arrays.items() if name not in self.request.inputs},
            "graph": self.request.graph.message,
        }

    @property
    def _answers(self) -> Path:
        return self.folder / ("again" if self.first else "first")

    def decoded(self, wire: AnswerMessage) -> BackendAnswer:
        """An answer with copies of its arrays, which the worker cannot change. Its files are removed.

        Raises:
            Exception: it cannot be read.
        """
        files = array_files.AnswerFiles(self.request.largest_answer)

        def arrays(wired: Mapping[str, Mapping[str, Any]]) -> Arrays:
            return {name: files.decoded(name, array) for name, array in wired.items()}

        try:
            return BackendAnswer(
                loss=files.decoded("loss", wire.loss),
                gradients=arrays(wire.gradients),
                values=arrays(wire.values),
                adjoints=arrays(wire.adjoints),
                seconds=wire.seconds,
                again_seconds=wire.again_seconds,
                varies={(kind, name): float(largest) for kind, name, largest in wire.varies},
                mutated=wire.mutated,
                estimates=arrays(wire.estimates),
                directions=arrays(wire.directions),
                slopes=files.decoded("slopes", wire.slopes) if wire.slopes else None,
                notes=wire.notes,
            )
        finally:
            if files.loaded:
                clear(self._answers)
                clear(self.spare)


def clear(folder: Path) -> None:
    """Make a path an empty folder, whatever it is. If it is one already, this takes no time: the disk does nothing.

    Raises:
        OSError: it cannot be made.
    """
    with contextlib.suppress(OSError):
        if not os.listdir(folder):  # noqa: PTH208  a list is faster than an iterator of paths
            return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


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
        inputs = array_files.Inputs({**request.inputs, **request.constants})
        base = self._base(request)
        for key in keys:
            if key in self._pending:  # an interruption came between: its answer would belong to another request
                self._restart(key)
            if key not in self._dropped:
                # A worker that still imports its framework reads this afterwards.
                own = self._own[key]
                self._pending[key] = Pending(request, inputs, base / own.name, own / "spare")
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

    def _answers(
        self, keys: Sequence[str], inputs: array_files.Inputs
    ) -> Iterator[tuple[str, BackendAnswer | Failure]]:
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
            self._workers[key].send("evaluate", **message, **own)

    def _as_they_come(self, waiting: list[str]) -> Iterator[tuple[str, BackendAnswer | Failure]]:
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

    def _answer(self, key: str) -> BackendAnswer | Failure | None:
        """A worker's answer, after it has answered twice."""
        answer = self._received_answer(key)
        if isinstance(answer, Failure):
            return answer
        pending = self._pending[key]
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
        try:
            answer = self._pending[key].decoded(wire)
            unfit = meaningless(answer)
        except Exception as error:  # another program wrote it: any fault in it concerns only this row
            reason = str(error) or type(error).__name__
            return self._drop(key, Failure(Verdict.CRASHED, f"gave an answer that cannot be read: {reason}"))
        if unfit:
            return self._drop(key, Failure(Verdict.CRASHED, f"gave an answer without meaning: {unfit}"))
        return answer

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


def _close(workers: dict[str, Worker], folders: Folders, owner: int) -> None:
    if os.getpid() == owner:
        with deferred():
            end(workers.values())
            folders.close()
