"""The complex step: the imaginary part of the loss at x + ih, over h. No difference is taken, so no digit is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Answer, Engine, Operations
from gradcheck.backends._witness import DISTRIBUTION, MODULE, PYTHON, RELEASE, REQUIREMENTS, Witness

if TYPE_CHECKING:
    from types import ModuleType

    from gradcheck.backends._engine import Arrays

__all__ = ["DISTRIBUTION", "FORMATS", "LACKS", "MODULE", "PYTHON", "RELEASE", "REQUIREMENTS", "load"]

FORMATS: dict[str, dict[str, object]] = {"float64": {}}
LACKS = dict.fromkeys(("float32", "float16", "bfloat16"), "the complex step is taken in float64 alone")

STEP = 2.0**-80
"""h: its square is far below 2⁻⁵³, and the underflow of imaginary parts, 2⁻¹⁰⁷⁴/h, far below ordinary gradients.

W. Squire and G. Trapp, Using complex variables to estimate derivatives of real functions, SIAM Review 40, 1998.
"""


class ComplexStep(Witness):
    """The gradient, one evaluation in complex128 for each entry."""

    def evaluate(self, problem: ModuleType, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        numpy = self.numpy
        complex_inputs = {name: array.astype(numpy.complex128) for name, array in inputs.items()}
        underflow = sum(array.size for array in inputs.values()) * numpy.finfo(numpy.float64).smallest_subnormal / STEP
        gradients = {name: numpy.empty(inputs[name].shape) for name in wrt}
        for name in wrt:
            for index in numpy.ndindex(inputs[name].shape):
                moved = complex_inputs[name].copy()
                moved[index] += 1j * STEP
                gradients[name][index] = self.loss(problem, {**complex_inputs, name: moved}).imag / STEP
        return Answer(
            numpy.asarray(self.loss(problem, complex_inputs).real),
            gradients,
            estimates={name: numpy.full(inputs[name].shape, underflow) for name in wrt},
        )

    def loss(self, problem: ModuleType, inputs: Arrays) -> Any:
        """The loss of complex inputs."""
        stop_gradient = {"stop_gradient": lambda a: self.numpy.real(a) + 0j}
        ops = Operations({**self.primitives, **stop_gradient}, lambda *_: 0.0)
        return self.numpy.asarray(problem.loss(ops, **inputs))


def load() -> Engine:
    """Import NumPy."""
    return ComplexStep()
