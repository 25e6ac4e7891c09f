"""A loss that returns arrays, as its hand-written gradients have it: they get cotangents, and give the outputs first.

The derivative is that of L = Σ cotangent · output over all outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Malformed

if TYPE_CHECKING:
    import numpy as np

    from gradcheck.backends._engine import Arrays

OUTPUT, COTANGENT = "output", "cotangent"


class Outputs:
    """The outputs of a loss: one array, a tuple or a dictionary; none if it returns one number.

    Args:
        graph: `graph` of a request, as docs/protocol.md describes it.
    """

    def __init__(self, graph: Mapping[str, Any]) -> None:
        places = {label: place for label, place in graph["outputs"].items() if label != "loss"}
        self.names: dict[Any, str] = {key_of(label): graph["nodes"][place]["name"] for label, place in places.items()}
        self.cotangents = {key_of(label): label.replace(OUTPUT, COTANGENT, 1) for label in places}

    def __bool__(self) -> bool:
        return bool(self.names)

    def arguments(self, inputs: Arrays) -> dict[str, Any]:
        """The arguments of a function: the inputs, and the cotangents in the form that the loss returns outputs in."""
        if not self:
            return dict(inputs)
        own = {name: array for name, array in inputs.items() if name not in self.cotangents.values()}
        return {**own, COTANGENT: arranged({key: inputs[name] for key, name in self.cotangents.items()})}

    def separated(self, returned: Any) -> dict[str, Any]:
        """The outputs in what a function returned first, by their names.

        Raises:
            Malformed: it is not what the loss returns.
        """
        keys = list(self.names)
        if keys == [None]:
            return {self.names[None]: returned}
        if isinstance(keys[0], int):
            given: Any = dict(enumerate(returned)) if isinstance(returned, (tuple, list)) else None
        else:
            given = returned if isinstance(returned, Mapping) else None
        if given is None or set(given) != set(keys):
            raise Malformed(f"returned {described(returned)} as outputs: expected {self}, as the loss returns")
        return {name: given[key] for key, name in self.names.items()}

    def loss(self, values: Arrays, inputs: Arrays) -> np.ndarray:
        """Σ cotangent · output, in the widest dtype of the outputs, rounded once.

        Raises:
            Malformed: an output has another shape than that of the loss.
        """
        import numpy as np

        for key, name in self.names.items():
            expected = inputs[self.cotangents[key]].shape
            if values[name].shape != expected:
                raise Malformed(
                    f"returned {name} of shape {values[name].shape}: expected {expected}, as the loss has it"
                )
        pairs = [(values[name], inputs[self.cotangents[key]]) for key, name in self.names.items()]
        with np.errstate(all="ignore"):
            total = sum(np.sum(value.astype(np.longdouble) * each.astype(np.longdouble)) for value, each in pairs)
            return np.asarray(total, np.result_type(*(value for value, _ in pairs)))

    def __str__(self) -> str:
        keys = list(self.names)
        if keys == [None]:
            return "an array"
        return f"a tuple of {len(keys)} arrays" if isinstance(keys[0], int) else f"a dictionary with {', '.join(keys)}"


def key_of(label: str) -> int | str | None:
    """The place of an output in a tuple, or its key in a dictionary; None if it is the only one."""
    inner = label.partition("[")[2][:-1]
    return None if not inner else int(inner) if inner.isdigit() else inner


def arranged(entries: Mapping[Any, Any]) -> Any:
    """Arrays by the keys of outputs as a loss returns them."""
    if list(entries) == [None]:
        return entries[None]
    return tuple(entries.values()) if 0 in entries else dict(entries)


def described(value: Any) -> str:
    """A wrong value, in the words of its writer."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"an array of shape {tuple(shape)}"  # torch.Size is one too
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return repr(value) if len(repr(value)) <= 40 else f"a {type(value).__name__}"
    return f"a {type(value).__name__}" + (f" of {len(value)} things" if isinstance(value, (tuple, list)) else "")
