"""The graph: a loss as nodes of words, with the lines of the user's source; and its JSON form."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gradcheck.dtypes import Kind

FORMAT: Literal["gradcheck-graph/1"] = "gradcheck-graph/1"
LOSS, OUTPUT, COTANGENT, DIRECTION = "loss", "output", "cotangent", "direction"
"""Names among the outputs, and of inputs: "output[0]" has the cotangent "cotangent[0]", see `Graph`."""
Shape = tuple[int, ...]


class Slice(msgspec.Struct, frozen=True):
    """A slice in an index, as Python has it."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None


Piece = int | str | Slice | tuple[int, ...] | None
"""A part of an index, a shape, or another tuple.

It is a whole number, a slice, "..." for all other axes, null for a new one, or several numbers.
"""
Attribute = bool | int | float | str | tuple[Piece, ...] | None


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a loss.

    Attributes:
        word: a word of the vocabulary; "input" and "constant" for arrays from outside; "watch" for a name.
        operands: the places of its operands among the nodes.
        attributes: its other arguments: axes, shapes, indices, exponents. A number of the loss is the "value" of a
            constant; an array of the loss is a constant without one.
        shape: of its value.
        kind: of its entries.
        name: of an input, a constant array, or a watched value.
        file: the path of the source that wrote it.
        line: the line in that file, from 1.
    """

    word: str
    operands: tuple[int, ...] = ()
    attributes: dict[str, Attribute] = {}
    shape: Shape = ()
    kind: Kind = "floating"
    name: str | None = None
    file: str | None = None
    line: int | None = None

    @property
    def is_step(self) -> bool:
        """Whether it computes numbers that a user can watch."""
        return self.word not in ("input", "constant", "watch") and self.kind == "floating"


class ConstantArray(msgspec.Struct, frozen=True):
    """A constant array in JSON: float64 or int64, row by row; not finite: "NaN", "Infinity" or "-Infinity"."""

    shape: Shape
    data: list[int | float | str]


class GraphRecord(msgspec.Struct, frozen=True):
    """The JSON form of a graph: the nodes in order of computation."""

    format: Literal["gradcheck-graph/1"]
    nodes: tuple[Node, ...]
    outputs: dict[str, int]
    constants: dict[str, ConstantArray] = {}
    directions: dict[str, str] = {}


@dataclass(frozen=True, eq=False)
class Graph:
    """A loss.

    Attributes:
        nodes: in order of computation: each takes only nodes before it.
        outputs: name -> the place of its node; "loss" is a scalar. A loss that returns arrays has "output", or
            "output[0]" and "output[1]" of a tuple, "output[mean]" of a dictionary, all watched, and the last inputs are
            their cotangents, "cotangent[0]" for example: then "loss" is Σ cotangent · output.
        constants: name -> the array of a constant node: float64, or int64 of integers.
        directions: input -> the input that holds its direction, "A" -> "direction[A]" for example. If there are any,
            the derivative of L along them, v·∇L, takes the place of L: its gradient is the product of the Hessian of L
            and v.
    """

    nodes: tuple[Node, ...]
    outputs: Mapping[str, int]
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    directions: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, Shape]:
        """The shapes of the inputs by name."""
        return {str(node.name): node.shape for node in self.nodes if node.word == "input"}

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kinds of the inputs by name."""
        return {str(node.name): node.kind for node in self.nodes if node.word == "input"}

    @property
    def cotangents(self) -> dict[str, Shape]:
        """The shapes of the cotangents by name: these inputs are none of the problem's own."""
        names = [name.replace(OUTPUT, COTANGENT, 1) for name in self.outputs if name != LOSS]
        return {name: self.inputs[name] for name in names}

    def along(self, wrt: Sequence[str]) -> Graph:
        """The derivative of the loss along directions of some inputs, which are its last inputs."""
        directions = {name: f"{DIRECTION}[{name}]" for name in wrt}
        nodes = (Node("input", shape=self.inputs[name], name=direction) for name, direction in directions.items())
        return replace(self, nodes=(*self.nodes, *nodes), directions=directions)

    @property
    def output_names(self) -> dict[str, str]:
        """The names under which the outputs of a loss that returns arrays are watched, by label."""
        return {label: str(self.nodes[place].name) for label, place in self.outputs.items() if label != LOSS}

    @cached_property
    def watched(self) -> Mapping[str, int]:
        """The watched values: name -> the place of its node, in order of computation."""
        return {str(node.name): index for index, node in enumerate(self.nodes) if node.word == "watch"}

    def watching(self, names: Mapping[int, str]) -> Graph:
        """The same loss with more watched values.

        Args:
            names: places of nodes -> the names under which their values are watched.
        """
        places: list[int] = []
        nodes: list[Node] = []
        for index, node in enumerate(self.nodes):
            nodes.append(msgspec.structs.replace(node, operands=tuple(places[each] for each in node.operands)))
            if index in names:
                operand = (len(nodes) - 1,)
                nodes.append(Node("watch", operand, {}, node.shape, "floating", names[index], node.file, node.line))
            places.append(len(nodes) - 1)
        return replace(self, nodes=tuple(nodes), outputs={name: places[each] for name, each in self.outputs.items()})

    def watching_all(self) -> Graph:
        """The same loss with every step watched; a step without a name gets one of its word and its number."""
        taken = {node.name for node in self.nodes}
        already = {index for place in self.watched.values() for index in (place, *self.nodes[place].operands)}
        unnamed = [
            (index, f"{node.word} {index}")
            for index, node in enumerate(self.nodes)
            if node.is_step and index not in already and index not in self.outputs.values()
        ]
        return self.watching({index: name for index, name in unnamed if name not in taken})

    def needed(self, places: Iterable[int]) -> set[int]:
        """The nodes from which some nodes are computed, including these."""
        found = set(places)
        for index in range(len(self.nodes) - 1, -1, -1):
            if index in found:
                found.update(self.nodes[index].operands)
        return found

    def pruned(self) -> Graph:
        """The same loss without nodes that neither it nor a watched value needs; inputs stay."""
        roots = {index for index, node in enumerate(self.nodes) if node.word in ("input", "watch")}
        kept = sorted(self.needed(roots | set(self.outputs.values())))
        place = {index: position for position, index in enumerate(kept)}
        nodes = tuple(
            msgspec.structs.replace(node, operands=tuple(place[operand] for operand in node.operands))
            for node in (self.nodes[index] for index in kept)
        )
        arrays = {str(node.name) for node in nodes if node.word == "constant"}
        constants = {name: array for name, array in self.constants.items() if name in arrays}
        outputs = {name: place[index] for name, index in self.outputs.items()}
        return replace(self, nodes=nodes, outputs=outputs, constants=constants)

    def first_difference(self, other: Graph) -> Node | None:
        """The first node that differs from that of another graph, or whose constant differs; None if no node does."""
        for mine, theirs in itertools.zip_longest(self.nodes, other.nodes):
            same = mine == theirs
            if same and mine.word == "constant" and mine.name:
                same = np.array_equal(self.constants[mine.name], other.constants[mine.name])
            if not same:
                return mine or theirs
        return None

    def place_of(self, kind: str, name: str | None) -> tuple[str, int] | None:
        """The file and line of a step: of a watched value and its adjoint, of the loss, of the first use of an input.

        Args:
            kind: "value", "adjoint", "loss" or "gradient".
            name: of the watched value, or of the input; None for the loss.
        """
        node = self._node_of(kind, name)
        return None if node is None or node.file is None or node.line is None else (node.file, node.line)

    def after(self, name: str, given: Collection[str]) -> list[int]:
        """The places of the steps between an input or a watched value and the next given values, nearest first.

        Args:
            name: of the input or the watched value.
            given: the names of watched values; the loss and its outputs are given too.
        """
        start = {
            place for place, node in enumerate(self.nodes) if node.word in ("input", "watch") and node.name == name
        }
        ends = {self.outputs[LOSS]}
        for each in (*given, *self.output_names.values()):
            ends |= {self.watched[each], *self.nodes[self.watched[each]].operands} if each in self.watched else set()
        reached = set(start)
        for place, node in enumerate(self.nodes):
            if place not in ends and reached & set(node.operands):
                reached.add(place)
        return sorted(reached - start)

    def stages(self) -> dict[tuple[str, str | None], tuple[int, tuple[int, ...]]]:
        """The stages of the loss, in order: its inputs, watched values, and itself.

        Returns:
            The kind ("input", "value" or "loss") and the name -> the place of the node, and the numbers of the stages
            from which it is computed without another stage between.
        """
        own = {**self.cotangents, **dict.fromkeys(self.directions.values(), ())}
        keys: dict[tuple[str, str | None], tuple[int, tuple[int, ...]]] = {}
        number: dict[int, int] = {}
        before: list[frozenset[int]] = []
        for place, node in enumerate(self.nodes):
            found = frozenset().union(*(before[each] for each in node.operands))
            is_stage = node.word == "watch" or (node.word == "input" and node.name not in own)
            if is_stage:
                number[place] = len(keys)
                keys["value" if node.word == "watch" else "input", node.name] = (place, tuple(sorted(found)))
            before.append(frozenset([number[place]]) if is_stage else found)
        place = self.outputs[LOSS]
        keys[LOSS, None] = (place, tuple(sorted(before[place])))
        return keys

    def _node_of(self, kind: str, name: str | None) -> Node | None:
        if kind == "loss":
            return self.nodes[self.outputs[LOSS]]
        if kind == "gradient":
            places = [place for place, node in enumerate(self.nodes) if node.word == "input" and node.name == name]
            return next((node for node in self.nodes if places and places[0] in node.operands), None)
        if name is None or name not in self.watched:
            return None
        watch = self.nodes[self.watched[name]]
        made_by = self.nodes[watch.operands[0]]  # its line is more useful than that of a watch
        return made_by if made_by.file else watch

    def json(self) -> bytes:
        """The JSON form."""
        constants = {name: ConstantArray(array.shape, list(_numbers(array))) for name, array in self.constants.items()}
        return msgspec.json.encode(self._record(self.nodes, constants))

    @cached_property
    def message(self) -> Any:
        """The JSON form as a part of a message, without lines; its constants travel as arrays do."""
        nodes = tuple(msgspec.structs.replace(node, file=None, line=None) for node in self.nodes)
        return msgspec.Raw(msgspec.json.encode(self._record(nodes, {})))

    def _record(self, nodes: tuple[Node, ...], constants: dict[str, ConstantArray]) -> GraphRecord:
        return GraphRecord(FORMAT, nodes, dict(self.outputs), constants, dict(self.directions))


def _numbers(array: NDArray[Any]) -> Iterator[float | str]:
    for value in array.ravel().tolist():
        yield value if np.isfinite(value) else "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def schema() -> str:
    """The JSON Schema of the JSON form, as text."""
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(GraphRecord)}
    return msgspec.json.format(msgspec.json.encode(described), indent=2).decode() + "\n"


def python_index(pieces: Iterable[Any]) -> tuple[Any, ...]:
    """An index as Python has it, from the attribute of a node."""
    return tuple(
        ... if piece == "..." else slice(piece.start, piece.stop, piece.step) if isinstance(piece, Slice) else piece
        for piece in pieces
    )
