"""The tape: a loss and its reverse pass as one straight-line program over the table of operations."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck import graphs
from gradcheck.dtypes import Kind
from gradcheck.errors import RequestError
from gradcheck.graphs import Graph, RecordingError
from gradcheck.graphs.graph import python_index
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations import RULES, Errors, Operation, Recorder, Shape, Variable
from gradcheck.oracle.operations.arithmetic import ACCUMULATE
from gradcheck.oracle.operations.base import Contribution, Placed, apply, constant, integers, middle, operated, total
from gradcheck.oracle.operations.reductions import broadcast_to, sum_to
from gradcheck.oracle.operations.scattering import scatter_add
from gradcheck.oracle.operations.structure import of_conditions
from gradcheck.oracle.operations.terms import Bounded, Spread, Values, Variances

Key = tuple[str, str | None]
"""The kind and name of an output: ("loss", None), or "value", "adjoint" or "gradient" with its name."""
OF_LISTS = ("concat", "stack", "einsum")
"""Words that take their operands as one list."""


@dataclass(frozen=True, slots=True)
class TapeNode:
    """One step: an operation, the indices of the nodes it takes, its shape and kind; an input has a name instead.

    `place` is the `file:line` of the user's source that wrote it. `chosen` are the nodes of the integers to which it is
    bound: floats may decide these (R43).
    """

    operation: Operation | None
    operands: tuple[int, ...]
    shape: Shape
    name: str | None = None
    kind: Kind = "floating"
    place: str | None = None
    chosen: tuple[int, ...] = ()

    @property
    def sources(self) -> tuple[int, ...]:
        """All nodes on which it depends."""
        return (*self.operands, *self.chosen)

    @property
    def decides(self) -> bool:
        """Whether it is made of booleans."""
        return self.kind == "boolean"


@dataclass(frozen=True, eq=False)
class Tape:
    """A straight-line program for a loss, its gradients, its watched values and their adjoints.

    Attributes:
        nodes: in order of computation.
        outputs: each output -> index of its node: values in order, the loss, adjoints backwards, gradients.
        graph: the loss from which it was made.
    """

    nodes: tuple[TapeNode, ...]
    outputs: Mapping[Key, int]
    graph: Graph

    @property
    def wrt(self) -> tuple[str, ...]:
        """The inputs whose gradients are asked for."""
        return tuple(name for kind, name in self.outputs if kind == "gradient" and name is not None)

    @property
    def watched(self) -> tuple[str, ...]:
        """Names of the watched values in order of computation."""
        return tuple(name for kind, name in self.outputs if kind == "value" and name is not None)

    @cached_property
    def consumed(self) -> frozenset[int]:
        """The nodes that are operands of other nodes."""
        return frozenset(operand for node in self.nodes for operand in node.operands)

    def resolved(self, conventions: Mapping[str, str]) -> Tape:
        """The tape of an engine that follows a convention at exact ties, by the names of the operations that tie."""

        def kept(node: TapeNode) -> TapeNode:
            operation = node.operation
            if operation is None or not operation.conventions or operation.name not in conventions:
                return node
            return replace(node, operation=operation.conventions[conventions[operation.name]])

        return replace(self, nodes=tuple(map(kept, self.nodes)))

    def at(self, inputs: Mapping[str, Any]) -> Tape:
        """The tape of a case, whose integers are known: they are no operands, but in the operations that pick by them.

        Raises:
            RequestError: an integer is no place of the axis for which it stands, or grows beyond 2**53.
        """
        if all(node.kind != "integer" for node in self.nodes):
            return self
        known: dict[int, Any] = {}
        nodes = []
        for index, node in enumerate(self.nodes):
            if node.operation is not None and node.operation.bind is not None:
                node = _bound(node, node.operation, known)
            elif node.operation is not None and node.operation.settle is not None:
                node = replace(node, operation=node.operation.settle(known[node.operands[0]]))
            if node.kind == "integer" or index < self._unsettled:
                known[index] = _value_of(node, inputs, [known.get(operand) for operand in node.operands])
            nodes.append(node)
        return replace(self, nodes=tuple(nodes))

    @cached_property
    def _unsettled(self) -> int:
        """The number of nodes up to the last one whose integers follow from floats of the case."""
        settling = [node.operation is not None and node.operation.settle is not None for node in self.nodes]
        return max((index + 1 for index, is_one in enumerate(settling) if is_one), default=0)

    def following(self, starts: Collection[int]) -> frozenset[int]:
        """Some nodes, and all that depend on them."""
        found = set(starts)
        for index, node in enumerate(self.nodes if found else ()):
            if not found.isdisjoint(node.sources):
                found.add(index)
        return frozenset(found)

    @cached_property
    def outputs_of(self) -> Mapping[int, list[Key]]:
        """The outputs that each node makes."""
        outputs: dict[int, list[Key]] = {}
        for key, index in self.outputs.items():
            outputs.setdefault(index, []).append(key)
        return outputs


def entries_of(node: TapeNode, inputs: Mapping[str, Any]) -> NDArray[Any]:
    """The entries of an input, exact: floats, integers or booleans."""
    array = np.asarray(inputs[str(node.name)])
    if node.kind != "floating":
        return array.astype(bool if node.decides else np.int64)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _value_of(node: TapeNode, inputs: Mapping[str, Any], operands: Sequence[Any]) -> NDArray[Any]:
    """The entries of a step of a case, floats in float64; integers that are settled need no operand."""
    if node.operation is None:
        return entries_of(node, inputs)
    if any(operand is None for operand in operands):
        return np.asarray(node.operation.value(*operands))
    try:
        with np.errstate(all="ignore"):
            return middle(np.dtype(np.float64), node.operation, operands)
    except OverflowError as error:
        raise RequestError(f"{node.place or 'loss'}: {error}") from None


def _bound(node: TapeNode, operation: Operation, known: Mapping[int, Any]) -> TapeNode:
    """A node whose last operands are known integers, without them."""
    assert operation.bind is not None
    count = operation.indices
    try:
        bound = operation.bind(*(known[operand] for operand in node.operands[-count:]))
    except IndexError as error:
        raise RequestError(f"{node.place or 'loss'}: {error}") from None
    if node.decides:
        bound = of_conditions(bound)
    return replace(node, operation=bound, operands=node.operands[:-count], chosen=node.operands[-count:])


def tape_of(graph: Graph, wrt: Sequence[str]) -> Tape:
    """The tape of a loss and its reverse pass.

    Args:
        graph: the loss.
        wrt: the inputs whose gradients are requested; zero for those that the loss does not use.

    Raises:
        RecordingError: a gradient is requested for a name that is not an input.
    """
    if unknown := [name for name in wrt if name not in graph.inputs]:
        raise RecordingError(
            f"gradients are requested of {unknown[0]!r}, which is not one of the inputs {', '.join(graph.inputs)}"
        )
    recording = TapeRecording()
    variables = recording.steps(graph)
    inputs = {str(node.name): variables[place] for place, node in enumerate(graph.nodes) if node.word == "input"}
    loss = variables[graph.outputs["loss"]]
    if graph.directions:
        loss = recording.slope(loss, [(inputs[name], inputs[along]) for name, along in graph.directions.items()])
    return recording.finish(graph, loss, {name: inputs[name] for name in wrt})


def forward_of(graph: Graph, places: Iterable[int]) -> Tape:
    """The tape of some steps of a loss without a reverse pass: the outputs are ("value", the step's place as text)."""
    recording = TapeRecording()
    variables = recording.steps(graph)
    return recording.of({("value", str(place)): variables[place] for place in places}, graph)


def record(loss: Callable[..., Any], shapes: Mapping[str, Shape], wrt: Sequence[str]) -> Tape:
    """The tape of a loss that is a function; see `gradcheck.graphs.record` and `tape_of`."""
    return tape_of(graphs.record(loss, shapes), wrt)


def _identity_worst(format: Format, result: Values, a: Bounded) -> Errors:
    """Engines watch v by adding a zero to it: the sum flushes (FTZ, DAZ), and is exact otherwise."""
    if format.flushes_results or format.flushes_inputs:
        return total(a.error, np.full(result.size.shape, 2 * format.normal))
    return a.error


def _identity_variance(format: Format, result: Values, a: Spread) -> Variances:
    if format.flushes_results or format.flushes_inputs:
        return total(a.variance, np.full(result.size.shape, format.variance_floor))
    return a.variance


def _identity(name: str) -> Operation:
    return Operation(
        name,
        lambda a: a,
        lambda g, _v, _a: (g,),
        _identity_worst,
        _identity_variance,
        keeps_infinities=True,
        moves=True,
    )


WATCH, ADJOINT = _identity("watch"), _identity("adjoint")


class TapeRecording(Recorder):
    """A tape during its construction."""

    def __init__(self) -> None:
        self._nodes: list[TapeNode] = []
        self._variables: list[Variable] = []
        self._watched: dict[str, Variable] = {}
        self._place: str | None = None

    def steps(self, graph: Graph) -> list[Variable]:
        """Add the steps of a graph, and return the variable of each node."""
        variables: list[Variable] = []
        for node in graph.nodes:
            variables.append(self.step(node, [variables[operand] for operand in node.operands], graph.constants))
        return variables

    def step(self, node: graphs.Node, operands: list[Variable], constants: Mapping[str, Any]) -> Variable:
        """Add the steps of a node of the graph."""
        self._place = f"{node.file}:{node.line}" if node.file else None
        if node.word == "input":
            return self._add(TapeNode(None, (), node.shape, node.name, node.kind))
        if node.word == "constant":
            value: Any = constants[node.name] if node.name else node.attributes["value"]
            if node.kind == "integer":
                return self._add(TapeNode(integers(value), (), node.shape, kind="integer"))
            return self.append(constant(value if node.name else float(value)), ())
        if node.word == "watch":
            return self.watch(str(node.name), operands[0])
        function, attributes = RULES[node.word].function, dict(node.attributes)
        if node.word == "index":
            return function(*operands, python_index(attributes["index"]))  # type: ignore[no-any-return, arg-type]
        return function(*([operands] if node.word in OF_LISTS else operands), **attributes)  # type: ignore[no-any-return]

    def append(self, operation: Operation, operands: Sequence[Variable]) -> Variable:
        """Add a step."""
        if operation.moves and operands and operands[0].is_condition:
            operation = of_conditions(operation)
        shape = operation.shape(*(operand.shape for operand in operands))
        places = tuple(operand.index for operand in operands)
        moved = operands[0].kind if operation.moves and operands else "floating"
        kind: Kind = "boolean" if operation.compares else "integer" if operation.settle is not None else moved
        return self._add(TapeNode(operation, places, shape, kind=kind, place=self._place))

    def watch(self, name: str, value: Variable) -> Variable:
        """Name a value."""
        self._watched[name] = apply(WATCH, value)
        return self._watched[name]

    def slope(self, loss: Variable, directions: Sequence[tuple[Variable, Variable]]) -> Variable:
        """Append a reverse pass and the derivative of the loss along directions of inputs.

        Args:
            loss: a scalar.
            directions: inputs, each with its direction.
        """
        adjoints = self._reverse(loss, {variable.index for variable, _ in directions})
        terms = [operated("sum", along * adjoints[variable.index]) for variable, along in directions]
        return functools.reduce(operator.add, terms)

    def finish(self, graph: Graph, loss: Variable, wrt: Mapping[str, Variable]) -> Tape:
        """Append the reverse pass, and drop what no output needs."""
        targets = {variable.index for variable in (*wrt.values(), *self._watched.values())}
        adjoints = self._reverse(loss, targets)
        names = reversed(self._watched)
        outputs: dict[Key, int] = {("value", name): value.index for name, value in self._watched.items()}
        outputs["loss", None] = loss.index
        outputs |= {("adjoint", name): adjoints[self._watched[name].index].index for name in names}
        outputs |= {("gradient", name): adjoints[variable.index].index for name, variable in wrt.items()}
        return _pruned(self._nodes, outputs, graph)

    def of(self, outputs: Mapping[Key, Variable], graph: Graph) -> Tape:
        """The recorded steps that some outputs need."""
        return _pruned(self._nodes, {key: variable.index for key, variable in outputs.items()}, graph)

    def _add(self, node: TapeNode) -> Variable:
        variable = Variable(self, len(self._nodes), node.shape, node.kind)
        self._nodes.append(node)
        self._variables.append(variable)
        return variable

    def pull_back(self, result: Variable, gradient: Variable, operands: Sequence[Variable]) -> list[Variable]:
        """Append a reverse pass from a result to operands of it, as if these were inputs."""
        targets = {operand.index for operand in operands}
        adjoints = self._reverse(result, targets, gradient, leaves=targets)
        return [adjoints[operand.index] for operand in operands]

    def _reverse(
        self, result: Variable, targets: set[int], gradient: Variable | None = None, leaves: Collection[int] = ()
    ) -> dict[int, Variable]:
        """The adjoints of the target nodes, for the gradient of a result, by default 1; it does not pass leaves."""
        started = self.append(constant(1.0), ()) if gradient is None else gradient
        contributions: dict[int, list[Contribution]] = {result.index: [started]}
        adjoints: dict[int, Variable] = {}
        for index in range(result.index, -1, -1):
            parts = contributions.pop(index, [])
            if not parts:
                continue
            adjoint = _accumulated(parts, self._nodes[index])
            if index in targets:
                adjoints[index] = adjoint
            if index in leaves:
                continue
            for operand, part in self._contributions(index, adjoint):
                contributions.setdefault(operand.index, []).append(part)
        for index in targets - adjoints.keys():
            adjoints[index] = broadcast_to(self.append(constant(0.0), ()), self._variables[index].shape)
        return adjoints

    def _contributions(self, index: int, adjoint: Variable) -> Iterator[tuple[Variable, Contribution]]:
        """The contributions of an adjoint: one for each operand, of its shape or placed in it."""
        node = self._nodes[index]
        if node.operation is None:
            return
        operands = [self._variables[operand] for operand in node.operands]
        parts = node.operation.gradients(adjoint, self._variables[index], *operands)
        for operand, part in zip(operands, parts, strict=True):
            if part is not None:
                yield operand, part if isinstance(part, Placed) else sum_to(part, operand.shape)


def _accumulated(parts: Sequence[Contribution], node: TapeNode) -> Variable:
    """The adjoint of a node: the sum of the contributions to it."""
    whole = [part for part in parts if not isinstance(part, Placed)]
    if len(whole) < len(parts):
        total = scatter_add(parts, node.shape)
    else:
        total = whole[0] if len(whole) == 1 else whole[0] + whole[1] if len(whole) == 2 else apply(ACCUMULATE, *whole)
    return apply(ADJOINT, total) if node.operation is WATCH else total


def _pruned(nodes: Sequence[TapeNode], outputs: Mapping[Key, int], graph: Graph) -> Tape:
    """The nodes that an output needs, renumbered."""
    needed = set(outputs.values())
    for index in range(len(nodes) - 1, -1, -1):
        if index in needed:
            needed.update(nodes[index].operands)
    place = {index: position for position, index in enumerate(sorted(needed))}
    kept = tuple(
        replace(node, operands=tuple(place[operand] for operand in node.operands))
        for node in (nodes[index] for index in sorted(needed))
    )
    return Tape(kept, {key: place[index] for key, index in outputs.items()}, graph)
