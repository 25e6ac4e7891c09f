"""The loss that a request carries as a graph of words, interpreted with an engine's own primitives."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradcheck.backends._worker.loss import DifferentiableLoss

Step = Callable[[Any, "list[Any]", Mapping[str, Any]], Any]
"""(ops, the values of earlier nodes, inputs) -> the value of a node."""
BETWEEN_VALUES = {
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "neg", "pow")},
    **{name: getattr(operator, name) for name in ("gt", "ge", "eq", "ne")},
    "and": operator.and_,
    "or": operator.or_,
    "invert": operator.invert,
    "power": operator.pow,
    "index": operator.getitem,
}
"""Operators between values: engines have them as Python's operators, or as functions of these names."""
OF_LISTS = ("concat", "stack", "einsum")
"""Words that take their operands as one list."""
IN_PLACE = (
    *("shape", "exponent", "index", "axes", "source", "destination", "num_classes"),
    *("shift", "repetitions", "repeats", "pad_width"),
)
"""Attributes that are passed by position: engines have different names for them."""


class InterpretedGraph(DifferentiableLoss):
    """A loss that a request carries.

    Args:
        message: `graph` of a request, as docs/protocol.md describes it.
    """

    def __init__(self, message: Mapping[str, Any]) -> None:
        super().__init__(message)
        self._steps = [step(node) for node in message["nodes"]]
        self._loss = message["outputs"]["loss"]

    def value(self, ops: Any, inputs: Mapping[str, Any]) -> Any:
        values: list[Any] = []
        for each in self._steps:
            values.append(each(ops, values, inputs))
        return values[self._loss]


def step(node: Mapping[str, Any]) -> Step:
    """The function that computes a node."""
    word, places = node["word"], node.get("operands", ())
    name: Any = node.get("name")
    attributes = {key: plain(key, value) for key, value in node.get("attributes", {}).items()}
    if word == "constant" and name is None:
        number = float(attributes["value"]) if isinstance(attributes["value"], str) else attributes["value"]
        return lambda _ops, _values, _inputs: number
    if word in ("input", "constant"):
        return lambda _ops, _values, inputs: inputs[name]
    if word == "watch":
        return lambda ops, values, _inputs: ops.watch(name, values[places[0]])
    return computing(word, places, attributes)


def computing(word: str, places: Sequence[int], attributes: Mapping[str, Any]) -> Step:
    """The function that computes a node of a word or an operator."""
    given = [value for key, value in attributes.items() if key in IN_PLACE]
    named = {key: value for key, value in attributes.items() if key not in IN_PLACE}

    def compute(ops: Any, values: list[Any], _inputs: Mapping[str, Any]) -> Any:
        function = BETWEEN_VALUES[word] if word in BETWEEN_VALUES and word not in ops else getattr(ops, word)
        operands: list[Any] = [values[place] for place in places]
        return function(*([operands] if word in OF_LISTS else operands), *given, **named)

    return compute


def plain(key: str, value: Any) -> Any:
    """An attribute as a loss in Python would write it."""
    if key == "index":
        return tuple(... if piece == "..." else sliced(piece) for piece in value)
    return tuple(plain(key, each) for each in value) if isinstance(value, list) else value


def sliced(piece: Any) -> Any:
    """A piece of an index: a slice is an object in JSON."""
    if isinstance(piece, dict):
        return slice(piece.get("start"), piece.get("stop"), piece.get("step"))
    return piece
