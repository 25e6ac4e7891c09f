"""Start workers, talk to them, time them out and bury them. `gradcheck.backends._protocol` documents what is said."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import msgspec

from gradcheck.answers import Answer
from gradcheck.backends import _protocol
from gradcheck.environments import scrubbed
from gradcheck.results import Verdict

if TYPE_CHECKING:
    from gradcheck.answers import Arrays

T = TypeVar("T")
BOOTSTRAP = Path(_protocol.__file__).with_name("_bootstrap.py")

# The ladder down which a worker is buried, in seconds: asked to stop, terminated, killed.
STOP_GRACE = 0.5
TERMINATE_GRACE = 0.5
LONGEST_LINE = 1 << 26  # bytes; a worker that writes more without a line's end answers garbage


@dataclass(frozen=True)
class Failure:
    """Why a backend gave no answer. `details` is its traceback or the end of what it printed.

    `lost` says that its worker is of no further use; an error that a worker itself reports leaves it ready for more.
    """

    verdict: Verdict
    reason: str
    details: str = ""
    lost: bool = True


class Started(msgspec.Struct, frozen=True):
    """A worker's answer to `start`."""

    version: str
    python_version: str
    packages: dict[str, str]
    threads: int | None
    seconds: float


class _Answer(msgspec.Struct, frozen=True):
    loss: dict[str, Any]
    gradients: dict[str, dict[str, Any]]
    values: dict[str, dict[str, Any]]
    adjoints: dict[str, dict[str, Any]]
    seconds: float
    again_seconds: float | None = None
    varies: list[tuple[str, str | None, float | str]] = []
    mutated: list[str] = []


class _Error(msgspec.Struct, frozen=True):
    kind: Verdict
    message: str
    traceback: str = ""


class _Reply(msgspec.Struct, frozen=True):
    id: int
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


class Worker:
    """A process that hosts one backend.

    Args:
        command: what to run.
        folder: a private folder for its arrays and for what it prints.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._printed = folder / "stderr"
        self._unread = b""
        self._requests = self._replies = 0
        with self._printed.open("wb") as printed:
            # A session of its own, so that the whole group can be ended, and so that a Ctrl-C reaches the parent alone.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=printed,
                env=scrubbed(os.environ), start_new_session=True, bufsize=0,
            )  # fmt: skip
        self._input, self.output = _pipe(self._process.stdin), _pipe(self._process.stdout)
        os.set_blocking(self._input.fileno(), False)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def has_line(self) -> bool:
        """Whether a reply has been read already."""
        return b"\n" in self._unread

    def send(self, method: str, deadline: float, **parameters: object) -> Failure | None:
        """Send a request. A worker that does not read it until `deadline` (of `time.monotonic`) has timed out."""
        self._requests += 1
        rest = msgspec.json.encode({"id": self._requests, "method": method, **parameters}) + b"\n"
        while rest:
            if not _ready([self._input], select.POLLOUT, deadline):
                return self._timed_out()
            try:
                rest = rest[os.write(self._input.fileno(), rest) :]
            except BrokenPipeError:
                return self._death()
        return None

    def receive(self, deadline: float) -> msgspec.Raw | Failure:
        """The result of the first request that is not answered yet."""
        line = self._line(deadline)
        if isinstance(line, Failure):
            return line
        try:
            reply = msgspec.json.decode(line, type=_Reply)
        except msgspec.MsgspecError as error:
            return self._garbage(line, error)
        self._replies += 1
        if reply.id != self._replies:
            return self._garbage(line, f"the id of the request is {self._replies}")
        if reply.error is not None:
            return Failure(reply.error.kind, reply.error.message, reply.error.traceback, lost=False)
        return reply.result

    def _line(self, deadline: float) -> bytes | Failure:
        while b"\n" not in self._unread:
            if len(self._unread) > LONGEST_LINE:
                return self._garbage(self._unread, "a line has an end")
            if not _ready([self.output], select.POLLIN, deadline):
                return self._timed_out()
            arrived = os.read(self.output.fileno(), 1 << 16)
            if not arrived:
                return self._death()
            self._unread += arrived
        line, self._unread = self._unread.split(b"\n", 1)
        return line

    def _garbage(self, line: bytes, expected: object) -> Failure:
        return Failure(
            Verdict.CRASHED, f"answered {line[:60].decode(errors='replace')!r}, which is no reply: {expected}"
        )

    def _timed_out(self) -> Failure:
        return Failure(Verdict.TIMED_OUT, "no answer in time", self.printed())

    def _death(self) -> Failure:
        if not self._ended(STOP_GRACE):
            return Failure(Verdict.CRASHED, "closed its output", self.printed())
        code = self._process.returncode
        what = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        return Failure(Verdict.CRASHED, what, self.printed())

    def printed(self) -> str:
        """The end of what the worker has printed."""
        with self._printed.open("rb") as file:
            file.seek(max(0, self._printed.stat().st_size - 4000))
            return file.read().decode(errors="replace").strip()

    def ask_to_stop(self) -> None:
        """The first step of the ladder; `bury` goes down the rest."""
        if self._input.closed:
            return
        with contextlib.suppress(OSError):
            os.write(self._input.fileno(), b'{"id": 0, "method": "stop"}\n')
        self._input.close()

    def bury(self) -> None:
        """End the process and all of its group: wait for it, terminate it, kill it."""
        self.ask_to_stop()
        for patience, step in ((STOP_GRACE, signal.SIGTERM), (TERMINATE_GRACE, signal.SIGKILL)):
            if self._ended(patience):
                break
            self._signal(step)
        self._signal(signal.SIGKILL)  # whatever it started and left
        self._process.wait()
        self.output.close()

    def _ended(self, patience: float) -> bool:
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


@dataclass(frozen=True)
class Post:
    """What a worker is started with: the interpreter, and the backend's file or the name of a hand-written gradient."""

    python: Path
    backend: Path | None
    gradient: str | None


@dataclass(frozen=True)
class Question:
    """What is asked of a worker.

    Attributes:
        problem: the problem's file.
        dtype: the name of the dtype to compute in.
        wrt: the inputs whose gradients are wanted.
        inputs: name -> array of that dtype (float32 for bfloat16).
    """

    problem: Path
    dtype: str
    wrt: Sequence[str]
    inputs: Arrays


class Crew:
    """Workers that run side by side, one for each key, until it is closed."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"gradcheck-{os.getpid()}-"))
        self._folders: set[Path] = set()
        self._numbers = itertools.count()
        self._timeout = 0.0
        self._workers: dict[str, Worker] = {}
        self._lost: dict[str, Failure] = {}
        self._deadlines: dict[str, float] = {}
        self.started: dict[str, Started] = {}

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers.values():
            worker.ask_to_stop()
        for worker in self._workers.values():
            worker.bury()
        for folder in (self._folder, *self._folders):
            shutil.rmtree(folder, ignore_errors=True)

    def start(self, posts: Mapping[str, Post], timeout: float) -> None:
        """Start, all at once, the workers that do not run yet, and those anew that were lost; do not wait for them.

        Args:
            posts: how each is started.
            timeout: seconds that each has to import its framework, and again for each answer.
        """
        self._timeout = timeout
        for key, post in posts.items():
            if key in self._workers and key not in self._lost:
                continue
            self._lost.pop(key, None)
            self.started.pop(key, None)
            self._start(key, post)

    def _start(self, key: str, post: Post) -> None:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        try:
            self._workers[key] = Worker([str(post.python), "-I", str(BOOTSTRAP)], folder)
        except OSError as error:
            self._lost[key] = Failure(Verdict.UNAVAILABLE, f"{post.python}: {error.strerror}")
            return
        self._deadlines[key] = time.monotonic() + self._timeout
        self._send(key, "start", backend=post.backend and str(post.backend), gradient=post.gradient)

    def evaluate(self, question: Question, keys: Sequence[str]) -> Iterator[tuple[str, Answer | Failure]]:
        """Ask several workers now, and give each one's answer to a case, or why it gave none, as they come."""
        folder = _roomy_folder(question.inputs)
        self._folders.add(folder)
        self._ask(question, [key for key in keys if key not in self._lost], folder)
        return self._answers(keys, folder)

    def _answers(self, keys: Sequence[str], folder: Path) -> Iterator[tuple[str, Answer | Failure]]:
        yield from ((key, self._lost[key]) for key in keys if key in self._lost)
        yield from self._as_they_come([key for key in keys if key not in self._lost])
        shutil.rmtree(folder, ignore_errors=True)  # arrays that were mapped from it stay readable
        self._folders.discard(folder)

    def _ask(self, question: Question, keys: Sequence[str], folder: Path) -> None:
        inputs = {
            name: _protocol.encode(array, str(folder), f"input-{name}") for name, array in question.inputs.items()
        }
        for number, key in enumerate(keys):
            answers = folder / str(number)
            answers.mkdir()
            # A worker that still imports its framework finds this when it is done.
            self._deadlines[key] = time.monotonic() + self._timeout
            self._send(
                key,
                "evaluate",
                problem=str(question.problem),
                dtype=question.dtype,
                wrt=question.wrt,
                inputs=inputs,
                folder=str(answers),
            )

    def _as_they_come(self, waiting: list[str]) -> Iterator[tuple[str, Answer | Failure]]:
        while waiting:
            key = self._next(waiting)
            outcome = self._answer(key) if key in self.started else self._await_start(key)
            if outcome is not None:
                waiting.remove(key)
                yield key, outcome

    def _next(self, waiting: Sequence[str]) -> str:
        """The first of several workers that has something to say, or whose time is up."""
        heard = [key for key in waiting if self._workers[key].has_line]
        if heard:
            return heard[0]
        outputs = {self._workers[key].output: key for key in waiting}
        next_deadline = min(waiting, key=lambda key: self._deadlines[key])
        ready = _ready(outputs, select.POLLIN, self._deadlines[next_deadline])
        return outputs[ready[0]] if ready else next_deadline

    def _await_start(self, key: str) -> Failure | None:
        started = self._receive(key, Started)
        if isinstance(started, Failure):
            return self._lose(key, started)
        self.started[key] = started
        self._deadlines[key] = time.monotonic() + self._timeout
        return None

    def _answer(self, key: str) -> Answer | Failure:
        wire = self._receive(key, _Answer)
        if isinstance(wire, Failure):
            return wire
        try:
            return Answer(
                loss=_protocol.decode(wire.loss, mapped=True),
                gradients=_decoded(wire.gradients),
                values=_decoded(wire.values),
                adjoints=_decoded(wire.adjoints),
                seconds=wire.seconds,
                again_seconds=wire.again_seconds,
                varies={(kind, name): float(largest) for kind, name, largest in wire.varies},
                mutated=wire.mutated,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            return self._lose(key, Failure(Verdict.CRASHED, f"answered an array that cannot be read: {error}"))

    def _send(self, key: str, method: str, **parameters: object) -> None:
        failure = self._workers[key].send(method, self._deadlines[key], **parameters)
        if failure is not None:
            self._lose(key, failure)

    def _receive(self, key: str, kind: type[T]) -> T | Failure:
        received = self._workers[key].receive(self._deadlines[key])
        if isinstance(received, Failure):
            return self._lose(key, received) if received.lost else received
        try:
            return msgspec.json.decode(received, type=kind)
        except msgspec.MsgspecError as error:
            return self._lose(key, Failure(Verdict.CRASHED, f"answered what is no {kind.__name__.strip('_')}: {error}"))

    def _lose(self, key: str, failure: Failure) -> Failure:
        """Let go of a worker: what it would answer later would be the answer to another question."""
        if failure.verdict is Verdict.TIMED_OUT:
            failure = replace(failure, reason=f"no answer within {self._timeout:g} s")
        self._lost[key] = failure
        self._workers[key].bury()
        return failure


def _decoded(arrays: Mapping[str, Mapping[str, Any]]) -> Arrays:
    return {name: _protocol.decode(array, mapped=True) for name, array in arrays.items()}


def _roomy_folder(inputs: Arrays) -> Path:
    """A private folder for arrays, in memory where there is room for the inputs and several answers of their size."""
    needed = 16 * sum(array.nbytes for array in inputs.values())
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > needed
    return Path(tempfile.mkdtemp(prefix=f"gradcheck-{os.getpid()}-", dir=memory if roomy else None))


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "opened with a pipe"
    return stream


def _ready(streams: Iterable[IO[bytes]], event: int, deadline: float) -> list[IO[bytes]]:
    """Wait until one of several pipes can be read or written (or is closed); none where the deadline comes first."""
    poll = select.poll()
    by_number = {stream.fileno(): stream for stream in streams}
    for number in by_number:
        poll.register(number, event)
    return [by_number[number] for number, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)]
