"""Workers side by side: start them, ask them, and take their answers as they come."""

from __future__ import annotations

import itertools
import os
import select
import shutil
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from gradcheck.answers import Answer, meaningless
from gradcheck.backends import _comparison, _protocol
from gradcheck.folders import MEMORY, Folders, sweep
from gradcheck.interruptions import deferred
from gradcheck.results import Verdict
from gradcheck.workers import Failure, Worker, end, ready

if TYPE_CHECKING:
    from gradcheck.answers import Arrays

T = TypeVar("T")
BOOTSTRAP = Path(_protocol.__file__).with_name("_bootstrap.py")


class Started(msgspec.Struct, frozen=True):
    """A worker's answer to `start`. A program need not say anything."""

    version: str | None = None
    python_version: str | None = None
    packages: dict[str, str] = {}
    threads: int | None = None
    seconds: float | None = None


_Kind = Literal["loss", "gradient", "value", "adjoint", "estimate", "direction", "slopes"]


class _Answer(msgspec.Struct, frozen=True):
    """A worker's answer to `evaluate`."""

    loss: dict[str, Any]
    gradients: dict[str, dict[str, Any]]
    values: dict[str, dict[str, Any]] = {}
    adjoints: dict[str, dict[str, Any]] = {}
    seconds: float | None = None
    again_seconds: float | None = None
    varies: list[tuple[_Kind, str | None, float | str]] = []
    mutated: list[str] = []
    estimates: dict[str, dict[str, Any]] = {}
    directions: dict[str, dict[str, Any]] = {}
    slopes: dict[str, Any] | None = None
    notes: list[str] = []


@dataclass(frozen=True)
class Post:
    """How a worker is started: the command to run, and what is sent with `start`."""

    command: Sequence[str]
    start: Mapping[str, str | bool] = field(default_factory=dict)


def hosted(python: Path, **start: str | bool) -> Post:
    """A worker of ours: it hosts, in an interpreter, the `backend` of a file or a problem's `gradient` of a name."""
    return Post([str(python), "-I", str(BOOTSTRAP)], start)


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
        self._folder: Path | None = None
        self._folders = Folders()
        self._numbers = itertools.count()
        self._timeout = 0.0
        self._workers: dict[str, Worker] = {}
        self._posts: dict[str, Post] = {}
        self._lost: dict[str, Failure] = {}
        self._deadlines: dict[str, float] = {}
        self._asked: dict[str, dict[str, Any]] = {}
        self._unanswered: set[str] = set()
        self._first: dict[str, Answer] = {}  # answers of workers that are being asked a second time
        self.started: dict[str, Started] = {}
        # Where an interruption comes just before `close` begins, the interpreter's end calls it.
        self._close = weakref.finalize(self, _close, self._workers, self._folders, os.getpid())

    def close(self) -> None:
        """End all workers; in a fork of the process that started them they go on."""
        with deferred():
            self._close()

    def start(self, posts: Mapping[str, Post], timeout: float) -> None:
        """Start, all at once, the workers that do not run yet, and anew those that were lost or are started otherwise.

        It does not wait for them.

        Args:
            posts: how each is started.
            timeout: seconds that each has to import its framework, and again for each answer.
        """
        self._timeout = timeout
        for key, post in posts.items():
            if key in self._workers and key not in self._lost:
                if post == self._posts[key]:
                    continue
                self._workers[key].bury()
            self._posts[key] = post
            self._start(key, post)

    def _restart(self, key: str) -> None:
        self._workers[key].bury()
        self._start(key, self._posts[key])

    def _start(self, key: str, post: Post) -> None:
        self._lost.pop(key, None)
        self.started.pop(key, None)
        self._unanswered.discard(key)
        folder = self._home() / str(next(self._numbers))
        folder.mkdir()
        try:
            with deferred():
                self._workers[key] = Worker(post.command, folder)
        except OSError as error:
            self._lost[key] = Failure(Verdict.UNAVAILABLE, f"{post.command[0]}: {error.strerror}")
            return
        self._send(key, "start", post.start)

    def _home(self) -> Path:
        """The folder of all workers, made when the first one starts."""
        if self._folder is None:
            sweep()
            self._folder = self._folders.make()
        return self._folder

    def evaluate(self, question: Question, keys: Sequence[str]) -> Iterator[tuple[str, Answer | Failure]]:
        """Ask several workers now, and give each one's answer to a case, or why it gave none, as they come."""
        folder = self._folders.make(_roomy_place(question.inputs))
        self._ask(question, [key for key in keys if key not in self._lost], folder)
        return self._answers(keys, folder)

    def _answers(self, keys: Sequence[str], folder: Path) -> Iterator[tuple[str, Answer | Failure]]:
        yield from ((key, self._lost[key]) for key in keys if key in self._lost)
        yield from self._as_they_come([key for key in keys if key not in self._lost])
        self._folders.remove(folder)  # arrays that were mapped from it stay readable

    def _ask(self, question: Question, keys: Sequence[str], folder: Path) -> None:
        inputs = {
            name: _protocol.encode(array, str(folder), f"input-{name}") for name, array in question.inputs.items()
        }
        for number, key in enumerate(keys):
            if key in self._unanswered:  # an interruption came between: its answer would be one to another question
                self._restart(key)
            self._unanswered.add(key)
            self._first.pop(key, None)
            self._asked[key] = {
                "problem": str(question.problem),
                "dtype": question.dtype,
                "wrt": question.wrt,
                "inputs": inputs,
                "folder": str(folder / str(number)),
            }
            # A worker that still imports its framework finds this when it is done.
            self._send_question(key)

    def _send_question(self, key: str) -> None:
        Path(self._asked[key]["folder"]).mkdir()
        self._send(key, "evaluate", self._asked[key])

    def _as_they_come(self, waiting: list[str]) -> Iterator[tuple[str, Answer | Failure]]:
        while waiting:
            key = self._next(waiting)
            outcome = self._answer(key) if key in self.started else self._await_start(key)
            if outcome is not None:
                waiting.remove(key)
                self._unanswered.discard(key)
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

    def _answer(self, key: str) -> Answer | Failure | None:
        """A worker's answer, once it has answered twice: those of ours do so by themselves, and say `again_seconds`."""
        answer = self._received_answer(key)
        if isinstance(answer, Failure):
            return answer
        if first := self._first.pop(key, None):
            varies = dict(_comparison.differences(first, answer))
            return replace(first, again_seconds=answer.seconds, varies=varies)
        if answer.again_seconds is not None:
            return answer
        self._first[key] = answer
        self._asked[key]["folder"] += "-again"
        self._send_question(key)
        return self._lost.get(key)

    def _received_answer(self, key: str) -> Answer | Failure:
        wire = self._receive(key, _Answer)
        if isinstance(wire, Failure):
            return wire
        try:
            answer = Answer(
                loss=_decoded({"loss": wire.loss})["loss"],
                gradients=_decoded(wire.gradients),
                values=_decoded(wire.values),
                adjoints=_decoded(wire.adjoints),
                seconds=wire.seconds,
                again_seconds=wire.again_seconds,
                varies={(kind, name): float(largest) for kind, name, largest in wire.varies},
                mutated=wire.mutated,
                estimates=_decoded(wire.estimates),
                directions=_decoded(wire.directions),
                slopes=_decoded({"slopes": wire.slopes})["slopes"] if wire.slopes else None,
                notes=wire.notes,
            )
        except ValueError as error:
            return self._lose(key, Failure(Verdict.CRASHED, f"answered what cannot be read: {error}"))
        if reason := meaningless(answer):
            return self._lose(key, Failure(Verdict.CRASHED, f"answered what means nothing: {reason}"))
        return answer

    def _send(self, key: str, method: str, parameters: Mapping[str, object]) -> None:
        self._deadlines[key] = time.monotonic() + self._timeout
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
            method = "start" if kind is Started else "evaluate"
            return self._lose(key, Failure(Verdict.CRASHED, f"answered {method} with what is no result of it: {error}"))

    def _lose(self, key: str, failure: Failure) -> Failure:
        """Let go of a worker: what it would answer later would be the answer to another question."""
        if failure.verdict is Verdict.TIMED_OUT:
            failure = replace(failure, reason=f"no answer within {self._timeout:g} s")
        self._lost[key] = failure
        self._workers[key].bury()
        return failure


def _decoded(arrays: Mapping[str, Mapping[str, Any]]) -> Arrays:
    decoded = {}
    for name, array in arrays.items():
        try:
            decoded[name] = _protocol.decode(array, mapped=True)
        except _protocol.MALFORMED as error:
            raise ValueError(f"the array of {name}: {error}") from error
    return decoded


def _roomy_place(inputs: Arrays) -> Path | None:
    """Memory, where there is room for the inputs and several answers of their size; else None, the folder on disk."""
    needed = 16 * sum(array.nbytes for array in inputs.values())
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > needed
    return MEMORY if roomy else None


def _close(workers: dict[str, Worker], folders: Folders, owner: int) -> None:
    if os.getpid() == owner:
        with deferred():
            end(workers.values())
            folders.close()
