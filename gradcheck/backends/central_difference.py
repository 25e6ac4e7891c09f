"""Central differences of the loss, extrapolated, in NumPy's widest floats: a witness with its own error estimate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradcheck.backends._engine import Answer, Engine
from gradcheck.backends._witness import (
    DISTRIBUTION,
    FORMATS,
    LACKS,
    MODULE,
    PYTHON,
    RELEASE,
    REQUIREMENTS,
    Difference,
)

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

    from gradcheck.backends._engine import Arrays

__all__ = ["DISTRIBUTION", "FORMATS", "LACKS", "MODULE", "PYTHON", "RELEASE", "REQUIREMENTS", "load"]

LARGEST_STEP = 0.25  # in units of the entry, or of 1 where it is smaller


class CentralDifference(Difference):
    """The gradient, entry by entry."""

    def evaluate(self, problem: ModuleType, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        loss, wide = self.loss_of(problem, inputs)
        signs = {name: each[0] for name, each in self.signs(inputs, wrt, 1).items()}
        noise = self.noise(self.shifts(loss, wide, signs))
        gradients = {name: self.numpy.empty(inputs[name].shape) for name in wrt}
        estimates = {name: self.numpy.empty(inputs[name].shape) for name in wrt}
        for name in wrt:
            for index in self.numpy.ndindex(inputs[name].shape):
                unit = self.numpy.zeros(inputs[name].shape)
                unit[index] = 1
                start = LARGEST_STEP * max(1.0, abs(float(inputs[name][index])))
                function = self.shifts(loss, wide, {name: unit})
                gradients[name][index], estimates[name][index] = self.derivative(function, start, noise)
        return Answer(self.rounded(loss()), gradients, estimates=estimates)


def load() -> Engine:
    """Import NumPy."""
    return CentralDifference()
