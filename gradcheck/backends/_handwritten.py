"""A problem's hand-written gradients, each a backend of its own: what is under test most of the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Answer, Engine

if TYPE_CHECKING:
    from types import ModuleType

    from gradcheck.backends._engine import Arrays

MODULE = "numpy"
FORMATS: dict[str, dict[str, Any]] = {"float64": {}, "float32": {}, "float16": {}}
LACKS = {"bfloat16": "NumPy has no bfloat16"}


class HandWritten(Engine):
    """The functions that a problem's `gradients` names.

    Args:
        gradient: the name of one of them.
    """

    def __init__(self, gradient: str) -> None:
        import numpy

        self.numpy = numpy
        self.version = f"NumPy {numpy.__version__}"
        self.gradient = gradient

    def evaluate(self, problem: ModuleType, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        function = problem.gradients[self.gradient]
        returned = function(**inputs)
        if not (isinstance(returned, tuple) and len(returned) in (2, 3) and isinstance(returned[1], Mapping)):
            raise TypeError(
                f"returned {type(returned).__name__}: expected (loss, gradients) or (loss, gradients, values)"
            )
        loss, derivatives, *values = returned
        arrays = {name: self.numpy.asarray(array) for name, array in derivatives.items()}
        return Answer(
            loss=self.numpy.asarray(loss),
            gradients={name: array for name, array in arrays.items() if name in inputs},
            values={name: self.numpy.asarray(value) for name, value in (values[0] if values else {}).items()},
            adjoints={name: array for name, array in arrays.items() if name not in inputs},
        )
