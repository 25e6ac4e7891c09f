"""Problems given as functions: a file with their sources, and those of the code they use, which any worker can load."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import inspect
import itertools
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from gradcheck.errors import ProblemError
from gradcheck.problems._checks import EXAMPLES
from gradcheck.system import caches

Shapes = Callable[[int], Mapping[str, tuple[int, ...]]] | Mapping[str, tuple[int, ...]]
LITERALS = (int, float, complex, str, bytes, bool, type(None))
LARGEST_ARRAY = 4096
"""The largest number of entries of an array in a problem's file."""
PLACED = '''
def _placed(code, file, line):
    """The code of a function with the file and line of its own source, so that messages name these."""
    parts = (
        _placed(part, file, line + part.co_firstlineno - code.co_firstlineno) if hasattr(part, "co_code") else part
        for part in code.co_consts
    )
    return code.replace(co_filename=file, co_firstlineno=line, co_consts=tuple(parts))

'''


def write(
    loss: Callable[..., Any],
    inputs: Shapes | None,
    wrt: Sequence[str] | None,
    gradients: Mapping[str, Any] | None,
    sample: Callable[..., Mapping[str, Any]] | None = None,
    hessian_products: Mapping[str, Any] | None = None,
    implementations: Mapping[str, Any] | None = None,
) -> Path:
    """Write a problem's file, named by its content, to the user's cache, where a replay finds it.

    Args:
        loss: a function of `ops` and the inputs, made with `def` or `lambda`.
        inputs: the inputs' shapes by name, or a function that gives them, of `k` where there are several sizes; or
            arrays of NumPy by name, whose shapes and kinds are meant.
        wrt: the inputs whose gradients are wanted; default: every floating one.
        gradients: hand-written gradients by name.
        sample: draws inputs with a structure, as in a problem's file.
        hessian_products: hand-written products of the Hessian and a direction by name.
        implementations: the loss once more in an engine's arrays, pairs of the engine's name and a function by name.

    Raises:
        ProblemError: a function has no source, or uses an object that cannot be written.
    """
    name = name_of(loss)
    if inputs is None:
        raise ProblemError(f"{name}: no inputs: expected inputs=, their shapes by name, or a function of k")
    sources = WrittenFunctions()
    lines = [f"loss = {sources.add(loss)}"]
    if callable(inputs):
        lines.append(f"inputs = {sources.add(inputs)}")
    else:
        lines.append(f"\n\ndef inputs():\n    return {_shapes(inputs, name)!r}\n\n")
        if sample is None and (whole := _whole(inputs)):
            zeros = ", ".join(f"{each!r}: numpy.zeros({shape}, {kind!r})" for each, (shape, kind) in whole.items())
            lines.append(f"import numpy\n\n\ndef sample(rng):\n    return {{{zeros}}}\n\n")
    if sample is not None:
        lines.append(f"sample = {sources.add(sample)}")
    if wrt is not None:
        lines.append(f"wrt = {tuple(wrt)!r}")
    own = {"gradients": gradients, "hessian_products": hessian_products, "implementations": implementations}
    for key, functions in own.items():
        if not isinstance(functions or {}, Mapping):
            expected = f"expected a mapping of names to functions, such as {EXAMPLES[key]}"
            raise ProblemError(f"{name}: {key} is a {type(functions).__name__}: {expected}")
        named = ", ".join(f"{name!r}: {_declared(each, sources)}" for name, each in (functions or {}).items())
        lines.append(f"{key} = {{{named}}}")
    title = (inspect.getdoc(loss) or f"The function {name}.").splitlines()[0]
    text = "\n".join([repr(title), PLACED, *sources.parts, *lines, ""])
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = caches.folder("problems") / f"{name}_{digest}.py"
    _keep(path, text.encode())
    return path


def _shapes(inputs: Mapping[str, Any], name: str) -> dict[str, tuple[int, ...]]:
    """The shapes of inputs by name.

    Raises:
        ProblemError: one is no shape; the message shows the name of the loss.
    """
    if not isinstance(inputs, Mapping):
        expected = "expected shapes by name, such as {'x': (3, 4)}"
        doors = "for tensors or JAX's arrays write gradcheck.torch.check or gradcheck.jax.check"
        raise ProblemError(f"{name}: inputs is of type {type(inputs).__name__}: {expected}; {doors}")
    shapes: dict[str, Any] = {each: getattr(shape, "shape", shape) for each, shape in inputs.items()}
    for each, shape in shapes.items():
        if not isinstance(shape, (tuple, list)) or not all(isinstance(size, int) for size in shape):
            what = f"{name}: inputs[{each!r}] is of type {type(shape).__name__}"
            raise ProblemError(f"{what}: expected its shape, such as (3, 4), or an array of NumPy")
    return {each: tuple(shape) for each, shape in shapes.items()}


def _whole(inputs: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    """The shapes and the dtypes of arrays of integers and booleans, which have no gradient."""
    dtypes = {name: each.dtype for name, each in inputs.items() if hasattr(each, "dtype")}
    return {name: (inputs[name].shape, dtype.name) for name, dtype in dtypes.items() if dtype.kind in "biu"}


def _declared(own: Any, sources: WrittenFunctions) -> str:
    """A function, or a pair of an engine's name and a function, as a file has it."""
    if isinstance(own, tuple) and len(own) == 2:
        return f"({own[0]!r}, {sources.add(own[1])})"
    return sources.add(own)


def _keep(path: Path, content: bytes) -> None:
    """Give a file exactly this content, or leave it: other processes may write and read it at the same time.

    Raises:
        ProblemError: it cannot be written.
        RequestError: the cache is not the user's own.
    """
    caches.check_owned(path.parent)
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            return
    try:
        caches.make(path.parent)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.stem}.", delete=False) as file:
            try:
                file.write(content)
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ProblemError(f"{path}: {caches.trouble(error, 'its file')}") from None


class WrittenFunctions:
    """The sources of functions, and of all that they use, each once and before its use."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._known: dict[str, Any] = {}

    def add(self, function: Any) -> str:
        """Add a function with all that it uses, and return its name in the file."""
        name = base = name_of(function)
        numbers = itertools.count(2)
        while is_lambda(function) and self._known.get(name, function) is not function:  # another one of its line
            name = f"{base}_{next(numbers)}"
        if self._is_new(name, function):
            source = f"{name} = ({source_of_lambda(function)})\n" if is_lambda(function) else _source(function)
            used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
            scope = function.__globals__ | _closure(function)
            for each in sorted(used & scope.keys() - {function.__name__}):
                self._add_value(each, scope[each], function)
            self.parts.append(source + _placing(function, name))
        return name

    def _add_value(self, name: str, value: Any, user: FunctionType) -> None:
        if isinstance(value, FunctionType) and value.__module__ == user.__module__ and value.__name__ == name:
            self.add(value)
        elif is_lambda(value):
            self.parts.append(f"{name} = {self.add(value)}\n")
        elif self._is_new(name, value):
            self.parts.append(_statement(name, value, user))

    def _is_new(self, name: str, value: Any) -> bool:
        known = self._known.get(name, value)
        if known is not value and (_is_small_array(value) or known != value):
            raise ProblemError(f"{name}: two different things of that name: expected names of their own")
        new = name not in self._known
        self._known[name] = value
        return new


def is_lambda(function: Any) -> bool:
    """Whether a function was made with lambda."""
    return isinstance(function, FunctionType) and function.__name__ == "<lambda>"


def name_of(function: Any) -> str:
    """The name of a function in a problem's file; a lambda has that of its line.

    Raises:
        ProblemError: its source cannot be written: it is a method, an object, or a function of another language.
    """
    if is_lambda(function):
        return f"lambda_{function.__code__.co_firstlineno}"
    if isinstance(function, FunctionType):
        return function.__name__
    raise ProblemError(
        f"{function!r}: expected a function made with def or lambda, whose source a worker can run; for any other "
        "callable of tensors or of JAX's arrays write gradcheck.torch.check or gradcheck.jax.check"
    )


def source_of_lambda(function: FunctionType) -> str:
    """The text of a lambda: the smallest one on its line around the positions of its code.

    Raises:
        ProblemError: its source cannot be read.
    """
    try:
        lines, _ = inspect.findsource(function)
        text = "".join(lines)
        tree = ast.parse(text)
    except (OSError, TypeError, SyntaxError) as error:
        raise ProblemError(f"{name_of(function)}: {error}: expected a lambda whose source can be read") from None
    steps = [each for each in function.__code__.co_positions() if None not in each]
    spans = [(start, end) for first, last, left, right in steps if (start := (first, left)) < (end := (last, right))]
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda)
        and node.lineno == function.__code__.co_firstlineno
        and all(
            (node.lineno, node.col_offset) <= start and end <= (node.end_lineno or 0, node.end_col_offset or 0)
            for start, end in spans
        )
    ]
    segments = sorted((ast.get_source_segment(text, node) or "" for node in found), key=len)
    if not segments:
        raise ProblemError(
            f"{name_of(function)}: expected a lambda whose source can be read, or a function made with def"
        )
    return segments[0]


def _source(function: FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise ProblemError(f"{function.__name__}: {error}: expected a function whose source can be read") from None


def _placing(function: FunctionType, name: str) -> str:
    """The statement that gives a function its line in the user's own file; nothing if there is no such file."""
    file, line = function.__code__.co_filename, function.__code__.co_firstlineno
    if not Path(file).is_file():
        return ""
    return f"{name}.__code__ = _placed({name}.__code__, {file!r}, {line})\n\n"


def _closure(function: FunctionType) -> dict[str, Any]:
    return dict(inspect.getclosurevars(function).nonlocals)


def _is_small_array(value: Any) -> bool:
    """Whether it is a NumPy array of a few finite numbers; NumPy is not loaded for that."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray):
        return False
    return value.size <= LARGEST_ARRAY and value.dtype.kind in "fiub" and bool(numpy.isfinite(value).all())


def _statement(name: str, value: Any, user: FunctionType) -> str:
    """The statement that gives a name its value."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}"
    several = isinstance(value, (tuple, list)) and all(isinstance(each, LITERALS) for each in value)
    if isinstance(value, LITERALS) or several:
        return f"{name} = {value!r}"
    if _is_small_array(value):
        return f"import numpy\n{name} = numpy.array({value.tolist()!r}, {value.dtype.name!r})"
    home, own_name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if home and own_name and home != "__main__":
        return f"from {home} import {own_name} as {name}"
    raise ProblemError(
        f"{user.__name__} uses {name} = {value!r}: expected modules, functions, plain numbers and small arrays; "
        "write the problem as a file instead"
    )
