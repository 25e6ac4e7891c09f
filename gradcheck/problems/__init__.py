"""Problems: scalar losses of named inputs. One file in this folder is one problem; so is any file that a user names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from gradcheck import published
from gradcheck.backends._source import execute
from gradcheck.errors import ProblemError
from gradcheck.suggestions import did_you_mean

Shape = tuple[int, ...]
ENTRY_POINTS = "gradcheck.problems"
FOLDER = Path(__file__).parent
"""Where ours are."""


@dataclass(frozen=True)
class Problem:
    """A problem's file, loaded.

    Attributes:
        name: what the user called it.
        gradients: the names of its hand-written gradients.
        sample: (stream, k) -> arrays of inputs with a structure, labels for example, by name; see `cases.sample`.
    """

    name: str
    path: Path
    title: str
    loss: Callable[..., Any]
    inputs: Callable[[int], Mapping[str, Shape]]
    wrt: tuple[str, ...]
    gradients: tuple[str, ...]
    sample: Callable[[Any, int], Mapping[str, Any]] | None = None

    def shapes(self, k: int) -> dict[str, Shape]:
        """The inputs' shapes at size `k`.

        Raises:
            ProblemError: `inputs(k)` fails or gives something other than a mapping of names to shapes.
        """
        return checked_shapes(self.path, self.inputs, k)

    def size_of(self, shapes: Mapping[str, Shape]) -> int:
        """The size `k` at which the inputs have these shapes.

        Raises:
            ProblemError: there is none.
        """
        largest = max((size for shape in shapes.values() for size in shape), default=1)
        for k in range(1, largest + 1):
            if self.shapes(k) == dict(shapes):
                return k
        raise ProblemError(f"inputs of shapes {dict(shapes)}: expected those of {self.name}, {self.shapes(3)} at k = 3")


def names() -> dict[str, Path]:
    """Every problem that is known by name, ours first, then those of installed distributions, with their files."""
    found = {path.stem: path for path in sorted(FOLDER.glob("[!_]*.py"))}
    for name, path in published.files(ENTRY_POINTS):
        found.setdefault(name, path)
    return found


def load(name: str) -> Problem:
    """Load a problem by its name or its file's path.

    Raises:
        ProblemError: there is no such problem, or its file does not hold what a problem needs.
    """
    path = find(name)
    return _problem(name, path, _execute(path))


def find(name: str) -> Path:
    """The file of a problem.

    Raises:
        ProblemError: there is none.
    """
    path = FOLDER / f"{name}.py"  # ours need no look at installed distributions, which costs 30 ms
    if not name.isidentifier() or not path.is_file():
        path = Path(name) if name.endswith(".py") else _named(name)
    if not path.is_file():
        raise ProblemError(f"problem {name!r}: no such file: expected a problem's name or the path of a .py file")
    return path.resolve()


def _named(name: str) -> Path:
    known = names()
    if name not in known:
        meant = did_you_mean(name, known)
        raise ProblemError(f"problem {name!r}: unknown: {meant}expected {', '.join(known)} or the path of a .py file")
    return known[name]


def _execute(path: Path) -> ModuleType:
    try:
        return execute(str(path))
    except SyntaxError as error:
        raise ProblemError(f"{path}:{error.lineno}: {error.msg}: expected Python source") from error
    except Exception as error:
        raise ProblemError(f"{path}: {type(error).__name__} while loading: {error}") from error


def _problem(name: str, path: Path, module: ModuleType) -> Problem:
    for function in ("inputs", "loss"):
        if not callable(getattr(module, function, None)):
            raise ProblemError(f"{path}: no function {function!r}: expected inputs(k) and loss(ops, ...)")
    title = next(iter((module.__doc__ or "").strip().splitlines()), "")
    shapes = checked_shapes(path, module.inputs, 1)
    wrt = tuple(getattr(module, "wrt", shapes))
    gradients = getattr(module, "gradients", {})
    sample = getattr(module, "sample", None)
    if isinstance(getattr(module, "wrt", ()), str):
        raise ProblemError(f"{path}: wrt is {module.wrt!r}: expected a tuple of names, such as ({module.wrt!r},)")
    for unknown in (name for name in wrt if name not in shapes):
        meant = did_you_mean(str(unknown), shapes)
        raise ProblemError(f"{path}: wrt names {unknown!r}: {meant}expected some of {', '.join(shapes)}")
    if not wrt:
        raise ProblemError(f"{path}: wrt is empty: expected some of {', '.join(shapes)}")
    if not isinstance(gradients, Mapping) or not all(callable(function) for function in gradients.values()):
        raise ProblemError(f"{path}: gradients is {gradients!r}: expected a mapping of names to functions")
    if sample is not None and not callable(sample):
        raise ProblemError(f"{path}: sample is {sample!r}: expected a function sample(rng, k)")
    return Problem(name, path, title, module.loss, module.inputs, wrt, tuple(gradients), sample)


def checked_shapes(path: Path, inputs: Callable[[int], Mapping[str, Shape]], k: int) -> dict[str, Shape]:
    """Call `inputs(k)` and check that it maps names to tuples of sizes."""
    try:
        shapes = {name: tuple(shape) for name, shape in inputs(k).items()}
    except Exception as error:
        raise ProblemError(f"{path}: inputs({k}) raised {type(error).__name__}: {error}") from error
    for name, shape in shapes.items():
        if not all(isinstance(size, int) and size >= 0 for size in shape):
            raise ProblemError(f"{path}: inputs({k})[{name!r}] is {shape!r}: expected a tuple of sizes")
    if not shapes:
        raise ProblemError(f"{path}: inputs({k}) is empty: expected at least one input")
    return shapes


def start(path: Path) -> None:
    """Write a commented starting file.

    Raises:
        ProblemError: it exists already, is no .py file, or cannot be written.
    """
    if path.suffix != ".py":
        raise ProblemError(f"{path}: expected the path of a new .py file")
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
