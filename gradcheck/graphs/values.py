"""The objects of a loss during recording: values, which have a shape and no entries; and the recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from gradcheck.dtypes import Kind
from gradcheck.graphs.graph import LOSS, Attribute, Graph, Node, Shape
from gradcheck.graphs.instead import NO_ENTRIES, REFUSED, advice, described, instead, unknown_attribute
from gradcheck.graphs.sources import RecordingError, UnknownAttributeError, user_line, user_place, user_source
from gradcheck.graphs.vocabulary import OPERATORS, VOCABULARY


class Value:
    """A value of the loss while it is recorded.

    Attributes:
        recording: the graph being written.
        index: the place of its node there.
        shape: of the value.
        kind: of its entries.
    """

    __slots__ = ("index", "kind", "recording", "shape")
    __array_ufunc__: Any = None  # with NumPy's arrays and numbers on the left, Python calls our operators

    def __init__(self, recording: Recording, index: int, shape: Shape, kind: Kind = "floating") -> None:
        self.recording = recording
        self.index = index
        self.shape = shape
        self.kind = kind

    @property
    def is_condition(self) -> bool:
        """Whether it is a comparison, or booleans that ``sample`` gives."""
        return self.kind == "boolean"

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def T(self) -> Value:  # noqa: N802
        """The transpose of a matrix; a vector's is itself."""
        if self.ndim > 2:
            hint = "expected a matrix; write a.mT, or ops.permute_dims(a, axes)"
            raise RecordingError(f"{user_line()}: .T: got {described(self)}: {hint}")
        return self if self.ndim < 2 else self.mT

    @property
    def mT(self) -> Value:  # noqa: N802
        """The transposes of matrices along the last two axes."""
        transposed: Value = VOCABULARY["matrix_transpose"](self)
        return transposed

    def __repr__(self) -> str:
        return f"<{described(self)[2:]}>"

    def __format__(self, form: str) -> str:
        if form:
            hint = advice(NO_ENTRIES, "leave the format out", user_source())
            raise RecordingError(f"{user_line()}: {NO_ENTRIES}: {hint}")
        return repr(self)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # names with which Python and NumPy test the abilities of an object
            raise AttributeError(name)
        raise UnknownAttributeError(f"{user_line()}: {unknown_attribute(name, VOCABULARY)}")

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise RecordingError(f"{user_line()}: NumPy cannot hold a value of the problem: write words of ops alone")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        name = function.__name__
        hint = instead(name, VOCABULARY) or "write words of ops alone"
        raise RecordingError(f"{user_line()}: NumPy's {name} received a value of the problem: {hint}")

    def __getitem__(self, index: Any) -> Value:
        return operated("index", self, index if isinstance(index, tuple) else (index,))

    def __neg__(self) -> Value:
        return operated("neg", self)

    def __add__(self, other: Operand) -> Value:
        return operated("add", self, other)

    def __radd__(self, other: Operand) -> Value:
        return operated("add", other, self)

    def __sub__(self, other: Operand) -> Value:
        return operated("sub", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return operated("sub", other, self)

    def __mul__(self, other: Operand) -> Value:
        return operated("mul", self, other)

    def __rmul__(self, other: Operand) -> Value:
        return operated("mul", other, self)

    def __truediv__(self, other: Operand) -> Value:
        return operated("truediv", self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return operated("truediv", other, self)

    def __pow__(self, exponent: Operand) -> Value:
        several = isinstance(exponent, (Value, list)) or (isinstance(exponent, np.ndarray) and exponent.ndim > 0)
        return operated("power" if several else "pow", self, exponent)

    def __rpow__(self, other: Operand) -> Value:
        return operated("power", other, self)

    def __matmul__(self, other: Operand) -> Value:
        return operated("matmul", self, other)

    def __rmatmul__(self, other: Operand) -> Value:
        return operated("matmul", other, self)

    def __gt__(self, other: Operand) -> Value:
        return operated("gt", self, other)

    def __lt__(self, other: Operand) -> Value:
        return operated("gt", other, self)

    def __ge__(self, other: Operand) -> Value:
        return operated("ge", self, other)

    def __le__(self, other: Operand) -> Value:
        return operated("ge", other, self)

    def __eq__(self, other: object) -> Value:  # type: ignore[override]
        return operated("eq", self, other)

    def __ne__(self, other: object) -> Value:  # type: ignore[override]
        return operated("ne", self, other)

    __hash__ = object.__hash__

    def __and__(self, other: Operand) -> Value:
        return operated("and", self, other)

    def __rand__(self, other: Operand) -> Value:
        return operated("and", other, self)

    def __or__(self, other: Operand) -> Value:
        return operated("or", self, other)

    def __ror__(self, other: Operand) -> Value:
        return operated("or", other, self)

    def __invert__(self) -> Value:
        return operated("invert", self)


Operand = Any
"""A value of the problem, a real number, or an array or list of them."""


def operated(name: str, *operands: Any) -> Value:
    """The result of an operator for its operands."""
    result: Value = OPERATORS[name](*operands)
    return result


def _refusal(what: str, hint: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any) -> NoReturn:
        raise RecordingError(f"{user_line()}: {what}: {advice(what, hint, user_source())}")

    return refuse


for _names, (_what, _hint) in REFUSED.items():
    for _name in _names.split():
        setattr(Value, _name, _refusal(_what, _hint))


class Recording:
    """A graph that is being written.

    Args:
        values: the class of its values.
        on_step: is called after each new step, from within the loss.
    """

    def __init__(self, values: type[Value] = Value, on_step: Callable[[], None] = lambda: None) -> None:
        self._values = values
        self._on_step = on_step
        self._nodes: list[Node] = []
        self.names: set[str] = set()
        self._constants: dict[str, Any] = {}

    def inputs(self, shapes: Mapping[str, Shape], kinds: Mapping[str, Kind]) -> dict[str, Value]:
        """Add inputs; those that `kinds` leaves out are floating."""
        self.names.update(shapes)
        nodes = [
            Node("input", (), {}, tuple(shape), kinds.get(name, "floating"), name) for name, shape in shapes.items()
        ]
        return {str(node.name): self.append(node) for node in nodes}

    def add(
        self,
        word: str,
        operands: Sequence[Value] = (),
        attributes: Mapping[str, Attribute] | None = None,
        shape: Shape = (),
        kind: Kind = "floating",
        name: str | None = None,
    ) -> Value:
        """Add a step, at the line of the user's code that is running."""
        self._on_step()
        places = tuple(operand.index for operand in operands)
        return self.append(Node(word, places, dict(attributes or {}), shape, kind, name, *user_place()))

    def constant(self, value: Any, kind: Kind = "floating") -> Value:
        """Add a constant number or array, of floats or of integers; booleans become 0 and 1.

        Raises:
            TypeError: it is neither.
            ValueError: float64 cannot hold a number of it, or one is NaN.
        """
        if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value):
            return self._array(np.asarray(value), kind)
        if isinstance(value, np.ndarray):
            value = value.item()
        if not isinstance(value, (int, float, np.bool_, np.integer, np.floating)):
            raise TypeError(f"got {described(value)}: expected values of the problem, real numbers and arrays of them")
        if value != value or (isinstance(value, int) and abs(value) >= 2**1024):
            raise ValueError(f"got {described(value)}: expected a real number that float64 holds, or float('inf')")
        whole = kind == "integer" or isinstance(value, (int, np.bool_, np.integer))
        number = int(value) if whole else float(value)
        attribute = number if abs(number) < float("inf") else str(number)
        return self.add("constant", attributes={"value": attribute}, kind=kind)

    def _array(self, array: Any, kind: Kind) -> Value:
        if array.dtype.kind not in "fiub":
            raise TypeError(f"got {described(array)} of dtype {array.dtype}: expected an array of real numbers")
        numbers = np.array(array, np.int64 if kind == "integer" else np.float64)
        if np.isnan(numbers).any():
            raise ValueError(f"got {described(array)} that holds NaN: expected real numbers")
        name = f"constant {len(self._nodes)}"
        self._constants[name] = numbers
        return self.add("constant", shape=array.shape, kind=kind, name=name)

    def known(self, value: Value) -> Any:
        """The array of a constant, or None."""
        return self._constants.get(str(self._nodes[value.index].name))

    def number_of(self, value: Value) -> float | None:
        """The number of a constant without axes, or None."""
        node = self._nodes[value.index]
        is_number = node.word == "constant" and "value" in node.attributes
        return float(node.attributes["value"]) if is_number else None  # type: ignore[arg-type]

    def watch(self, name: str, value: Value) -> Value:
        """Name a value; raises RecordingError if the name is in use."""
        if not isinstance(name, str) or not isinstance(value, Value) or value.kind != "floating":
            found = f"{described(name)} and {described(value)}"
            raise RecordingError(f"{user_line()}: ops.watch: got {found}: expected ops.watch('name', a)")
        if name in self.names:
            raise RecordingError(f"{user_line()}: the name {name!r} is taken: a watched value needs one of its own")
        self.names.add(name)
        return self.add("watch", (value,), shape=value.shape, name=name)

    def append(self, node: Node) -> Value:
        """Add a node as it is."""
        self._nodes.append(node)
        return self._values(self, len(self._nodes) - 1, node.shape, node.kind)

    def line_of(self, value: Value) -> dict[str, Any]:
        """The file and line of the step that made a value."""
        node = self._nodes[value.index]
        return {"file": node.file, "line": node.line}

    def is_watched(self, value: Value, names: Mapping[int, str]) -> bool:
        """Whether a value has a name, or gets one of `names` when the recording is finished."""
        node = self._nodes[value.index]
        return node.word == "watch" or (node.is_step and names.get(value.index) not in (None, *self.names))

    def finish(self, outputs: Mapping[str, Value], names: Mapping[int, str] | None = None) -> Graph:
        """The graph of a loss, without unneeded nodes.

        Args:
            outputs: see `Graph`.
            names: places of nodes -> names under which to watch those steps that the loss needs.
        """
        loss = outputs[LOSS].index
        graph = Graph(tuple(self._nodes), {name: value.index for name, value in outputs.items()}, self._constants)
        needed = graph.needed({loss})
        wanted = {
            place: name
            for place, name in (names or {}).items()
            if place in needed and place != loss and name not in self.names and graph.nodes[place].is_step
        }
        return graph.watching(wanted).pruned()
