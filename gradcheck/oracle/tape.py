"""The tape: a loss and its reverse pass as one straight-line program over the table of operations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations import VOCABULARY, Errors, Operation, Recorder, Shape, Term, Variable
from gradcheck.oracle.operations.arithmetic import ACCUMULATE
from gradcheck.oracle.operations.base import Contribution, Placed, apply, constant, total
from gradcheck.oracle.operations.instead import described, unknown_word
from gradcheck.oracle.operations.reductions import broadcast_to, sum_to
from gradcheck.oracle.operations.scattering import scatter_add
from gradcheck.oracle.operations.words import RecordingError, UnknownAttributeError, user_line

Key = tuple[str, str | None]
"""What an output is: ("loss", None), or "value", "adjoint" or "gradient" with its name."""


@dataclass(frozen=True, slots=True)
class Node:
    """One step: an operation, the indices of the nodes it takes, the shape it makes; an input has a name instead."""

    operation: Operation | None
    operands: tuple[int, ...]
    shape: Shape
    name: str | None = None


@dataclass(frozen=True)
class Tape:
    """A straight-line program for a loss, its gradients, its watched values and their adjoints.

    Attributes:
        nodes: in order of computation.
        outputs: what is asked for -> index of its node: values in order, the loss, adjoints backwards, gradients.
    """

    nodes: tuple[Node, ...]
    outputs: Mapping[Key, int]

    @property
    def watched(self) -> tuple[str, ...]:
        """Names of the watched values in order of computation."""
        return tuple(name for kind, name in self.outputs if kind == "value" and name is not None)

    @cached_property
    def consumed(self) -> frozenset[int]:
        """The nodes that other nodes take."""
        return frozenset(operand for node in self.nodes for operand in node.operands)

    def resolved(self, conventions: Mapping[str, str]) -> Tape:
        """The tape of an engine that follows a convention at exact ties, by the names of the operations that tie."""

        def kept(node: Node) -> Node:
            operation = node.operation
            if operation is None or not operation.conventions or operation.name not in conventions:
                return node
            return replace(node, operation=operation.conventions[conventions[operation.name]])

        return Tape(tuple(map(kept, self.nodes)), self.outputs)

    @cached_property
    def outputs_of(self) -> Mapping[int, list[Key]]:
        """The outputs that each node makes."""
        outputs: dict[int, list[Key]] = {}
        for key, index in self.outputs.items():
            outputs.setdefault(index, []).append(key)
        return outputs


def record(loss: Callable[..., Variable], shapes: Mapping[str, Shape], wrt: Sequence[str]) -> Tape:
    """Record a loss and its reverse pass.

    Args:
        loss: ``loss(ops, **inputs)``, a scalar.
        shapes: of the inputs, by name.
        wrt: the inputs whose gradients are asked for; zero for those that the loss does not use.

    Raises:
        RecordingError: an unknown operation, shapes that do not fit, a name watched twice, a loss that is no scalar.
    """
    recording = Recording()
    inputs = {name: recording.input(name, tuple(shape)) for name, shape in shapes.items()}
    if unknown := [name for name in wrt if name not in inputs]:
        raise RecordingError(
            f"gradients are asked for of {unknown[0]!r}, which is none of the inputs {', '.join(inputs)}"
        )
    where = line_of(loss)
    try:
        inspect.signature(loss).bind(None, **inputs)
    except TypeError:
        found = f"loss{inspect.signature(loss)}"
        raise RecordingError(f"{where}: {found}: expected loss(ops, {', '.join(inputs)}), the inputs' names") from None
    result = loss(Vocabulary(recording), **inputs)
    if not isinstance(result, Variable) or result.shape != () or result.is_condition:
        raise RecordingError(f"{where}: the loss returns {_instead_of_a_loss(result)}")
    return recording.finish(result, {name: inputs[name] for name in wrt})


def _instead_of_a_loss(result: object) -> str:
    """What a loss returns that is none, and what to write."""
    if result is None:
        return "None: expected one number, computed from the inputs: is a return missing?"
    if isinstance(result, Variable) and not result.is_condition:
        return f"{described(result)}: expected one number; write ops.sum of it"
    depends = "" if isinstance(result, Variable) else ", which does not depend on the inputs"
    return f"{described(result)}{depends}: expected one number, computed from the inputs with words of ops"


def line_of(function: Callable[..., object]) -> str:
    """``file:line`` of a function's first line, or its name where there is none."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else str(getattr(function, "__name__", function))


class Vocabulary:
    """``ops`` as the loss sees it."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __getattr__(self, name: str) -> Callable[..., Variable]:
        if name not in VOCABULARY:
            raise UnknownAttributeError(f"{user_line()}: {unknown_word(name, ['watch', *VOCABULARY])}")
        return VOCABULARY[name]

    def watch(self, *arguments: Any) -> Variable:
        """Name an intermediate value, so that it and its adjoint are compared: ``watch(name, value)``."""
        return self._recording.watch(*arguments)


def _identity_worst(format: Format, result: Term, a: Term) -> Errors:
    """Engines watch v by adding a zero to it: the sum flushes (FTZ, DAZ), and is exact otherwise."""
    if format.flushes_results or format.flushes_inputs:
        return total(a.error, np.full(result.size.shape, 2 * format.normal))
    return a.error


def _identity_variance(format: Format, result: Term, a: Term) -> Errors:
    if format.flushes_results or format.flushes_inputs:
        return total(a.error, np.full(result.size.shape, format.variance_floor))
    return a.error


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


class Recording(Recorder):
    """A tape that is being written."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._variables: list[Variable] = []
        self._watched: dict[str, Variable] = {}
        self._inputs: set[str] = set()

    def input(self, name: str, shape: Shape) -> Variable:
        """Add an input."""
        self._inputs.add(name)
        return self._add(Node(None, (), shape, name))

    def append(self, operation: Operation, operands: Sequence[Variable]) -> Variable:
        """Add a step."""
        shape = operation.shape(*(operand.shape for operand in operands))
        return self._add(Node(operation, tuple(operand.index for operand in operands), shape))

    def watch(self, name: str, value: Variable) -> Variable:
        """Name a value; raises RecordingError where the name is taken."""
        if not isinstance(name, str) or not isinstance(value, Variable) or value.is_condition:
            found = f"{described(name)} and {described(value)}"
            raise RecordingError(f"{user_line()}: ops.watch: got {found}: expected ops.watch('name', a)")
        if name in self._watched or name in self._inputs:
            raise RecordingError(f"{user_line()}: the name {name!r} is taken: a watched value needs one of its own")
        self._watched[name] = apply(WATCH, value)
        return self._watched[name]

    def finish(self, loss: Variable, wrt: Mapping[str, Variable]) -> Tape:
        """Append the reverse pass, and drop what no output needs."""
        targets = {variable.index for variable in (*wrt.values(), *self._watched.values())}
        adjoints = self._reverse(loss, targets)
        names = reversed(self._watched)
        outputs: dict[Key, int] = {("value", name): value.index for name, value in self._watched.items()}
        outputs["loss", None] = loss.index
        outputs |= {("adjoint", name): adjoints[self._watched[name].index].index for name in names}
        outputs |= {("gradient", name): adjoints[variable.index].index for name, variable in wrt.items()}
        return _pruned(self._nodes, outputs)

    def _add(self, node: Node) -> Variable:
        compares = node.operation is not None and node.operation.compares
        variable = Variable(self, len(self._nodes), node.shape, compares)
        self._nodes.append(node)
        self._variables.append(variable)
        return variable

    def _reverse(self, loss: Variable, targets: set[int]) -> dict[int, Variable]:
        """The adjoints of the target nodes."""
        contributions: dict[int, list[Contribution]] = {loss.index: [self.append(constant(1.0), ())]}
        adjoints: dict[int, Variable] = {}
        for index in range(loss.index, -1, -1):
            parts = contributions.pop(index, [])
            if not parts:
                continue
            adjoint = _accumulated(parts, self._nodes[index])
            if index in targets:
                adjoints[index] = adjoint
            for operand, part in self._contributions(index, adjoint):
                contributions.setdefault(operand.index, []).append(part)
        for index in targets - adjoints.keys():
            adjoints[index] = broadcast_to(self.append(constant(0.0), ()), self._variables[index].shape)
        return adjoints

    def _contributions(self, index: int, adjoint: Variable) -> Iterator[tuple[Variable, Contribution]]:
        """What an adjoint hands on: to each operand its contribution, of its shape or placed in it."""
        node = self._nodes[index]
        if node.operation is None:
            return
        operands = [self._variables[operand] for operand in node.operands]
        parts = node.operation.gradients(adjoint, self._variables[index], *operands)
        for operand, part in zip(operands, parts, strict=True):
            if part is not None:
                yield operand, part if isinstance(part, Placed) else sum_to(part, operand.shape)


def _accumulated(parts: Sequence[Contribution], node: Node) -> Variable:
    """The adjoint of a node: the sum of the contributions to it."""
    whole = [part for part in parts if not isinstance(part, Placed)]
    if len(whole) < len(parts):
        total = scatter_add(parts, node.shape)
    else:
        total = whole[0] if len(whole) == 1 else whole[0] + whole[1] if len(whole) == 2 else apply(ACCUMULATE, *whole)
    return apply(ADJOINT, total) if node.operation is WATCH else total


def _pruned(nodes: Sequence[Node], outputs: Mapping[Key, int]) -> Tape:
    """The nodes that an output needs, renumbered."""
    needed = set(outputs.values())
    for index in range(len(nodes) - 1, -1, -1):
        if index in needed:
            needed.update(nodes[index].operands)
    place = {index: position for position, index in enumerate(sorted(needed))}
    kept = tuple(
        Node(node.operation, tuple(place[operand] for operand in node.operands), node.shape, node.name)
        for node in (nodes[index] for index in sorted(needed))
    )
    return Tape(kept, {key: place[index] for key, index in outputs.items()})
