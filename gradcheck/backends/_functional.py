"""Engines that differentiate functions: the zeros of watched values are arguments, beside the inputs."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Answer, Engine, Operations, dtype_of

if TYPE_CHECKING:
    from gradcheck.backends._engine import Arrays
    from gradcheck.backends._worker.graph import InterpretedGraph

Leaves = Mapping[str, Any]
Loss = Callable[[Leaves, Leaves, Leaves], "tuple[Any, Leaves]"]
"""(inputs with a gradient, zeros by watched value, other inputs) -> the loss, the watched values."""


class FunctionalEngine(Engine):
    """The common part of these engines. A subclass sets `primitives`, the vocabulary in the framework's functions."""

    primitives: Mapping[str, Callable[..., Any]]

    def evaluate(self, graph: InterpretedGraph, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        leaves = {name: self.array(array, dtype_of(array, dtype)) for name, array in inputs.items()}
        sources = {name: leaves[name] for name in wrt}
        constants = {name: leaf for name, leaf in leaves.items() if name not in sources}
        offsets = self.offsets(graph, leaves)
        loss, values, gradients, adjoints = self.differentiate(self.loss_of(graph), sources, offsets, constants)
        return Answer(
            self.numbers(loss),
            gradients={name: self.numbers(array) for name, array in gradients.items()},
            values={name: self.numbers(array) for name, array in values.items()},
            adjoints={name: self.numbers(array) for name, array in adjoints.items()},
        )

    def loss_of(self, graph: InterpretedGraph) -> Loss:
        """The loss as a function of everything that it depends on."""

        def loss(sources: Leaves, offsets: Leaves, constants: Leaves) -> tuple[Any, Leaves]:
            ops = Operations(self.primitives, lambda name, _: offsets[name])
            return graph.loss(ops, **sources, **constants), ops.values

        return loss

    def offsets(self, graph: InterpretedGraph, leaves: Leaves) -> Leaves:
        """An array of zeros for each watched value; the first evaluation measures their shapes."""
        ops = Operations(self.primitives, lambda _, value: self.zeros_like(value))
        graph.loss(ops, **leaves)
        return ops.offsets

    @abc.abstractmethod
    def zeros_like(self, value: Any) -> Any:
        """Zeros of the framework with a value's shape and dtype."""

    @abc.abstractmethod
    def differentiate(
        self, loss: Loss, sources: Leaves, offsets: Leaves, constants: Leaves
    ) -> tuple[Any, Leaves, Leaves, Leaves]:
        """The loss, the watched values, the gradients of `sources`, and those of `offsets`."""
