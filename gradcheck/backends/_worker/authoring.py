"""What the parent asks about a problem's file in an engine's own code, which workers of that engine alone load."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Malformed, dtype_of
from gradcheck.backends._worker.handwritten import line_of
from gradcheck.backends._worker.outputs import described
from gradcheck.backends._worker.stream import Stream

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

    from gradcheck.backends._engine import Arrays, Engine
    from gradcheck.backends._worker.whole_files import WholeFile

DTYPE = "float64"
"""In which the file draws inputs."""
VARIABLES = ("inputs", "loss", "sample", "wrt", "backends", "gradients", "hessian_products", "implementations")
"""Of a file, beside its docstring."""


class Author:
    """The file, in a worker of its engine.

    Args:
        engine: of the worker.
        file: the loaded module.
        request: one of the methods below, with "size": `[k]`, or `[]` of a file with one size.
        read: the arrays of a part of the request.
        store: writes an array to a file, and returns its path.
    """

    def __init__(
        self,
        engine: Engine,
        file: ModuleType,
        request: Mapping[str, Any],
        read: Callable[[Any], Arrays],
        store: Callable[[np.ndarray], str],
    ) -> None:
        self._engine = engine
        self._file = file
        self._request = request
        self._read = read
        self._store = store

    def describe(self) -> dict[str, Any]:
        """The variables of the file as plain data: functions are their signatures and lines."""
        file = self._file
        found = {name: as_data(getattr(file, name)) for name in VARIABLES if hasattr(file, name)}
        return {"doc": as_data(file.__doc__), "variables": found}

    def shapes(self) -> dict[str, Any]:
        """The shapes of the inputs, and the names of those whose gradients are not wanted."""
        whole = self._whole
        return {"shapes": whole.shapes, "fixed": whole.fixed}

    def sample(self) -> dict[str, Any]:
        """The inputs that have values: arrays in `inputs`, and those of `sample`, which draws from the given place."""
        stream = Stream(int(self._request["seed"]), self._request["position"])
        whole = self._whole
        drawn = dict(whole.values)
        if hasattr(self._file, "sample"):
            given = self._file.sample(stream, *self._request["size"])
            if not isinstance(given, Mapping):
                raise Malformed(f"{line_of(self._file.sample)} returned {described(given)}: expected arrays by name")
            leaves = {name + label: leaf for name, each in given.items() for label, leaf in whole.flat(each)}
            drawn.update({whole.names.get(path, path): leaf for path, leaf in leaves.items()})
        arrays = {name: self._engine.numbers(leaf) if is_own(leaf) else leaf for name, leaf in drawn.items()}
        return {"arrays": self._stored(arrays), "position": stream.position}

    def dump(self) -> dict[str, Any]:
        """The program of the loss in a dtype, for these integers and booleans; floats count by their shapes alone."""
        import numpy as np

        dtype = self._request["dtype"]
        whole, known = self._whole_in(dtype), self._read(self._request["known"])
        inputs = {name: known[name] if name in known else np.ones(shape) for name, shape in whole.shapes.items()}
        own = {name: self._engine.array(array, dtype_of(array, dtype)) for name, array in inputs.items()}
        dump = whole.dump(whole.by_path(own), self._request["rows"])
        for node in dump["nodes"]:
            if node["operator"] == "input":
                node["name"] = whole.names.get(node["name"], node["name"])
        arrays = {name: array for name, array in dump["arrays"].items() if name not in whole.names}
        return {**dump, "arrays": self._stored(arrays)}

    @property
    def _whole(self) -> WholeFile:
        return self._whole_in(DTYPE)

    def _whole_in(self, dtype: str) -> WholeFile:
        found: WholeFile = self._engine.whole_file(self._file, tuple(self._request["size"]), dtype)
        return found

    def _stored(self, arrays: Mapping[str, Any]) -> dict[str, str]:
        import numpy as np

        return {name: self._store(np.array(array, order="C")) for name, array in arrays.items()}


def is_own(leaf: Any) -> bool:
    """Whether a leaf is an array of the engine, and none of NumPy's."""
    return hasattr(leaf, "dtype") and not type(leaf).__module__.startswith("numpy")


def as_data(value: Any) -> Any:
    """A variable of a file."""
    if isinstance(value, Mapping):
        return {"mapping": [[str(name), as_data(each)] for name, each in value.items()]}
    if isinstance(value, (tuple, list)):
        return {"items": [as_data(each) for each in value]}
    if callable(value):
        code = getattr(inspect.unwrap(value), "__code__", None)
        place = [code.co_filename, code.co_firstlineno, code.co_name] if code else None
        return {"parameters": list(parameters_of(value)), "place": place}
    return value if value is None or isinstance(value, str) else {"shown": repr(value)}


def parameters_of(function: Any) -> Iterator[list[Any]]:
    """The parameters of a function, each with its kind and whether it has a default; any if it shows no signature."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = [inspect.Parameter("arguments", inspect.Parameter.VAR_POSITIONAL)]
    yield from ([each.name, int(each.kind), each.default is not each.empty] for each in parameters)
