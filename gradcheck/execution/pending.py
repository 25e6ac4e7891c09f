"""Requests that a worker has not answered yet: their messages, and their answers."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcheck.answers import BackendAnswer, meaningless
from gradcheck.backends._worker import protocol
from gradcheck.execution import array_files
from gradcheck.execution.messages import AnswerMessage, Request
from gradcheck.execution.worker import Failure
from gradcheck.results import Verdict

if TYPE_CHECKING:
    from gradcheck.answers import Arrays


@dataclass
class Pending:
    """A request that a worker has not answered yet.

    Attributes:
        request: the request.
        inputs: its inputs and constants, which no worker can change.
        folder: the worker's own, for its answers.
        spare: the same on disk, for arrays that do not fit there.
        first: its first answer, during the second request.
        others: requests that differ from `request` in their inputs alone, for one message with all of them.
        twice: for each of them, `request` first, whether the worker evaluates it twice.
    """

    request: Request
    inputs: array_files.Inputs
    folder: Path
    spare: Path
    first: BackendAnswer | None = None
    others: Sequence[Request] = ()
    twice: Sequence[bool] = ()

    @property
    def method(self) -> str:
        """The method of the message."""
        return "evaluate_several" if self.others else "evaluate"

    def message(self) -> dict[str, Any]:
        """The message. A program may have removed its folders, so they are made again; other files are not.

        Raises:
            OSError: they cannot be made.
        """
        for folder in (self._answers, self.spare):
            clear(folder)
        arrays = self.inputs.message(self.spare.parent)
        several = [self.request, *self.others] if self.others else []
        cases = [
            {"inputs": inline(each.inputs), "twice": twice} for each, twice in zip(several, self.twice, strict=True)
        ]
        return ({"cases": cases} if cases else {}) | {
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
            if files.loaded and not self.others:
                self.clear()

    def clear(self) -> None:
        """Remove the files of its answers."""
        clear(self._answers)
        clear(self.spare)

    def checked(self, wire: AnswerMessage | None) -> BackendAnswer | Failure:
        """An answer that can be judged, or why it cannot."""
        if wire is None:
            return Failure(Verdict.CRASHED, "gave no answer to one of several requests")
        try:
            answer = self.decoded(wire)
            unfit = meaningless(answer)
        except Exception as error:  # another program wrote it: any fault in it concerns only this row
            reason = str(error) or type(error).__name__
            return Failure(Verdict.CRASHED, f"gave an answer that cannot be read: {reason}")
        return Failure(Verdict.CRASHED, f"gave an answer without meaning: {unfit}") if unfit else answer


def is_small(request: Request) -> bool:
    """Whether all arrays of a request and of its answers are parts of messages: then several cases fit into one."""
    arrays = [*request.inputs.values(), *request.constants.values()]
    return request.largest_entries <= protocol.INLINE_SIZE and all(
        array.size <= protocol.INLINE_SIZE for array in arrays
    )


def inline(arrays: Arrays) -> dict[str, Any]:
    """Small arrays as parts of a message."""
    import numpy as np

    return {name: protocol.encode(np.asarray(array, order="C"), not_inline) for name, array in arrays.items()}


def not_inline(array: Any) -> str:
    """Refuse an array that needs a file."""
    raise AssertionError(f"{array.size} entries: a message of several cases has small arrays only")


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
