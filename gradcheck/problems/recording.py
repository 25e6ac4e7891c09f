"""A problem's loss as a graph."""

from __future__ import annotations

import functools
import inspect
import re
import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcheck import graphs
from gradcheck.backends._worker.stream import Stream
from gradcheck.dtypes import Kind
from gradcheck.errors import ProblemError
from gradcheck.graphs import VOCABULARY, Graph, RecordingError, Shape
from gradcheck.graphs.front_ends import lowered
from gradcheck.graphs.instead import instead
from gradcheck.problems import Problem
from gradcheck.problems._guard import ProblemCode, described_error
from gradcheck.problems.sampling import DTYPES, kinds_of, sampled


def graph_of(problem: Problem, k: int | None, inputs: Mapping[str, Any] | None = None, dtype: str = "float64") -> Graph:
    """The problem's loss at size `k`.

    Args:
        problem: the problem.
        k: its size.
        inputs: of a case: a loss in an engine's own code is recorded for its integers and booleans; those of seed 0 if
            there is no case yet.
        dtype: of the case: such a loss may depend on it, for example by `torch.finfo(x.dtype).eps`.

    Raises:
        ProblemError: the loss cannot be recorded: an unknown operation, shapes that do not fit, no number, an error.
    """
    if problem.dump is None:
        return _graph(problem, k)
    kinds = kinds_of(problem, k)
    given = sampled(problem, Stream(0), k) if inputs is None else inputs
    whole = {name: np.asarray(given[name], DTYPES[kind]) for name, kind in kinds.items() if kind != "floating"}
    return _lowered(problem, k, dtype, tuple((name, array.tobytes()) for name, array in whole.items()))


@functools.lru_cache(maxsize=64)
def _graph(problem: Problem, k: int | None) -> Graph:
    shapes, kinds = problem.shapes(k), kinds_of(problem, k)
    with ProblemCode(problem.path, "loss", problem.timeout):
        return _recorded(problem, shapes, kinds)


@functools.lru_cache(maxsize=64)
def _lowered(problem: Problem, k: int | None, dtype: str, whole: tuple[tuple[str, bytes], ...]) -> Graph:
    """The graph of a loss in an engine's own code, for integers and booleans."""
    assert problem.dump is not None, "it has an engine"
    assert problem.engine is not None, "it has an engine"
    shapes, kinds = problem.shapes(k), kinds_of(problem, k)
    known = {name: np.frombuffer(entries, DTYPES[kinds[name]]).reshape(shapes[name]) for name, entries in whole}
    try:
        return lowered(problem.engine, problem.dump(k, dtype, known), dtype, shapes, kinds)
    except RecordingError as error:
        raise ProblemError(str(error)) from None


def _recorded(problem: Problem, shapes: Mapping[str, Shape], kinds: Mapping[str, Kind]) -> Graph:
    """The graph of a loss, recorded twice: a loss that draws numbers or keeps state has no gradient."""
    try:
        graph, again = (graphs.record(problem.loss, shapes, kinds) for _ in range(2))
        if other := graph.first_difference(again):
            where = f"{other.file}:{other.line}" if other.file else str(problem.path)
            expected = "expected the same loss from the same inputs; draw random arrays in sample(rng), as inputs"
            raise ProblemError(f"{where}: the loss changed when it was recorded again: {expected}")
        return graph
    except RecordingError as error:
        raise ProblemError(str(error)) from None
    except ProblemError:
        raise
    except Exception as error:
        where, line = place_in_loss(problem, error)
        raise ProblemError(f"{where}: {_in_words(described_error(error), line)}") from error


def place_in_loss(problem: Problem, error: Exception) -> tuple[str, str | None]:
    """The `file:line` of the loss at which it raised an error, and the text of that line."""
    code = getattr(inspect.unwrap(problem.loss), "__code__", None)
    files = {str(problem.path), code.co_filename if code else ""}
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return (f"{lines[-1].filename}:{lines[-1].lineno}", lines[-1].line) if lines else (str(problem.path), None)


def _in_words(raised: str, line: str | None) -> str:
    """An error of a loss in the user's words; `line` is the line of its file that ran last."""
    if "__array_ufunc__" in raised:  # NumPy's message that a recorded value is not one of its arrays
        hints = [instead(name, VOCABULARY) for name in re.findall(r"\b(?:np|numpy)\.(\w+)", line or "")]
        hint = next(filter(None, hints), "write words of ops alone")
        return f"a NumPy function received a value of the problem: {hint}"
    message = re.sub(r"'?\bValue\b'?( object)?(\.__\w+__)?", "a value of the problem", raised)
    return f"loss raised {message}"
