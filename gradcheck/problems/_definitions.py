"""The source of functions of the user's own files, as syntax trees."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import linecache
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from gradcheck.backends._worker.imports import is_installed

INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)

MOST_DECORATORS = 64
"""The largest number of decorators of a function that are looked through."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """A statement that assigns a variable, an attribute or entries of it.

    Attributes:
        place: the number of the statement in its function.
        statement: the statement.
        path: where the assigned value stands in the tuple on the right.
        keys: of the entry, the outermost first; empty if all of the variable is assigned.
    """

    place: int
    statement: ast.stmt
    path: tuple[int, ...]
    keys: tuple[ast.expr, ...]


@dataclass(frozen=True, eq=False)
class MethodCall:
    """A call of a method of a variable or an attribute."""

    place: int
    call: ast.Call
    method: str


@dataclass(frozen=True, eq=False)
class Definition:
    """A function with its syntax tree, and the text of its file."""

    function: FunctionType
    node: ast.FunctionDef
    text: str

    @property
    def file(self) -> str:
        """The path of its file."""
        return self.function.__code__.co_filename

    @property
    def lines(self) -> range:
        """The numbers of its lines."""
        return range(_first_line(self.node), (self.node.end_lineno or self.node.lineno) + 1)

    @property
    def parameters(self) -> list[str]:
        """The names of its parameters that have a place."""
        return [each.arg for each in (*self.node.args.posonlyargs, *self.node.args.args)]

    @functools.cached_property
    def statements(self) -> list[ast.stmt]:
        """Its statements in the order of the text, without those of inner functions."""
        own = [node for node in _own(self.node) if isinstance(node, ast.stmt)]
        return sorted(own, key=lambda each: (each.lineno, each.col_offset))

    @functools.cached_property
    def uses(self) -> Mapping[str, list[Assignment | MethodCall]]:
        """The assignments and calls that change a variable or an attribute, "dW" or "self.dW", in their order."""
        found: dict[str, list[Assignment | MethodCall]] = {}
        for place, statement in enumerate(self.statements):
            for target, path in _targets(statement):
                keys: list[ast.expr] = []
                while isinstance(target, ast.Subscript):
                    keys.insert(0, target.slice)
                    target = target.value
                if isinstance(target, (ast.Name, ast.Attribute)):
                    assignment = Assignment(place, statement, path, tuple(keys))
                    found.setdefault(ast.unparse(target), []).append(assignment)
            for call in _calls(statement):
                if isinstance(call.func, ast.Attribute):
                    method_call = MethodCall(place, call, call.func.attr)
                    found.setdefault(ast.unparse(call.func.value), []).append(method_call)
        return found

    def known(self, expression: ast.expr) -> Any:
        """The object that a name or an attribute of a module or class means outside of the function, or None.

        No code of the user runs for that.
        """
        if isinstance(expression, ast.Name):
            cells = zip(self.function.__code__.co_freevars, self.function.__closure__ or (), strict=True)
            for cell in (cell for name, cell in cells if name == expression.id):
                return next(iter(content_of(cell)), None)
            return self.function.__globals__.get(expression.id)
        if isinstance(expression, ast.Attribute):
            owner = self.known(expression.value)
            if isinstance(owner, (ModuleType, type)):
                found = inspect.getattr_static(owner, expression.attr, None)
                return getattr(found, "__func__", found)
        return None


def definition_of(function: Any, beside: str | None = None) -> Definition | None:
    """The definition of a function, or None if it has no source.

    Args:
        function: a function, or a method.
        beside: the path of a file: then a function of an installed package has a definition only in this file.
    """
    function = _unwrapped(function)
    if function is None:
        return None
    file, first = function.__code__.co_filename, function.__code__.co_firstlineno
    if beside is not None and file != beside and is_installed(file):
        return None
    linecache.checkcache(file)
    text = "".join(linecache.getlines(file, function.__globals__))
    node = _functions(text).get((first, function.__code__.co_name))
    return Definition(function, node, text) if node else None


def _unwrapped(function: Any) -> FunctionType | None:
    """The function inside of decorators and methods. No code of the user runs."""
    for _ in range(MOST_DECORATORS):
        if isinstance(function, MethodType):
            function = function.__func__
        inner = inspect.getattr_static(function, "__wrapped__", None)
        if inner is None:
            break
        function = inner
    return function if isinstance(function, FunctionType) else None


@functools.lru_cache(maxsize=32)
def _functions(text: str) -> dict[tuple[int, str], ast.FunctionDef]:
    """The functions in the text of a file, by their first line and name."""
    try:
        nodes = ast.walk(ast.parse(text))
    except (SyntaxError, ValueError):
        return {}
    return {(_first_line(node), node.name): node for node in nodes if isinstance(node, ast.FunctionDef)}


def content_of(cell: CellType) -> Iterator[Any]:
    """The content of a variable that an inner function uses, if it has one already."""
    with contextlib.suppress(ValueError):
        yield cell.cell_contents


def methods_of(owner: type) -> dict[str, FunctionType]:
    """The methods of a class that Python finds, those of base classes first, in the order of their text."""
    classes = reversed(owner.__mro__)
    return {name: each for base in classes for name, each in vars(base).items() if isinstance(each, FunctionType)}


def _first_line(node: ast.FunctionDef) -> int:
    """The first line as code objects have it: that of the first decorator."""
    return min([node.lineno, *(each.lineno for each in node.decorator_list)])


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function, without those of inner functions."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, INNER):
            waiting.extend(ast.iter_child_nodes(node))


def _calls(statement: ast.stmt) -> Iterator[ast.Call]:
    """The calls in a statement, without those in the statements that it contains."""
    if not isinstance(statement, (ast.For, ast.While, ast.If, ast.With, ast.Try, *INNER)):
        yield from (node for node in ast.walk(statement) if isinstance(node, ast.Call))


def _targets(statement: ast.stmt) -> Iterator[tuple[ast.expr, tuple[int, ...]]]:
    """The targets of an assignment, and their places in the tuple that is assigned."""
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _unpacked(target, ())
    elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
        yield statement.target, ()


def _unpacked(target: ast.expr, path: tuple[int, ...]) -> Iterator[tuple[ast.expr, tuple[int, ...]]]:
    if isinstance(target, (ast.Tuple, ast.List)):
        for index, each in enumerate(target.elts):
            yield from _unpacked(each, (*path, index))
    else:
        yield target, path
