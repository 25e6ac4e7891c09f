"""What a backend is: it answers inputs with the loss, the gradients, the watched values and their adjoints."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

    from gradcheck.backends._worker.graph import InterpretedGraph

    Arrays = Mapping[str, np.ndarray]
    Key = tuple[str, str | None]


class Unsupported(Exception):
    """The engine lacks what the case needs. The message is the reason."""


class Unavailable(Exception):
    """The machine lacks what the engine needs. The message is the reason."""


class Malformed(Exception):
    """A user's function returned no valid answer. The message says where, what it is, and what was expected."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """One backend's answer to one case: NumPy arrays by name (bfloat16 as float32). The loss has shape ().

    A numerical witness states in `estimates`, by name, its estimate of the error of each entry of its gradients,
    infinite where it knows nothing. Instead of gradients it may give `slopes` (shape (n,), estimates under "slopes"):
    the derivatives along n `directions`, by name an array n × the input's shape, of −1, 0 and 1. The report shows the
    sentences in `notes`.
    """

    loss: np.ndarray
    gradients: Arrays
    values: Arrays = dataclasses.field(default_factory=dict)
    adjoints: Arrays = dataclasses.field(default_factory=dict)
    estimates: Arrays = dataclasses.field(default_factory=dict)
    directions: Arrays = dataclasses.field(default_factory=dict)
    slopes: np.ndarray | None = None
    notes: Sequence[str] = ()

    def arrays(self) -> Iterator[tuple[Key, np.ndarray]]:
        """Each array with its key, (kind, name), in the order of computation; the loss and slopes have no name.

        Values come first, then the loss, adjoints backwards, gradients, slopes, estimates and directions.
        """
        yield from ((("value", name), array) for name, array in self.values.items())
        yield ("loss", None), self.loss
        yield from ((("adjoint", name), self.adjoints[name]) for name in reversed(list(self.adjoints)))
        yield from ((("gradient", name), array) for name, array in self.gradients.items())
        if self.slopes is not None:
            yield ("slopes", None), self.slopes
        yield from ((("estimate", name), array) for name, array in self.estimates.items())
        yield from ((("direction", name), array) for name, array in self.directions.items())

    def converted(self, function: Callable[[Key, np.ndarray], Any]) -> dict[str, Any]:
        """The fields of arrays, each array replaced by a function of its key and itself."""
        found = {key: function(key, array) for key, array in self.arrays()}
        named = {f"{kind}s": kind for kind in ("value", "adjoint", "gradient", "estimate", "direction")}
        fields = {kind: each for (kind, name), each in found.items() if name is None}
        return fields | {
            field: {name: found[kind, name] for name in getattr(self, field)} for field, kind in named.items()
        }


SEED = 0
"""Of random numbers that a problem's file draws without a seed: the loss that is recorded is the one that runs."""
LACKING = {"directional_derivative": "it differentiates once: it has no derivatives of gradients"}
"""Why an engine without a function beside the words cannot compute a case.

`directional_derivative(function, inputs, directions)` returns v·∇f, and what the function returns beside f.
"""


def dtype_of(array: np.ndarray, dtype: str) -> str:
    """The name of the dtype in which an engine takes an array: `dtype` for floats, else its own, int64 or bool."""
    return dtype if array.dtype.kind == "f" else str(array.dtype.name)


class Operations:
    """The vocabulary `ops` of one evaluation: the framework's own primitives, plus `watch`; it lacks other words.

    Args:
        primitives: name of an operation -> the framework's own function.
        offset: (name, value) -> a differentiable leaf of zeros with the value's shape.
    """

    def __init__(self, primitives: Mapping[str, Callable[..., Any]], offset: Callable[[str, Any], Any]) -> None:
        self._primitives = primitives
        self._offset = offset
        self.values: dict[str, Any] = {}
        self.offsets: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return self._primitives[name]
        except KeyError:
            raise Unsupported(LACKING.get(name, f"it has no function for ops.{name}")) from None

    def __contains__(self, name: str) -> bool:
        """Whether the framework has a function of its own for a word or an operator."""
        return name in self._primitives

    def watch(self, name: str, value: Any) -> Any:
        """Name an intermediate value. Its adjoint is the gradient with respect to a zero that is added here.

        Frameworks differ in how, and whether, they keep gradients of intermediates. All have gradients of leaves.
        """
        self.offsets[name] = self._offset(name, value)
        self.values[name] = value + self.offsets[name]
        return self.values[name]


class Engine(abc.ABC):
    """One autodiff framework, imported."""

    version: str

    @abc.abstractmethod
    def evaluate(self, graph: InterpretedGraph, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        """The loss and its gradients with respect to the inputs named in `wrt`, computed in `dtype`.

        Args:
            graph: the loss; `graph.loss(ops, **inputs)` computes it.
            inputs: name -> array of dtype `dtype` (float32 for bfloat16), of int64 or of bool.
            wrt: names of floating inputs.
            dtype: the name of the dtype of the computation.

        Raises:
            Unsupported: the framework cannot do that.
        """

    def array(self, array: np.ndarray, dtype: str) -> Any:
        """The framework's array of a NumPy array, in the dtype of that name.

        Raises:
            Unsupported: the engine runs no functions of a problem's file.
        """
        raise Unsupported("it runs no functions of a problem's file: expected an engine with arrays of its own")

    def numbers(self, array: Any) -> np.ndarray:
        """A NumPy array of the framework's array, bfloat16 as float32."""
        raise NotImplementedError

    def begin_file(self) -> None:
        """Let a problem's file begin with the same numbers in each process, whatever was computed before."""
        import random

        import numpy

        random.seed(SEED)
        numpy.random.seed(SEED)

    def whole_file(self, file: ModuleType, size: tuple[int, ...], dtype: str) -> Any:
        """A problem's file in the framework's own code, at a size: a `_worker.whole_files.WholeFile`.

        Args:
            file: the loaded module.
            size: `(k,)`, or `()` of a file with one size.
            dtype: of its floating inputs.

        Raises:
            Unsupported: the engine has no front end.
            Malformed: its inputs are wrong.
        """
        raise Unsupported("it records no functions: expected the engine 'torch' or 'jax'")

    def use(self, device: str, tf32: bool) -> None:
        """Compute on a device from now on; it is not called for engines that support only the CPU.

        Args:
            device: "cuda" or "cuda:N".
            tf32: whether float32 matrix products may round their operands to TF32's 11 bits.

        Raises:
            Unavailable: the machine has no such device, or the engine was built without it.
        """
        raise Unsupported(f"it does not support device {device}")

    def packages(self) -> dict[str, str]:
        """The versions of the packages that the engine uses, except NumPy's."""
        return {}

    def threads(self) -> int | None:
        """How many threads the framework uses for one operation, or None where it does not report that."""
        return None
