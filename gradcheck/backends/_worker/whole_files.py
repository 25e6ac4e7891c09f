"""A problem's file that is written in an engine's own code, at one size: its inputs, and its loss to record and to run.

`inputs` gives, by name, a shape, an array, a tree of these, or what else the engine has parameters in. A leaf of a tree
is an input with the path of the leaf behind the name, "params[dense][kernel]"; the file's `names` may rename it.
"""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Malformed
from gradcheck.backends._worker.handwritten import line_of, takes
from gradcheck.backends._worker.outputs import described
from gradcheck.backends._worker.own_arrays import OPS, parameters_of

if TYPE_CHECKING:
    from types import ModuleType

ORIGINAL = "original"
"""The name of the loss of such a file as a backend."""
Leaves = Mapping[str, Any]


class WholeFile(abc.ABC):
    """The loss of a file at a size.

    Args:
        file: the loaded module.
        size: `(k,)`, or `()` of a file with one size.

    Attributes:
        given: what `inputs` gives by name.
        leaves: the shapes and arrays in it, by their paths.
        names: path -> the name of the input.

    Raises:
        Malformed: `inputs` gives something else, or `names` has another path.
    """

    others: str
    """What `inputs` may give instead of a shape, in words."""

    def __init__(self, file: ModuleType, size: tuple[int, ...]) -> None:
        self.loss: Callable[..., Any] = file.loss
        where = f"{line_of(file.inputs)}({', '.join(map(str, size))})"
        self.given: Mapping[str, Any] = file.inputs(*size)
        if not isinstance(self.given, Mapping):
            raise Malformed(f'{where} is {described(self.given)}: expected names with shapes, such as {{"x": (3,)}}')
        self.leaves: dict[str, Any] = {}
        for name, each in self.given.items():
            leaves = {label: leaf for label, leaf in self.flat(each) if is_shape(leaf) or hasattr(leaf, "shape")}
            if not leaves or not isinstance(name, str):
                expected = f"expected a shape, such as (3,), or {self.others}"
                raise Malformed(f"{where}[{name!r}] is {described(each)}: {expected}")
            self.leaves.update({name + label: leaf for label, leaf in leaves.items()})
        named = getattr(file, "names", {})
        if unknown := [path for path in named if path not in self.leaves]:
            raise Malformed(f"names has {unknown[0]!r}: expected some of {', '.join(self.leaves)}")
        self.names = {path: str(named.get(path, path)) for path in self.leaves}
        self._has_ops = OPS in parameters_of(self.loss)

    @abc.abstractmethod
    def flat(self, tree: Any) -> list[tuple[str, Any]]:
        """The leaves of a tree, each with its path."""

    @abc.abstractmethod
    def result(self, ops: Any, arrays: Leaves, watched: Collection[str]) -> Any:
        """What the loss returns for arrays of the engine.

        Args:
            ops: the first argument of a loss that has one.
            arrays: by their paths.
            watched: the names of values to watch.
        """

    @abc.abstractmethod
    def has_value(self, leaf: Any) -> bool:
        """Whether a leaf is an array of which the values count, and not its shape alone."""

    def is_fixed(self, leaf: Any) -> bool:
        """Whether a leaf has no gradient."""
        return False

    @abc.abstractmethod
    def dump(self, arrays: Leaves, rows: Collection[str]) -> dict[str, Any]:
        """The program of the loss as data, see `_torch_export` and `_jax_export`; its outputs are those of `recorded`.

        Args:
            arrays: by their paths, in the dtype of the case and the kinds of the inputs.
            rows: names of the operators that stay as they are.

        Raises:
            Malformed: the engine cannot record it.
        """

    @property
    def shapes(self) -> dict[str, list[int]]:
        """The shapes of the inputs."""
        found = {path: leaf if is_shape(leaf) else leaf.shape for path, leaf in self.leaves.items()}
        return {self.names[path]: list(shape) for path, shape in found.items()}

    @property
    def values(self) -> Leaves:
        """The arrays among the inputs."""
        return {self.names[path]: leaf for path, leaf in self.leaves.items() if self.has_value(leaf)}

    @property
    def fixed(self) -> list[str]:
        """The inputs whose gradients are not wanted, beside integers and booleans."""
        return [self.names[path] for path, leaf in self.leaves.items() if self.is_fixed(leaf)]

    def by_path(self, arrays: Leaves) -> Leaves:
        """Arrays by the names of inputs, by their paths."""
        return {path: arrays[name] for path, name in self.names.items()}

    def called(self, ops: Any, arguments: Mapping[str, Any]) -> Any:
        """The return value of the loss.

        Raises:
            Malformed: it does not take the inputs.
        """
        named = {OPS: ops, **arguments} if self._has_ops else arguments
        if not takes(self.loss, named):
            expected = f"expected ({', '.join(arguments)}), the inputs, perhaps with {OPS} first"
            raise Malformed(f"{line_of(self.loss)}: takes {inspect.signature(self.loss)}: {expected}")
        return self.loss(**named)

    def as_function(self, watched: Collection[str]) -> Callable[..., Any]:
        """The loss as a function of `ops` and the inputs by name."""

        def loss(ops: Any, **arrays: Any) -> Any:
            return self.result(ops, self.by_path(arrays), watched)

        loss.__wrapped__ = self.loss  # type: ignore[attr-defined]  # whose line messages show
        loss.__signature__ = inspect.signature(loss, follow_wrapped=False)  # type: ignore[attr-defined]
        return loss

    def recorded(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What the loss returns and what it watches, as one tree.

        Raises:
            Malformed: it returns no array, or a tree of another form.
        """
        ops = Watching()
        returned = self.called(ops, arguments)
        several = isinstance(returned, (tuple, list, Mapping))
        entries = (list(returned.values()) if isinstance(returned, Mapping) else returned) if several else [returned]
        if not entries or not all(hasattr(each, "shape") for each in entries):
            expected = "expected an array, or a tuple or dictionary of arrays"
            raise Malformed(f"{line_of(self.loss)}: returned {described(returned)}: {expected}")
        return {"result": returned, "watched": ops.values}


class Watching:
    """`ops` while a loss is recorded: it has `watch` alone."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def watch(self, name: str, value: Any) -> Any:
        """Name a value."""
        if not isinstance(name, str) or name in self.values:
            raise Malformed(f"ops.watch({name!r}): expected a name, which no other value has")
        self.values[name] = value
        return value

    def __getattr__(self, name: str) -> Any:
        raise Malformed(
            f"ops.{name}: a loss in an engine's own code has ops.watch alone: expected the engine's function"
        )


def is_shape(leaf: Any) -> bool:
    """Whether a leaf of a tree is a shape: a tuple of numbers."""
    return isinstance(leaf, tuple) and not hasattr(leaf, "_fields") and all(type(size) is int for size in leaf)


def watched_in(graph: Mapping[str, Any]) -> set[str]:
    """The names of the watched values of `graph` of a request."""
    return {str(node["name"]) for node in graph["nodes"] if node["word"] == "watch"}
