"""Functions of a problem's file that compute in an engine's own arrays: implementations of the loss, and gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Engine, Malformed, dtype_of
from gradcheck.backends._worker.handwritten import HandWritten, line_of, renaming, takes
from gradcheck.backends._worker.loss import DifferentiableLoss
from gradcheck.backends._worker.outputs import Outputs, described

if TYPE_CHECKING:
    import numpy as np

    from gradcheck.backends._engine import Arrays

OPS = "ops"
"""The first argument of an implementation that watches values, or uses words."""


class Implementation(DifferentiableLoss):
    """The loss once more, as a function in an engine's own arrays, which that engine differentiates.

    Args:
        function: of the inputs by name, and of `ops` if it has such a parameter.
        message: `graph` of a request, which has the outputs of the loss.
    """

    def __init__(self, function: Callable[..., Any], message: Mapping[str, Any]) -> None:
        super().__init__(message)
        self._function = function
        self._outputs = Outputs(message)
        self._added = {*self._outputs.cotangents.values(), *self._directions.values()}
        self._has_ops = OPS in parameters_of(function)

    def value(self, ops: Any, inputs: Mapping[str, Any]) -> Any:
        own = {name: array for name, array in inputs.items() if name not in self._added}
        arguments = {OPS: ops, **own} if self._has_ops else own
        if not takes(self._function, arguments):
            taken = f"takes {inspect.signature(self._function)}"
            expected = f"expected ({', '.join(own)}), perhaps with {OPS} first{renaming(own)}"
            raise Malformed(f"{line_of(self._function)}: {taken}: {expected}")
        returned = self._function(**arguments)
        try:
            return self._loss(ops, returned, inputs)
        except Malformed as error:
            raise Malformed(f"{line_of(self._function)}: {error}") from None

    def _loss(self, ops: Any, returned: Any, inputs: Mapping[str, Any]) -> Any:
        """The loss, or Σ cotangent · output of what was returned, whose outputs are watched."""
        if not self._outputs:
            if getattr(returned, "shape", None) != ():
                raise Malformed(f"returned {described(returned)}: expected the loss, an array of shape ()")
            return returned
        terms = []
        for key, (name, output) in zip(self._outputs.names, self._outputs.separated(returned).items()):
            cotangent = inputs[self._outputs.cotangents[key]]
            if getattr(output, "shape", None) != cotangent.shape:
                expected = f"expected shape {tuple(cotangent.shape)}, as the loss has it"
                raise Malformed(f"returned {described(output)} as {name}: {expected}")
            terms.append(ops.sum(cotangent * ops.watch(name, output)))
        return sum(terms[1:], terms[0])


class InEngine(HandWritten):
    """A hand-written gradient in the arrays of an engine.

    Args:
        gradient: its name in the problem's file.
        engine: whose arrays it gets and gives.
    """

    def __init__(self, gradient: str, engine: Engine) -> None:
        super().__init__(gradient)
        self.engine = engine
        self.version = engine.version

    def converted(self, inputs: Arrays, dtype: str) -> Arrays:
        return {name: self.engine.array(array, dtype_of(array, dtype)) for name, array in inputs.items()}

    def array(self, value: Any, what: str) -> np.ndarray:
        is_own = hasattr(value, "dtype") and not isinstance(value, (self.numpy.ndarray, self.numpy.generic))
        return super().array(self.engine.numbers(value) if is_own else value, what)

    def changed(self, given: Any) -> np.ndarray:
        return self.engine.numbers(given)

    def begin_file(self) -> None:
        self.engine.begin_file()

    def use(self, device: str, tf32: bool) -> None:
        self.engine.use(device, tf32)

    def packages(self) -> dict[str, str]:
        return self.engine.packages()

    def threads(self) -> int | None:
        return self.engine.threads()


def parameters_of(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters; none if it shows no signature."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []
