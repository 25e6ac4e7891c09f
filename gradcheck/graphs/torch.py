"""The front end for functions in PyTorch: it lowers a dump of `gradcheck.backends._torch_export` to words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradcheck.graphs import torch_arrays, torch_entries, torch_layers, torch_ordering, torch_windows
from gradcheck.graphs.graph import Graph
from gradcheck.graphs.lowering import Lowering, ProblemInputs
from gradcheck.graphs.torch_reasons import reason
from gradcheck.graphs.torch_rows import ROWS
from gradcheck.graphs.values import Value

CONVERSION = "aten._to_copy.default"
FILES = (torch_entries, torch_arrays, torch_layers, torch_ordering, torch_windows)
"""The modules that fill the table."""


def record(dump: Mapping[str, Any], dtype: str, problem: ProblemInputs | None = None) -> Graph:
    """The graph of a dump.

    Its inputs are the floating inputs of the dump that have the dtype, by their names; those of other dtypes are
    constants.

    Args:
        dump: see `gradcheck.backends._torch_export`.
        dtype: of the check.
        problem: the inputs of a problem, whose loss it is.

    Raises:
        RecordingError: an operator has no row, or its arguments do not fit; the message begins with the user's line.
    """
    return _TorchLowering(dump, dtype, problem).graph()


class _TorchLowering(Lowering):
    """The making of one graph of a program of torch.export."""

    def names(self) -> dict[int, str]:
        """The places of values that modules return, in the graph, and the modules' paths, the innermost first.

        A module returns one tensor where a single one of its steps is used outside of it.
        """
        nodes = self.dump["nodes"]
        users: dict[int, set[int]] = {place: set() for place in range(len(nodes))}
        for place, node in enumerate(nodes):
            for operand in _operands(node.get("arguments")):
                users[operand].add(place)
        paths = {path for node in nodes for path in _with_parents(node["module"])}
        found: dict[int, str] = {}
        for path in sorted(paths, key=lambda path: (-path.count("."), path)):
            inside = {place for place, node in enumerate(nodes) if path in _with_parents(node["module"])}
            returned = [place for place in inside if users[place] - inside or place in self.dump["outputs"].values()]
            value = self.values[returned[0]] if len(returned) == 1 else None
            if isinstance(value, Value) and value.kind == "floating":
                found.setdefault(value.index, path)
        return found

    def lowered(self, node: Mapping[str, Any]) -> Any:
        operator, arguments = node["operator"], self._decoded(node["arguments"])
        if operator == "getitem":
            return self._picked(*arguments)
        if operator not in ROWS and operator != CONVERSION:
            raise ValueError(reason(operator, self.instead))
        self.check_dtype(node["dtype"])
        if operator != CONVERSION:
            return ROWS[operator](**arguments)
        source = self.dump["nodes"][node["arguments"]["self"]["node"]]["dtype"]
        return self.converted(arguments["self"], source, node["dtype"])

    def called(self, node: Mapping[str, Any]) -> str:
        is_piece = node["operator"] == "getitem"
        return str(self.dump["nodes"][node["arguments"][0]["node"]]["operator"] if is_piece else node["operator"])

    def output(self, reference: Any) -> Value:
        value: Value = self.values[reference]
        return value

    def _decoded(self, argument: Any) -> Any:
        if isinstance(argument, Mapping):
            if "node" in argument:
                return self.values[argument["node"]]
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
