"""The front end for functions in PyTorch: it lowers a dump of `gradcheck.backends._torch_export` to words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck.dtypes import LAYOUTS
from gradcheck.graphs import torch_arrays, torch_entries, torch_layers
from gradcheck.graphs.graph import Graph
from gradcheck.graphs.results import finished
from gradcheck.graphs.sources import RecordingError, written_at
from gradcheck.graphs.torch_reasons import reason
from gradcheck.graphs.torch_rows import ROWS, word
from gradcheck.graphs.values import Recording, Value

CONVERSION = "aten._to_copy.default"
FILES = (torch_entries, torch_arrays, torch_layers)
"""The modules that fill the table."""


def wide_enough(dtype: str) -> list[str]:
    """The dtypes in which a step rounds no more than in that of a check: itself, and those with all of its numbers."""
    own = LAYOUTS[dtype]
    return [
        name
        for name, layout in LAYOUTS.items()
        if layout.bits >= own.bits and layout.lowest_exponent <= own.lowest_exponent and layout.largest >= own.largest
    ]


def record(dump: Mapping[str, Any], dtype: str) -> Graph:
    """The graph of a dump.

    Its inputs are the floating inputs of the dump that have the dtype, by their names; those of other dtypes are
    constants.

    Args:
        dump: see `gradcheck.backends._torch_export`.
        dtype: of the check.

    Raises:
        RecordingError: an operator has no row, or its arguments do not fit; the message begins with the user's line.
    """
    return _Lowering(dump, dtype).graph()


class _Lowering:
    """The making of one graph."""

    def __init__(self, dump: Mapping[str, Any], dtype: str) -> None:
        self._dump = dump
        self._dtype = dtype
        self._recording = Recording()
        nodes = dump["nodes"]
        inputs = [node for node in nodes if node["operator"] == "input" and node["dtype"] == dtype]
        self._inputs = self._recording.inputs({node["name"]: tuple(node["shape"]) for node in inputs}, {})
        self._values: list[Any] = []

    def graph(self) -> Graph:
        """Lower every node."""
        for node in self._dump["nodes"]:
            with written_at(node["file"], node["line"]):
                self._values.append(self._lowered(node))
        outputs = {label: self._values[place] for label, place in self._dump["outputs"].items()}
        if not outputs:
            raise RecordingError("the function returns no floating tensor: expected one that depends on its inputs")
        is_loss = list(outputs) == [""] and outputs[""].shape == ()
        return finished(_loss, self._recording, outputs[""] if is_loss else outputs, self._modules())

    def _modules(self) -> dict[int, str]:
        """The places of values that modules return, in the graph, and the modules' paths, the innermost first.

        A module returns one tensor where a single one of its steps is used outside of it.
        """
        nodes = self._dump["nodes"]
        users: dict[int, set[int]] = {place: set() for place in range(len(nodes))}
        for place, node in enumerate(nodes):
            for operand in _operands(node.get("arguments")):
                users[operand].add(place)
        paths = {path for node in nodes for path in _with_parents(node["module"])}
        found: dict[int, str] = {}
        for path in sorted(paths, key=lambda path: (-path.count("."), path)):
            inside = {place for place, node in enumerate(nodes) if path in _with_parents(node["module"])}
            returned = [place for place in inside if users[place] - inside or place in self._dump["outputs"].values()]
            value = self._values[returned[0]] if len(returned) == 1 else None
            if isinstance(value, Value) and value.kind == "floating":
                found.setdefault(value.index, path)
        return found

    def _lowered(self, node: Mapping[str, Any]) -> Any:
        operator = node["operator"]
        if operator == "input" and node["name"] in self._inputs:
            return self._inputs[node["name"]]
        if operator in ("input", "constant"):
            return self._constant(self._dump["arrays"][node["name"]])
        where = f"{node['file']}:{node['line']}" if node["file"] else "?"
        called = self._dump["nodes"][node["arguments"][0]["node"]]["operator"] if operator == "getitem" else operator
        try:
            arguments = self._decoded(node["arguments"])
            if operator == "getitem":
                return self._picked(*arguments)
            if operator not in ROWS and operator != CONVERSION:
                raise ValueError(reason(operator))
            self._check_dtype(node)
            return self._converted(node, arguments["self"]) if operator == CONVERSION else ROWS[operator](**arguments)
        except RecordingError as error:
            raise RecordingError(f"{error} ({operator})") from error
        except (TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
            raise RecordingError(f"{where}: {called}: {error}") from error

    def _check_dtype(self, node: Mapping[str, Any]) -> None:
        """Refuse a step in a narrower dtype than that of the check: its rounding errors are larger."""
        dtype = node["dtype"]
        if dtype and dtype.startswith(("complex", "float8")):
            raise ValueError(f"it computes in {dtype}: expected real numbers of {' or '.join(LAYOUTS)}")
        if dtype in LAYOUTS and dtype not in wide_enough(self._dtype):
            expected = f"expected {' or '.join(wide_enough(self._dtype))}, or inputs in {dtype}"
            raise ValueError(f"it computes in {dtype}, in a check of {self._dtype}: {expected}")

    def _constant(self, array: Any) -> Any:
        """Known entries: integers, booleans and NaN stay an array, which words take as it is."""
        if array.dtype.kind != "f" or np.isnan(array).any():
            return array
        return self._recording.constant(np.asarray(array, np.float64))

    def _decoded(self, argument: Any) -> Any:
        if isinstance(argument, Mapping):
            if "node" in argument:
                return self._values[argument["node"]]
            if "number" in argument:
                return float(argument["number"])
            return {name: self._decoded(each) for name, each in argument.items()}
        if isinstance(argument, Sequence) and not isinstance(argument, str):
            return [self._decoded(each) for each in argument]
        return argument

    def _picked(self, results: Sequence[Any], place: int) -> Any:
        """One of several results."""
        if place < len(results) and results[place] is not None:
            return results[place]
        raise ValueError(f"its result {place} has no word: expected a function that does not use it")

    def _converted(self, node: Mapping[str, Any], value: Any) -> Any:
        """A tensor in another dtype; narrowing to the dtype of the check rounds, as a product with one does."""
        source, target = self._dump["nodes"][node["arguments"]["self"]["node"]]["dtype"], node["dtype"]
        if not isinstance(value, Value):
            if target in LAYOUTS:
                return self._recording.constant(np.asarray(value, np.float64))
            return value.astype(np.dtype(target))
        if target == "bool":
            return ROWS["aten.ne.Scalar"](value, 0)
        if target not in LAYOUTS:
            raise ValueError(f"it makes {target} of floating numbers: expected steps that stay floating")
        if value.kind != "floating":
            return word("astype")(value)
        return value * 1.0 if target == self._dtype and source != target else value


def _operands(argument: Any) -> Iterator[int]:
    """The places of the nodes in arguments."""
    if isinstance(argument, Mapping):
        if "node" in argument:
            yield argument["node"]
            return
        argument = list(argument.values())
    if isinstance(argument, list):
        for each in argument:
            yield from _operands(each)


def _with_parents(path: str) -> list[str]:
    """The path of a module and those of the modules around it, without the outermost."""
    names = path.split(".") if path else []
    return [".".join(names[:count]) for count in range(1, len(names) + 1)]


def _loss() -> None:
    """The function, in messages about what it returns."""
