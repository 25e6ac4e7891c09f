"""The variables of a function: what they hold when it returns."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import Any


def running(function: Callable[..., Any], arguments: Mapping[str, Any], variables: dict[str, Any]) -> Any:
    """What a function returns for arguments by name.

    Args:
        function: the function.
        arguments: by name.
        variables: becomes what the function's variables hold when it returns, of those that are assigned once. One
            that is assigned twice, or in a loop, has other values of the same name.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    every: dict[str, Any] = {}
    before = sys.getprofile()
    sys.setprofile(noting(code, every))
    try:
        result = function(**arguments)
    finally:
        sys.setprofile(before)
    once = assigned_once(function)
    variables.update({name: value for name, value in every.items() if name in once})
    return result


def assigned_once(function: Callable[..., Any]) -> frozenset[str]:
    """The variables of a function that a statement outside of loops assigns, and no other one, as its source shows."""
    try:
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return frozenset()
    loops = [node for node in ast.walk(definition) if isinstance(node, (ast.For, ast.While))]
    repeated = {name for loop in loops for name in _stored(loop)}
    counts = Counter(_stored(definition))
    return frozenset(name for name, count in counts.items() if count == 1 and name not in repeated)


def _stored(tree: ast.AST) -> list[str]:
    """The variables that a tree of source assigns, once for each time that it is written."""
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return [node.id for node in names if isinstance(node.ctx, ast.Store)]


def noting(code: CodeType | None, variables: dict[str, Any]) -> Any:
    """A profiler that notes the variables of a function when it returns."""

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "return" and frame.f_code is code:
            variables.update(frame.f_locals)

    return note
