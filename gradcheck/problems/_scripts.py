"""Scripts and tests that call gradcheck by themselves: they are no problems, and a run must not start them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from gradcheck.errors import ProblemError
from gradcheck.text.escaping import as_argument, quoted

NEEDED = ("inputs", "loss")
"""What a problem's file defines."""
EXPECTED = "expected inputs(k) and loss(ops, ...) in a problem's file: gradcheck problems new FILE writes one"


def refuse_script(name: str, path: Path) -> None:
    """Refuse a script that uses gradcheck, or its fixture, and defines no problem, before any of its code runs.

    Args:
        name: of the file, as the user wrote it.
        path: of the file.

    Raises:
        ProblemError: it is such a script.
    """
    try:
        text = path.read_bytes()
        nodes = [*ast.walk(ast.parse(text))] if b"gradcheck" in text else []
    except (OSError, SyntaxError, ValueError, RecursionError):  # loading reports it
        return
    if not any("gradcheck" in used(node) for node in nodes):
        return
    bound = {each for node in nodes for each in bindings(node)}
    missing = [each for each in NEEDED if each not in bound]
    if missing and "*" not in bound:
        runner = "pytest" if path.stem.startswith("test_") or path.stem.endswith("_test") else "python"
        command = quoted([runner, as_argument(Path(name))])
        why = f"no function {missing[0]!r}, and it calls gradcheck by itself"
        raise ProblemError(f"{path}: {why}: write {command} to run it; {EXPECTED}")


def used(node: ast.AST) -> Iterator[str]:
    """The packages that a statement imports, or imports names from, and the parameter of a function: a fixture."""
    match node:
        case ast.arg(arg=name):
            yield name
        case ast.Import(names=names):
            yield from (each.name.partition(".")[0] for each in names)
        case ast.ImportFrom(module=str(module), level=0):
            yield module.partition(".")[0]


def bindings(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds; "*" if these are unknown."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (each.asname or each.name for each in names)
