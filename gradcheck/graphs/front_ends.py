"""The choice of a front end for a loss."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gradcheck.dtypes import Kind
from gradcheck.graphs import numpy, ops
from gradcheck.graphs.graph import Graph, Shape
from gradcheck.graphs.lowering import ProblemInputs
from gradcheck.graphs.results import line_of
from gradcheck.graphs.sources import RecordingError

DUMPED = ("torch", "jax")
"""The engines whose functions have a front end: it is `gradcheck.graphs.NAME`."""


def record(loss: Callable[..., Any], shapes: Mapping[str, Shape], kinds: Mapping[str, Kind] | None = None) -> Graph:
    """Record a loss.

    Args:
        loss: ``loss(ops, **inputs)`` in words, or ``loss(**inputs)`` in NumPy's functions; it returns
            one number, an array, or a tuple or dictionary of arrays.
        shapes: of the inputs, by name.
        kinds: of the inputs that are not floating, by name.

    Raises:
        RecordingError: an unknown word, shapes that do not fit, a name watched twice, another return value.
    """
    if takes_ops(loss, shapes):
        return ops.record(loss, shapes, kinds or {})
    if _takes(loss, **shapes):
        return numpy.record(loss, shapes, kinds or {})
    names = ", ".join(shapes)
    raise RecordingError(
        f"{line_of(loss)}: loss{inspect.signature(loss)}: expected loss(ops, {names}), or loss({names}) written in "
        "NumPy, with the inputs' names"
    )


def lowered(
    engine: str, dump: Mapping[str, Any], dtype: str, shapes: Mapping[str, Shape], kinds: Mapping[str, Kind]
) -> Graph:
    """The graph of a loss in an engine's own code.

    Args:
        engine: one of `DUMPED`.
        dump: of its program.
        dtype: of the case.
        shapes: of the inputs, by name.
        kinds: of the inputs.

    Raises:
        RecordingError: an operator has no row, or its arguments do not fit.
    """
    front_end = importlib.import_module(f"gradcheck.graphs.{engine}")
    graph: Graph = front_end.record(dump, dtype, ProblemInputs(shapes, kinds))
    return graph


def rows_of(engine: str) -> list[str]:
    """The operators of an engine that stay as they are in a dump; a front end takes the others apart."""
    return list(importlib.import_module(f"gradcheck.graphs.{engine}").ROWS)


def takes_ops(loss: Callable[..., Any], inputs: Iterable[str]) -> bool:
    """Whether a loss is written in words of `ops`; if not, it is a function of the inputs alone, in NumPy."""
    return _takes(loss, None, **dict.fromkeys(inputs))


def _takes(loss: Callable[..., Any], /, *arguments: Any, **named: Any) -> bool:
    """Whether a function can be called like this."""
    try:
        inspect.signature(loss).bind(*arguments, **named)
    except TypeError:
        return False
    return True
