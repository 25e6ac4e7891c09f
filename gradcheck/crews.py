"""Workers side by side: start them, ask them, and take their answers as they come."""

from __future__ import annotations

import itertools
import os
import select
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from gradcheck.answers import Answer
from gradcheck.backends import _protocol
from gradcheck.results import Verdict
from gradcheck.workers import Failure, Worker, ready

if TYPE_CHECKING:
    from gradcheck.answers import Arrays

T = TypeVar("T")
BOOTSTRAP = Path(_protocol.__file__).with_name("_bootstrap.py")


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
    estimates: dict[str, dict[str, Any]] = {}
    directions: dict[str, dict[str, Any]] = {}
    slopes: dict[str, Any] | None = None
    notes: list[str] = []


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
        heard_from = ready(outputs, select.POLLIN, self._deadlines[next_deadline])
        return outputs[heard_from[0]] if heard_from else next_deadline

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
                estimates=_decoded(wire.estimates),
                directions=_decoded(wire.directions),
                slopes=_protocol.decode(wire.slopes) if wire.slopes else None,
                notes=wire.notes,
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
