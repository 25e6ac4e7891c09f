"""The front end for losses written in words, `loss(ops, A, B)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gradcheck.dtypes import Kind
from gradcheck.graphs.graph import Graph, Shape
from gradcheck.graphs.instead import described, unknown_word
from gradcheck.graphs.results import checked, finished
from gradcheck.graphs.sources import RecordingError, UnknownAttributeError, user_line
from gradcheck.graphs.values import Recording, Value
from gradcheck.graphs.vocabulary import VOCABULARY
from gradcheck.graphs.words.algebra import Determinant, determinant
from gradcheck.graphs.words.making import MAKING, made
from gradcheck.graphs.words.moving import unstack


class Ops:
    """``ops`` for the loss."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __getattr__(self, name: str) -> Callable[..., Value]:
        if name in MAKING:
            return made(self._recording, name)
        if name not in VOCABULARY:
            raise UnknownAttributeError(
                f"{user_line()}: {unknown_word(name, ['unstack', 'watch', *MAKING, *VOCABULARY])}"
            )
        return VOCABULARY[name]

    def unstack(self, a: Any, axis: int = 0) -> tuple[Value, ...]:
        """The pieces along an axis, without it."""
        try:
            return unstack(a, axis)
        except (TypeError, ValueError, AttributeError) as error:
            reason = str(error) if isinstance(a, Value) else f"got {described(a)}: expected a value of the problem"
            raise RecordingError(f"{user_line()}: ops.unstack: {reason}") from error

    def slogdet(self, a: Any) -> Determinant:
        """The sign of a determinant, and the logarithm of its magnitude."""
        return determinant(a)

    def watch(self, *arguments: Any) -> Value:
        """Name an intermediate value, so that it and its adjoint are compared: ``watch(name, value)``."""
        return self._recording.watch(*arguments)


def record(loss: Callable[..., Any], shapes: Mapping[str, Shape], kinds: Mapping[str, Kind]) -> Graph:
    """The graph of `loss(ops, **inputs)`; see `gradcheck.graphs.record`."""
    recording = Recording()
    inputs = recording.inputs(shapes, kinds)
    return finished(loss, recording, checked(loss, loss(Ops(recording), **inputs), "ops.sum"))
