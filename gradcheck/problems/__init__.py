"""Problems: scalar losses of named inputs. One file in `shipped` is one problem; so is any file that a user names."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from gradcheck import entry_points
from gradcheck.backends._worker.imports import Imports
from gradcheck.errors import FRAMEWORKS, ProblemError
from gradcheck.problems._checks import (
    EXAMPLES,
    Shape,
    checked_backends,
    checked_functions,
    checked_names,
    checked_sample,
    checked_shapes,
    checked_wrt,
    stated_shapes,
    takes_size,
)
from gradcheck.problems._guard import TIMEOUT, ProblemCode, described_error
from gradcheck.problems._paths import folders
from gradcheck.problems._scripts import EXPECTED, NEEDED, refuse_script
from gradcheck.problems._whole_files import Authors, dump_of, engine_of, fixed_in, module_of
from gradcheck.text.suggestions import did_you_mean

ENTRY_POINTS = "gradcheck.problems"
FOLDER = Path(__file__).parent / "shipped"
"""The folder of the shipped problems."""
SIZES_TRIED = 2048
"""The sizes that are tried to find the one with given shapes of inputs."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A problem's file, loaded.

    Attributes:
        name: the user's name for it.
        wrt: the inputs that the file names for the check of their gradients; None if it names none, see
            `sampling.wrt_of`.
        gradients: the names of its own functions: hand-written gradients and products, and implementations.
        functions: the gradients by name; they run only in workers.
        hessian_products: the hand-written products of the Hessian and a direction by name.
        implementations: functions that compute the loss once more, by name.
        engines: the name of a function -> the engine in whose arrays it computes, if these are not NumPy's.
        backends: the backends of a run that names none: those that the file names, else its gradients.
        has_size: whether its functions take a size `k`; if not, there is one size, and `k` is None everywhere.
        sample: (stream, k) -> arrays of inputs with a structure, labels for example, by name; see `cases.sample`.
        timeout: the time limit of each of its functions in this process, in seconds.
        engine: in whose own code the file is written; its loss is the implementation `original`.
        dump: (k, dtype, integers and booleans) -> the program of such a loss, see `graphs.front_ends.lowered`.
        fixed: k -> floating inputs whose gradients are not wanted, unless `wrt` names them.
        folders: where the modules that its file imports are searched, before installed packages.
        imports: the context of its functions in this process, which they enter by themselves.
    """

    name: str
    path: Path
    title: str
    folders: tuple[str, ...]
    imports: Imports
    loss: Callable[..., Any]
    inputs: Callable[..., Mapping[str, Shape]]
    wrt: tuple[str, ...] | None
    gradients: tuple[str, ...]
    functions: Mapping[str, Callable[..., Any]]
    hessian_products: Mapping[str, Callable[..., Any]]
    implementations: Mapping[str, Callable[..., Any]]
    engines: Mapping[str, str]
    backends: tuple[str, ...]
    has_size: bool = True
    sample: Callable[..., Mapping[str, Any]] | None = None
    timeout: float = TIMEOUT
    engine: str | None = None
    dump: Callable[[int | None, str, Mapping[str, Any]], Mapping[str, Any]] | None = None
    fixed: Callable[[int | None], Collection[str]] = lambda _: ()

    def sized(self, k: int, given: bool = False) -> int | None:
        """The size that `k` means: None if the problem has one size.

        Raises:
            ProblemError: there is one size, but `k` was given.
        """
        if given and not self.has_size:
            raise ProblemError(f"k = {k}: {self.path} has one size, since its inputs() takes no k: expected no k")
        return k if self.has_size else None

    def has_order(self, backend: str, order: int) -> bool:
        """Whether a backend can answer a case of an order, as far as the file shows: a function of its own may not."""
        own = self.functions if order == 1 else self.hessian_products
        return backend not in self.gradients or backend in own or backend in self.implementations

    def shapes(self, k: int | None) -> dict[str, Shape]:
        """The inputs' shapes at size `k`.

        Raises:
            ProblemError: `inputs(k)` fails or gives something other than a mapping of names to shapes.
        """
        return dict(_shapes(self, k))

    def size_of(self, shapes: Mapping[str, Shape]) -> int | None:
        """The size `k` at which the inputs have these shapes; None if the problem has one size, and they fit it.

        Raises:
            ProblemError: there is none.
        """
        with ProblemCode(self.path, "inputs(k)", self.timeout), self.imports:  # entered once, not for each k
            for k in _possible_sizes(shapes) if self.has_size else [None]:
                if stated_shapes(self.path, self.inputs, k, self.timeout) == dict(shapes):
                    return k
        found, example = in_words(shapes), in_words(self.shapes(self.sized(3)))
        if not self.has_size:
            raise ProblemError(f"inputs {found}: expected those of {self.name}, {example}")
        raise ProblemError(
            f"inputs {found}: no k gives these shapes: expected those of {self.name}, {example} at k = 3"
        )


def in_words(shapes: Mapping[str, Shape]) -> str:
    """Shapes by name, "W (3, 3), x (3,)"."""
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


@functools.lru_cache(maxsize=64)
def _shapes(problem: Problem, k: int | None) -> dict[str, Shape]:
    """The shapes of a problem at size `k`: they are computed once, since the guard takes a tenth of a check."""
    return checked_shapes(problem.path, problem.inputs, k, problem.timeout)


def _possible_sizes(shapes: Mapping[str, Shape]) -> list[int]:
    """Sizes `k` at which inputs may have these shapes: each up to `SIZES_TRIED`, and beyond those near a dimension."""
    dimensions = {size for shape in shapes.values() for size in shape}
    largest = max(dimensions, default=1)
    near = {size + by for size in dimensions for by in (-1, 0, 1)} | {size // 2 for size in dimensions}
    beyond = sorted(size for size in near if SIZES_TRIED < size <= largest)
    return [*range(1, min(largest, SIZES_TRIED) + 1), *beyond]


def names() -> dict[str, Path]:
    """Every problem known by name, shipped ones first, then those of installed distributions, with their files."""
    found = {path.stem: path for path in sorted(FOLDER.glob("[!_]*.py"))}
    for name, path in entry_points.files(ENTRY_POINTS):
        found.setdefault(name, path)
    return found


def load(name: str, timeout: float = TIMEOUT, authors: Authors | None = None) -> Problem:
    """Load a problem by its name or its file's path; each call of its code has `timeout` seconds.

    Args:
        name: of the problem, or the path of its file.
        timeout: see above.
        authors: load a file in an engine's own code, which this process does not.

    Raises:
        ProblemError: there is no such problem, or its file is not a complete problem.
        RequestError: the engine in whose code it is written is not available.
    """
    path = find(name)
    engine = engine_of(path)
    if engine:
        return _in_engine(name, path, timeout, engine, authors)
    refuse_script(name, path)
    with contextlib.suppress(OSError):
        if b"import" in path.read_bytes():
            importlib.import_module("numpy")  # before its code runs, so that changes by the code are found
    with ProblemCode(path, "loading", timeout):
        found = folders(path)
        imports = Imports(found)
        return _problem(name, path, _execute(path, imports), timeout, found, imports)


def _in_engine(name: str, path: Path, timeout: float, engine: str, authors: Authors | None) -> Problem:
    """A problem whose file is written in an engine's own code."""
    if authors is None:
        raise ProblemError(f"{path}: it is written in {engine}, which this command does not start: write gradcheck run")
    author = authors(engine, path)
    imports = Imports(())
    described = author("describe")
    imports.note(described["files"], described["used"])
    problem = _problem(name, path, module_of(path, engine, author, described), timeout, folders(path), imports)
    return replace(problem, engine=engine, dump=dump_of(author, engine), fixed=fixed_in(author))


def find(name: str) -> Path:
    """The file of a problem.

    Raises:
        ProblemError: there is none.
    """
    path = FOLDER / f"{name}.py"  # shipped problems need no search of installed distributions, which costs 30 ms
    if not name.isidentifier() or not os.path.isfile(path):  # noqa: PTH113 (see below)
        path = Path(name) if name.endswith(".py") else _named(name)
    if not os.path.isfile(path):  # noqa: PTH113 (a name that is too long for a file is none)
        meant = did_you_mean(name, files_near(name))
        raise ProblemError(
            f"problem {name!r}: no such file: {meant}expected a problem's name or the path of a .py file"
        )
    resolved = path.resolve()
    try:
        os.fspath(resolved).encode()
    except UnicodeEncodeError:
        raise ProblemError(f"problem {name!r}: {resolved} is not UTF-8: expected a path in UTF-8") from None
    return resolved


def files_near(name: str) -> list[str]:
    """The paths of the Python files in the folder that a path names, as the user would write them."""
    folder = os.path.dirname(name)  # noqa: PTH120 (as it is written)
    with contextlib.suppress(OSError, ValueError):
        return [os.path.join(folder, each) for each in os.listdir(folder or ".") if each.endswith(".py")]  # noqa: PTH118, PTH208
    return []


def _named(name: str) -> Path:
    known = names()
    if name not in known:
        if os.path.isdir(name):  # noqa: PTH112 (a name that is too long for a folder is none)
            raise ProblemError(f"problem {name!r}: a folder: expected the path of a .py file, such as {name}/layer.py")
        meant = did_you_mean(name, [*known, *files_near(name)])
        expected = meant.rstrip() or f"expected {', '.join(known)} or the path of a .py file"
        raise ProblemError(f"problem {name!r}: unknown: {expected}")
    return known[name]


def _execute(path: Path, imports: Imports) -> ModuleType:
    try:
        return imports.execute(str(path))
    except SyntaxError as error:
        raise ProblemError(f"{error.filename}:{error.lineno}: {error.msg}: expected Python source") from error
    except ImportError as error:
        raise ProblemError(_not_imported(path, error)) from error
    except Exception as error:
        raise ProblemError(f"{path}: loading raised {described_error(error)}") from error


IN_A_FUNCTION = "what a gradient alone needs can be imported in its function"


def _not_imported(path: Path, error: ImportError) -> str:
    """Why an import in a problem's file failed, and what to write."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f"{path}:{lines[-1].lineno}" if lines else str(path)
    if lines and error.name is None and "relative import" in str(error):
        statement = (lines[-1].line or "").strip()
        expected = "expected the module's full name, such as `import layers`, as a file that is run by itself has it"
        return f"{where}: {statement}: {expected}"
    message = f"{where}: loading raised {described_error(error)}"
    if not isinstance(error, ModuleNotFoundError) or ": expected " in str(error):
        return message
    expected = "expected a module in the file's folder, the current one, on PYTHONPATH, or installed with gradcheck"
    package = (error.name or "").partition(".")[0]
    for source in (Path("src"), path.parent / "src"):
        if package and ((source / package).is_dir() or (source / f"{package}.py").is_file()):
            return f"{message}: {source / package} exists: write PYTHONPATH={source} gradcheck ..."
    if package in FRAMEWORKS:
        return f'{message}: expected a line engine = "{package}" in a file in {FRAMEWORKS[package]}; {IN_A_FUNCTION}'
    return f"{message}: {expected}; {IN_A_FUNCTION}"


def _problem(
    name: str, path: Path, module: ModuleType, timeout: float, folders: tuple[str, ...], imports: Imports
) -> Problem:
    for function in NEEDED:
        if not callable(getattr(module, function, None)):
            raise ProblemError(f"{path}: no function {function!r}: {EXPECTED}")
    if not isinstance(module.__doc__, str | None):
        raise ProblemError(f"{path}: __doc__ is {module.__doc__!r}: expected a text")
    title = next(iter((module.__doc__ or "").strip().splitlines()), "")
    inputs = imports.bound(module.inputs)
    has_size = takes_size(path, inputs)
    shapes = checked_shapes(path, inputs, 1 if has_size else None, timeout)
    wrt = checked_wrt(path, getattr(module, "wrt", None), shapes)
    own = {key: checked_functions(path, key, getattr(module, key, {})) for key in EXAMPLES}
    engines = checked_names(path, own)
    functions = {key: {name: each.function for name, each in named.items()} for key, named in own.items()}
    gradients = tuple(dict.fromkeys(name for named in own.values() for name in named))
    backends = checked_backends(path, getattr(module, "backends", gradients))
    sample = checked_sample(path, getattr(module, "sample", None), has_size)
    return Problem(
        name,
        path,
        title,
        folders,
        imports,
        imports.bound(module.loss),
        inputs,
        wrt,
        gradients,
        functions["gradients"],
        functions["hessian_products"],
        functions["implementations"],
        engines,
        backends,
        has_size,
        imports.bound(sample) if sample else None,
        timeout,
    )


def of_function(
    name: str, path: Path, function: Callable[..., Any], shapes: Mapping[str, Shape], wrt: tuple[str, ...]
) -> Problem:
    """A problem without a file of its own: a function of the caller's process, whose graph is known.

    Args:
        name: in the report.
        path: of the file that the function is written in.
        function: what is checked.
        shapes: of its inputs by name.
        wrt: the inputs whose gradients are wanted.
    """
    return Problem(
        name=name,
        path=path,
        title=name,
        folders=(),
        imports=Imports(()),
        loss=function,
        inputs=lambda: shapes,
        wrt=wrt,
        gradients=(),
        functions={},
        hessian_products={},
        implementations={},
        engines={},
        backends=(),
        has_size=False,
    )


def start(path: Path) -> None:
    """Write a commented starting file.

    Raises:
        ProblemError: it exists already, is no .py file, has no folder, or cannot be written.
    """
    if path.suffix != ".py":
        raise ProblemError(f"{path}: expected the path of a new .py file")
    if not path.parent.is_dir():
        raise ProblemError(f"{path}: no folder {path.parent}: expected one; write mkdir -p {path.parent}")
    template = Path(__file__).with_name("_starting_file.py.txt").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template)
    except OSError as error:
        raise ProblemError(f"{path}: {error.strerror}: expected the path of a new .py file") from None


def described() -> Iterator[tuple[str, Problem | ProblemError]]:
    """Every problem known by name, loaded, or why it cannot be."""
    for name in names():
        try:
            yield name, load(name)
        except ProblemError as error:
            yield name, error
