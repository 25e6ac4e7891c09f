"""The lines of the user's files on which a hand-written gradient, or a loss, computes its results."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gradcheck.problems._definitions import Assignment, Definition, definition_of
from gradcheck.problems._following import Entries, Found, Items, Leaf, Scope

Key = tuple[str, str | None]
"""("loss", None), or "value", "adjoint" or "gradient" with its name."""


class Line(NamedTuple):
    """The path of a file, the number of a line in it, and the statement or expression on that line.

    `is_formula` tells whether it computes a result from inputs and watched values alone, without steps on other lines.
    """

    file: str
    line: int
    text: str
    is_formula: bool = False


def lines_of(
    function: Callable[..., Any],
    inputs: Iterable[str],
    watched: Iterable[str] = (),
    outputs: Mapping[str, str] | None = None,
) -> dict[Key, Line]:
    """The lines on which a hand-written gradient gives its results their values, as far as its source shows them.

    A result is followed from `return loss, {"W": dW}` to the last line above it that assigns `dW`. A mapping is
    followed through calls of the user's own functions to where its entries are assigned.

    Args:
        function: returns the loss, a mapping of derivatives, and perhaps one of watched values.
        inputs: the names of the problem's inputs: all other derivatives are adjoints.
        watched: the names of the watched values.
        outputs: those of the outputs that the function returns in the place of the loss, see `Graph.output_names`.
    """
    names, values = tuple(inputs), tuple(watched)
    definition = definition_of(function)
    if definition is None:
        return {}
    try:
        found = Scope(definition, (*names, *values)).returned()
    except RecursionError:
        return {}
    results = _results(found, names, outputs or {}) if isinstance(found, Items) else ()
    lines = {key: _line(each, definition, (*names, *values)) for key, each in results}
    return {key: line for key, line in lines.items() if line}


def line_of_variable(function: Callable[..., Any], name: str) -> Line | None:
    """The line that gives a variable of a function its value, or None if its source does not show it."""
    definition = definition_of(function)
    if definition is None:
        return None
    try:
        return _line(Scope(definition, ()).variable(name), definition)
    except RecursionError:
        return None


def is_line_of(function: Callable[..., Any], file: str, line: int) -> bool:
    """Whether a line belongs to a function."""
    definition = definition_of(function)
    return definition is not None and definition.file == file and line in definition.lines


def _results(
    returned: Items, inputs: tuple[str, ...], outputs: Mapping[str, str]
) -> Iterator[tuple[Key, Found | None]]:
    """The results in a returned value, and what computes them."""
    for position, found in enumerate(returned.items[:3]):
        if position == 0:
            yield ("loss", None), found
        for label, name in outputs.items() if position == 0 else ():
            yield ("value", name), _output(found, label.partition("[")[2][:-1])
        for name, each in found.entries.items() if position and isinstance(found, Entries) else ():
            derivative = "gradient" if name in inputs else "adjoint"
            yield (derivative if position == 1 else "value", name), each


def _output(found: Found, key: str) -> Found | None:
    """One of the outputs that a function returns first, by its place in a tuple or its key; the only one has none."""
    if isinstance(found, Items) and key.isdigit():
        return found.items[int(key)] if int(key) < len(found.items) else None
    if isinstance(found, Entries):
        return found.entries.get(key)
    return None if key else found


def _line(found: Found | None, of: Definition, values: Collection[str] = ()) -> Line | None:
    """The line of a value that a function computes from these values, and perhaps others."""
    if not isinstance(found, Leaf) or not hasattr(found.node, "lineno"):
        return None
    text = str(ast.get_source_segment(found.definition.text, found.node)).partition("\n")[0]
    is_formula = found.definition is of and _is_formula(found.node, of, values)
    return Line(found.definition.file, found.node.lineno, text, is_formula)


def _is_formula(node: ast.AST, of: Definition, values: Collection[str]) -> bool:
    """Whether an expression, or a statement that assigns one, has no names but these values and those of libraries."""
    node = node.value if isinstance(node, ast.Assign) else node
    if not isinstance(node, ast.expr):
        return False
    names = [each for each in ast.walk(node) if isinstance(each, ast.Name | ast.Attribute)]
    own = any(definition_of(of.known(each), beside=of.file) for each in names)
    others = {each.id for each in names if isinstance(each, ast.Name)}.difference(values)
    return not own and all(_is_outside(each, of) for each in others)


def _is_outside(name: str, of: Definition) -> bool:
    """Whether a name means a builtin, or an object outside of the function."""
    is_assigned = any(isinstance(use, Assignment) for use in of.uses.get(name, ()))
    is_own = is_assigned or name in of.parameters
    return not is_own and (hasattr(builtins, name) or of.known(ast.Name(name)) is not None)
