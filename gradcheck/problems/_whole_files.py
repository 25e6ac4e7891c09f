"""A problem's file in an engine's own code, as this process has it: its functions run in a worker of that engine."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from gradcheck.backends._worker.whole_files import ORIGINAL
from gradcheck.errors import ProblemError

if TYPE_CHECKING:
    from gradcheck.backends._worker.stream import Stream

VARIABLE = "engine"
"""The variable of a file that names its engine."""


class Asking(Protocol):
    """A worker that has loaded the file; "files" of an answer are those that it loaded, "used" the folders of these."""

    def __call__(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """What `gradcheck.backends._worker.authoring.Author` answers; "arrays" are arrays.

        Raises:
            ProblemError: the file's code fails.
            RequestError: the engine is not available.
        """


Authors = Callable[[str, Path], Asking]
"""(the name of an engine, the path of a file) -> its author."""


def engine_of(path: Path) -> str | None:
    """The engine in whose code a file is written, as a line `engine = "torch"` of it states; None if none does.

    No code of the file runs: it may import what this process does not have.

    Raises:
        ProblemError: there is no front end for the engine.
    """
    try:
        text = path.read_bytes()
        statements = ast.parse(text).body if VARIABLE.encode() in text else []
    except (OSError, SyntaxError, ValueError, RecursionError):  # loading reports it
        return None
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id="engine")], value=value):
                from gradcheck.graphs.front_ends import DUMPED

                name = value.value if isinstance(value, ast.Constant) else ast.unparse(value)
                if name not in DUMPED:
                    expected = " or ".join(map(repr, DUMPED))
                    raise ProblemError(f"{path}:{statement.lineno}: engine = {name!r}: expected {expected}")
                return str(name)
    return None


def module_of(path: Path, engine: str, author: Asking, described: Mapping[str, Any]) -> ModuleType:
    """What stands for the module of a file here: its variables, with functions that ask its author.

    Its loss is a backend too, `original`.

    Args:
        path: of the file.
        engine: in whose code it is written.
        author: of the file.
        described: its variables.
    """
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    module.__doc__ = _value(described["doc"], _refused)
    for name, value in described["variables"].items():
        setattr(module, name, _value(value, _refused))
    if callable(getattr(module, "inputs", None)):
        module.inputs = _value(described["variables"]["inputs"], _shapes(author))  # type: ignore[attr-defined]
    module.sample = _sample(author, described["variables"].get("sample"))  # type: ignore[attr-defined]
    own = getattr(module, "implementations", {})
    if isinstance(own, dict) and callable(getattr(module, "loss", None)):
        if ORIGINAL in own:
            raise ProblemError(f"{path}: implementations names {ORIGINAL!r}, which is the loss: expected another name")
        module.implementations = {ORIGINAL: (engine, module.loss), **own}  # type: ignore[attr-defined]
    return module


def fixed_in(author: Asking) -> Callable[[int | None], Collection[str]]:
    """The inputs at a size whose gradients are not wanted: tensors that require none."""
    return functools.lru_cache(lambda k: frozenset(author("shapes", size=_size(k))["fixed"]))


def dump_of(author: Asking, engine: str) -> Callable[[int | None, str, Mapping[str, Any]], Mapping[str, Any]]:
    """The program of a loss at a size and in a dtype, for these integers and booleans."""
    from gradcheck.graphs.front_ends import rows_of

    return lambda k, dtype, known: author("dump", size=_size(k), dtype=dtype, known=known, rows=rows_of(engine))


def _shapes(author: Asking) -> Callable[..., Any]:
    def inputs(*size: int) -> Any:
        return author("shapes", size=list(size))["shapes"]

    return inputs


def _sample(author: Asking, described: Any) -> Callable[..., Any]:
    """The inputs that have values: a file without `sample` may have arrays among its inputs."""

    def sample(stream: Stream, *size: int) -> Any:
        found = author("sample", size=list(size), seed=str(stream.seed), position=stream.position)
        stream.skip_to(found["position"])
        return found["arrays"]

    return sample if described is None else _value(described, sample)


def _refused(*_: Any, **__: Any) -> Any:
    raise AssertionError("it runs in workers alone")


def _size(k: int | None) -> list[int]:
    return [] if k is None else [k]


def _value(described: Any, call: Callable[..., Any]) -> Any:
    """A variable of a file, from its description; functions call `call`."""
    if not isinstance(described, Mapping):
        return described
    if "mapping" in described:
        return {name: _value(each, call) for name, each in described["mapping"]}
    if "items" in described:
        return tuple(_value(each, call) for each in described["items"])
    return _Shown(described["shown"]) if "shown" in described else _function(described, call)


class _Shown:
    """A value that is no part of a problem, in messages."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _function(described: Mapping[str, Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """A function with the signature and the place of one in a file; its source shows the lines of its results."""

    def function(*arguments: Any, **named: Any) -> Any:
        return call(*arguments, **named)

    parameters = [
        inspect.Parameter(name, inspect._ParameterKind(kind), default=None if has_default else inspect.Parameter.empty)
        for name, kind, has_default in described["parameters"]
    ]
    file, line, name = described["place"] or (__file__, 1, "function")
    code = function.__code__.replace(co_filename=file, co_firstlineno=line, co_name=name)
    placed = FunctionType(code, {}, name, None, function.__closure__)
    placed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return placed
