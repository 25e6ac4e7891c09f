"""The complex step: the imaginary part of the loss at x + ih, over h. No difference is taken, so no digit is lost."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Answer, Engine, Operations
from gradcheck.backends._witness import Witness

if TYPE_CHECKING:
    from gradcheck.backends._engine import Arrays
    from gradcheck.backends._worker.graph import InterpretedGraph

VARIANT_OF = "_witness"

FORMATS: dict[str, dict[str, object]] = {"float64": {}}
LACKS = dict.fromkeys(("float32", "float16", "bfloat16"), "the complex step is available in float64 only")

RELATIVE_STEP = -80
"""The power of two that h is in units of an entry: its square is far below 2⁻⁵³.

W. Squire and G. Trapp, Using complex variables to estimate derivatives of real functions, SIAM Review 40, 1998.
"""
STEP_AT_ZERO = 2.0**-500
SMALLEST_STEP = 2.0**-1074


class ComplexStep(Witness):
    """The gradient, one evaluation in complex128 for each entry."""

    def evaluate(self, graph: InterpretedGraph, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        numpy = self.numpy
        complex_inputs = {
            name: array.astype(numpy.complex128) if array.dtype.kind == "f" else array for name, array in inputs.items()
        }
        underflow = sum(array.size for array in inputs.values()) * numpy.finfo(numpy.float64).smallest_subnormal
        gradients = {name: numpy.empty(inputs[name].shape) for name in wrt}
        estimates = {name: numpy.empty(inputs[name].shape) for name in wrt}
        for name in wrt:
            for index in numpy.ndindex(inputs[name].shape):
                moved, step = complex_inputs[name].copy(), step_of(float(inputs[name][index]))
                moved[index] += 1j * step
                gradients[name][index] = self.loss(graph, {**complex_inputs, name: moved}).imag / step
                estimates[name][index] = underflow / step
            estimates[name][~numpy.isfinite(gradients[name])] = numpy.inf  # an intermediate value has overflowed
        return Answer(numpy.asarray(self.loss(graph, complex_inputs).real), gradients, estimates=estimates)

    def loss(self, graph: InterpretedGraph, inputs: Arrays) -> Any:
        """The loss of complex inputs, as a plain number."""
        words = {**self.primitives, "stop_gradient": lambda a: self.numpy.real(a) + 0j}
        ops = Operations({name: self.ordered(word) for name, word in words.items()}, lambda *_: 0.0)
        views: dict[str, Any] = {name: array.view(ordered_array()) for name, array in inputs.items()}
        return complex(graph.loss(ops, **views))

    def ordered(self, word: Callable[..., Any]) -> Callable[..., Any]:
        """A word whose result is compared by its real part: NumPy's functions forget the class of their arguments."""
        return lambda *operands, **options: self.numpy.asarray(word(*operands, **options)).view(ordered_array())


def step_of(entry: float) -> float:
    """The imaginary step at an entry, a power of two, so that scaling by it rounds nothing."""
    return max(math.ldexp(1.0, math.frexp(entry)[1] + RELATIVE_STEP), SMALLEST_STEP) if entry else STEP_AT_ZERO


@functools.cache
def ordered_array() -> type:
    """Arrays that are compared by their real parts: NumPy goes on to the imaginary ones where these are equal."""
    import numpy

    def by_real_part(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        return lambda a, b: compare(numpy.real(numpy.asarray(a)), numpy.real(numpy.asarray(b)))

    names = ("gt", "ge", "lt", "le", "eq", "ne")
    return type("Ordered", (numpy.ndarray,), {f"__{name}__": by_real_part(getattr(operator, name)) for name in names})


def load() -> Engine:
    """Import NumPy."""
    return ComplexStep()
