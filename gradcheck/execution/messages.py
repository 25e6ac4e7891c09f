"""The messages between gradcheck and its workers; docs/protocol.md describes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from gradcheck.dtypes import DTYPES
from gradcheck.execution.worker import LONGEST_LINE, ErrorMessage
from gradcheck.findings import ArrayKind

if TYPE_CHECKING:
    from gradcheck.answers import Arrays
    from gradcheck.graphs import Graph

ENTRY_BYTES = 16 * 8  # for each entry of an answer: of float64, and a witness has several directions for each gradient

Note = Annotated[str, msgspec.Meta(max_length=1000)]
"""A sentence that a report shows completely."""


class StartMessage(msgspec.Struct, frozen=True):
    """A worker's answer to `start`. All fields are optional for a program."""

    version: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    python_version: str | None = None
    packages: dict[str, str] = {}
    threads: int | None = None
    seconds: float | None = None


class AnswerMessage(msgspec.Struct, frozen=True):
    """A worker's answer to `evaluate`."""

    loss: dict[str, Any]
    gradients: dict[str, dict[str, Any]]
    values: dict[str, dict[str, Any]] = {}
    adjoints: dict[str, dict[str, Any]] = {}
    seconds: float | None = None
    again_seconds: float | None = None
    varies: list[tuple[ArrayKind, str | None, float | str]] = []
    mutated: list[str] = []
    estimates: dict[str, dict[str, Any]] = {}
    directions: dict[str, dict[str, Any]] = {}
    slopes: dict[str, Any] | None = None
    notes: Annotated[list[Note], msgspec.Meta(max_length=100)] = []


class OneAnswer(msgspec.Struct, frozen=True):
    """A worker's answer to one of several requests in one message, or its error."""

    result: AnswerMessage | None = None
    error: ErrorMessage | None = None


class SeveralAnswers(msgspec.Struct, frozen=True):
    """One of our workers' answers to `evaluate_several`, in the order of the requests."""

    answers: list[OneAnswer]


@dataclass(frozen=True)
class Request:
    """A request to a worker.

    Attributes:
        problem: the problem's file, which has its hand-written gradients.
        graph: its loss.
        dtype: the name of the dtype to compute in.
        wrt: the inputs whose gradients are wanted.
        inputs: name -> array of that dtype (float32 for bfloat16), or of int64 or bool.
        entries: how many the arrays of a whole answer have, watched values and adjoints included.
        folders: where our own workers search for the imports of the problem's file.
        size: the arguments of its `inputs`: `(k,)`, or `()` where there is one size.
    """

    problem: Path
    graph: Graph
    dtype: str
    wrt: Sequence[str]
    inputs: Arrays
    entries: int = 0
    folders: Sequence[str] = ()
    size: Sequence[int] = ()

    @cached_property
    def constants(self) -> Arrays:
        """The arrays of the loss itself by name, floats rounded to the dtype, or float64 where that is long double."""
        from gradcheck.problems.cases import round_to

        dtype = self.dtype if self.dtype in DTYPES else "float64"
        constants = self.graph.constants.items()
        return {name: array if array.dtype.kind == "i" else round_to(array, dtype) for name, array in constants}

    @property
    def largest_entries(self) -> int:
        """The largest number of entries of an array that its loss computes."""
        return max((math.prod(node.shape) for node in self.graph.nodes), default=0)

    @property
    def largest_answer(self) -> int:
        """The largest number of bytes in the files of one answer."""
        return max(LONGEST_LINE, ENTRY_BYTES * self.entries)
