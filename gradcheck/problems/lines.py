"""The lines of a problem's file on which a hand-written gradient computes its results."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Key = tuple[str, str | None]
"""("loss", None), or "value", "adjoint" or "gradient" with its name."""


Line = tuple[int, str]
"""The number of a line in its file, and the statement or expression on it."""


def lines_of(function: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[Key, Line]:
    """The lines on which a hand-written gradient gives its results their values, as far as its source shows them.

    A result is followed from `return loss, {"W": dW}` to the last line above it that assigns `dW`.

    Args:
        function: returns the loss, a mapping of derivatives, and perhaps one of watched values.
        inputs: the names of the problem's inputs: all other derivatives are adjoints.
    """
    try:
        lines, first = inspect.getsourcelines(inspect.unwrap(function))
        source = textwrap.dedent("".join(lines))
        [definition] = ast.parse(source).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    if not isinstance(definition, ast.FunctionDef):
        return {}
    statements = sorted((node for node in _own(definition) if isinstance(node, ast.stmt)), key=lambda each: each.lineno)
    returned = [node for node in statements if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple)]
    if not returned:
        return {}
    found = _results(Assignments(statements, returned[-1].lineno), returned[-1].value, inputs)  # type: ignore[arg-type]
    return {
        key: (first + node.lineno - 1, str(ast.get_source_segment(source, node)).partition("\n")[0])
        for key, node in found
    }


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function, without those of inner functions."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))


class Assignments:
    """The last statements that assign each variable above a line.

    Args:
        statements: of a function, in the order of their lines.
        line: where its results are returned.
    """

    def __init__(self, statements: list[ast.stmt], line: int) -> None:
        self.values: dict[str, ast.expr] = {}
        self.last: dict[str, ast.stmt] = {}
        self.entries: dict[str, dict[str, ast.stmt]] = {}
        for statement in statements:
            if statement.lineno <= line:
                for target in _targets(statement):
                    self._note(target, statement)

    def _note(self, target: ast.expr, statement: ast.stmt) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for each in target.elts:
                self._note(each, statement)
        elif isinstance(target, ast.Name):
            self.last[target.id] = statement
            if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
                self.values[target.id] = statement.value
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            if isinstance(target.slice, ast.Constant) and isinstance(target.slice.value, str):
                self.entries.setdefault(target.value.id, {})[target.slice.value] = statement
            else:  # dW[t] += ... in a loop
                self.last[target.value.id] = statement

    def computing(self, expression: ast.expr) -> ast.expr | ast.stmt:
        """The line that computes an expression: for a variable, the statement that assigns it last."""
        return self.last.get(expression.id, expression) if isinstance(expression, ast.Name) else expression

    def named(self, expression: ast.expr) -> Iterator[tuple[str, ast.expr | ast.stmt]]:
        """The names in a mapping, and the lines that compute their values."""
        name = expression.id if isinstance(expression, ast.Name) else None
        value = self.values.get(name, expression) if name else expression
        if isinstance(value, ast.Dict):
            for key, each in zip(value.keys, value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, self.computing(each)
        elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict":
            yield from ((word.arg, self.computing(word.value)) for word in value.keywords if word.arg)
        for entry, statement in self.entries.get(name or "", {}).items():
            computed = statement.value if isinstance(statement, ast.Assign) else None
            yield entry, self.computing(computed) if isinstance(computed, ast.Name) else statement


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, (ast.AugAssign, ast.AnnAssign)) else []


def _results(
    assignments: Assignments, returned: ast.Tuple, inputs: Mapping[str, Any]
) -> Iterator[tuple[Key, ast.expr | ast.stmt]]:
    """The results in a returned expression, and the lines that compute them."""
    loss, *mappings = returned.elts
    yield ("loss", None), assignments.computing(loss)
    for position, mapping in enumerate(mappings[:2]):
        for name, node in assignments.named(mapping):
            derivative = "gradient" if name in inputs else "adjoint"
            yield (derivative if position == 0 else "value", name), node
