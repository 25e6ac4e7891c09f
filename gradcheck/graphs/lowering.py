"""The common part of front ends that lower a dump of another framework's program to words."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcheck.dtypes import LAYOUTS, Kind
from gradcheck.graphs.graph import Graph, Shape
from gradcheck.graphs.results import finished
from gradcheck.graphs.rows import word
from gradcheck.graphs.sources import RecordingError, written_at
from gradcheck.graphs.torch_entries import not_equal
from gradcheck.graphs.values import Recording, Value

RESULT, WATCHED = "[result]", "[watched]"
"""With which the labels of the outputs of a problem's program begin."""
INSTEAD = "reference= with the same function written in them"
INSTEAD_OF_LOSS = "a loss in words, with this one among its implementations"
NO_RESULT = "the function returns no floating array: expected one that depends on its inputs"
WRONG = (TypeError, ValueError, IndexError, AttributeError, KeyError)
"""What a row raises for arguments that do not fit."""


def wide_enough(dtype: str) -> list[str]:
    """The dtypes in which a step rounds no more than in that of a check: itself, and those with all of its numbers."""
    own = LAYOUTS[dtype]
    return [
        name
        for name, layout in LAYOUTS.items()
        if layout.bits >= own.bits and layout.lowest_exponent <= own.lowest_exponent and layout.largest >= own.largest
    ]


class ProblemInputs(NamedTuple):
    """The inputs of a problem in their order: shapes, and kinds. Integers and booleans are known in a program of it."""

    shapes: Mapping[str, Shape]
    kinds: Mapping[str, Kind]


class Lowering(abc.ABC):
    """The making of one graph.

    Args:
        dump: of a program; its nodes have "operator", "shape", "dtype", "file" and "line", and inputs and constants a
            "name", which is that of an array.
        dtype: of the check. Floating inputs of other dtypes are constants.
        problem: the inputs of a problem, whose loss the program is: others are constants, and a result that is one
            number needs no cotangent. Its outputs are those of `gradcheck.backends._worker.whole_files`.
    """

    def __init__(self, dump: Mapping[str, Any], dtype: str, problem: ProblemInputs | None = None) -> None:
        self.dump = dump
        self.dtype = dtype
        self.recording = Recording()
        inputs = [node for node in dump["nodes"] if node["operator"] == "input" and node["dtype"] == dtype]
        self._is_problem = problem is not None
        self.instead = INSTEAD_OF_LOSS if self._is_problem else INSTEAD
        own = problem or ProblemInputs({node["name"]: tuple(node["shape"]) for node in inputs}, {})
        self._inputs = self.recording.inputs(own.shapes, own.kinds)
        self.values: list[Any] = []

    @abc.abstractmethod
    def lowered(self, node: Mapping[str, Any]) -> Any:
        """The value, or the values, of a step."""

    @abc.abstractmethod
    def output(self, reference: Any) -> Value:
        """The value of an output."""

    def called(self, node: Mapping[str, Any]) -> str:
        """The name of a step in messages."""
        return str(node["operator"])

    def names(self) -> dict[int, str]:
        """The places of values in the graph that have names, and these."""
        return {}

    def graph(self) -> Graph:
        """Lower every node. Every output has a cotangent, one number too: a backward pass may ignore it.

        Raises:
            RecordingError: an operator has no row, or its arguments do not fit.
        """
        for node in self.dump["nodes"]:
            with written_at(node["file"], node["line"]):
                self.values.append(self._value_of(node))
        outputs = {label: self.output(each) for label, each in self.dump["outputs"].items()}
        if self._is_problem:
            return self._loss_of(outputs)
        if not outputs:
            raise RecordingError(NO_RESULT)
        return finished(_loss, self.recording, outputs, self.names())

    def _loss_of(self, outputs: Mapping[str, Value]) -> Graph:
        """The graph of a problem's loss: what it returns, and the values that it watches."""
        results = {label[len(RESULT) :]: each for label, each in outputs.items() if label.startswith(RESULT)}
        watched = {label[len(WATCHED) + 1 : -1]: each for label, each in outputs.items() if label.startswith(WATCHED)}
        if not results:
            raise RecordingError(NO_RESULT)
        names = {**self.names(), **{value.index: name for name, value in watched.items()}}
        is_number = list(results) == [""] and results[""].shape == ()
        return finished(_loss, self.recording, results[""] if is_number else results, names)

    def _value_of(self, node: Mapping[str, Any]) -> Any:
        operator = node["operator"]
        if operator == "input" and node["name"] in self._inputs:
            return self._inputs[node["name"]]
        if operator in ("input", "constant"):
            return self.constant(self.dump["arrays"][node["name"]])
        where = f"{node['file']}:{node['line']}" if node["file"] else "?"
        try:
            return self.lowered(node)
        except RecordingError as error:
            raise RecordingError(f"{error} ({operator})") from error
        except WRONG as error:
            raise RecordingError(f"{where}: {self.called(node)}: {error}") from error

    def check_dtype(self, dtype: str | None) -> None:
        """Refuse a step in a narrower dtype than that of the check: its rounding errors are larger.

        Raises:
            ValueError: it is narrower, or none of those of a check.
        """
        if dtype and dtype.startswith(("complex", "float8")):
            raise ValueError(f"it computes in {dtype}: expected real numbers of {' or '.join(LAYOUTS)}")
        if dtype in LAYOUTS and dtype not in wide_enough(self.dtype):
            expected = f"expected {' or '.join(wide_enough(self.dtype))}, or inputs in {dtype}"
            raise ValueError(f"it computes in {dtype}, in a check of {self.dtype}: {expected}")

    def constant(self, array: Any) -> Any:
        """Known entries: integers, booleans and NaN stay an array, which words take as it is."""
        if array.dtype.kind != "f" or np.isnan(array).any():
            return array
        return self.recording.constant(np.asarray(array, np.float64))

    def converted(self, value: Any, source: str, target: str) -> Any:
        """A value in another dtype; narrowing to the dtype of the check rounds, as a product with one does.

        Raises:
            ValueError: it makes integers of floating numbers.
        """
        if not isinstance(value, Value):
            if target in LAYOUTS:
                return self.recording.constant(np.asarray(value, np.float64))
            return value.astype(np.dtype(target))
        if target == "bool":
            return not_equal(value, 0) if value.kind == "floating" else value
        if value.kind == "integer" and target.startswith(("int", "uint")):
            return value
        if target not in LAYOUTS:
            raise ValueError(f"it makes {target} of floating numbers: expected steps that stay floating")
        if value.kind != "floating":
            return word("astype")(value)
        return value * 1.0 if target == self.dtype and source != target else value


def _loss() -> None:
    """The function, in messages about what it returns."""
