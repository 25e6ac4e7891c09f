"""The lines of the user's files on which a hand-written gradient, or a loss, computes its results."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gradcheck.problems._definitions import definition_of
from gradcheck.problems._following import Entries, Found, Items, Leaf, Scope

Key = tuple[str, str | None]
"""("loss", None), or "value", "adjoint" or "gradient" with its name."""


class Line(NamedTuple):
    """The path of a file, the number of a line in it, and the statement or expression on that line."""

    file: str
    line: int
    text: str


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
    names = tuple(inputs)
    definition = definition_of(function)
    if definition is None:
        return {}
    try:
        found = Scope(definition, (*names, *watched)).returned()
    except RecursionError:
        return {}
    return dict(_results(found, names, outputs or {})) if isinstance(found, Items) else {}


def line_of_variable(function: Callable[..., Any], name: str) -> Line | None:
    """The line that gives a variable of a function its value, or None if its source does not show it."""
    definition = definition_of(function)
    if definition is None:
        return None
    try:
        return _line(Scope(definition, ()).variable(name))
    except RecursionError:
        return None


def is_line_of(function: Callable[..., Any], file: str, line: int) -> bool:
    """Whether a line belongs to a function."""
    definition = definition_of(function)
    return definition is not None and definition.file == file and line in definition.lines


def _results(returned: Items, inputs: tuple[str, ...], outputs: Mapping[str, str]) -> Iterator[tuple[Key, Line]]:
    """The results in a returned value, and the lines that compute them."""
    for position, found in enumerate(returned.items[:3]):
        if position == 0 and (line := _line(found)):
            yield ("loss", None), line
        for label, name in outputs.items() if position == 0 else ():
            if line := _line(_output(found, label.partition("[")[2][:-1])):
                yield ("value", name), line
        for name, each in found.entries.items() if position and isinstance(found, Entries) else ():
            derivative = "gradient" if name in inputs else "adjoint"
            if line := _line(each):
                yield (derivative if position == 1 else "value", name), line


def _output(found: Found, key: str) -> Found | None:
    """One of the outputs that a function returns first, by its place in a tuple or its key; the only one has none."""
    if isinstance(found, Items) and key.isdigit():
        return found.items[int(key)] if int(key) < len(found.items) else None
    if isinstance(found, Entries):
        return found.entries.get(key)
    return None if key else found


def _line(found: Found | None) -> Line | None:
    if not isinstance(found, Leaf) or not hasattr(found.node, "lineno"):
        return None
    text = str(ast.get_source_segment(found.definition.text, found.node)).partition("\n")[0]
    return Line(found.definition.file, found.node.lineno, text)
