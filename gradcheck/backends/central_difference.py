"""Central differences of the loss, extrapolated, in NumPy's widest floats: a witness with its own error estimate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradcheck.backends._engine import Answer, Engine
from gradcheck.backends._witness import LARGEST_STEP, Difference

if TYPE_CHECKING:
    from gradcheck.backends._engine import Arrays
    from gradcheck.backends._worker.graph import InterpretedGraph

VARIANT_OF = "_witness"


class CentralDifference(Difference):
    """The gradient, entry by entry."""

    def evaluate(self, graph: InterpretedGraph, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        loss, wide = self.loss_of(graph, inputs)
        noise = self.noise(loss, wide, wrt)
        gradients = {name: self.numpy.empty(inputs[name].shape) for name in wrt}
        estimates = {name: self.numpy.empty(inputs[name].shape) for name in wrt}
        for name in wrt:
            for index in self.numpy.ndindex(inputs[name].shape):
                unit = self.numpy.zeros(inputs[name].shape)
                unit[index] = 1
                size = abs(float(inputs[name][index]))
                starts = {LARGEST_STEP * scale for scale in (size, max(size, 1.0)) if scale}
                function = self.shifts(loss, wide, {name: unit})
                gradients[name][index], estimates[name][index] = self.derivative(function, tuple(starts), noise)
        return Answer(self.rounded(loss()), gradients, estimates=estimates)


def load() -> Engine:
    """Import NumPy."""
    return CentralDifference()
