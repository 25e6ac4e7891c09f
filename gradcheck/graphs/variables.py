"""The variables of a function, with their values after its return."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any


class Variables:
    """The variables of a function that is called once.

    A frame keeps its variables after its function has returned, as long as a reference to the frame exists. So this
    needs no profiler and no tracer. Python has only one of each, and the user may use them.

    Args:
        function: the function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._code = getattr(inspect.unwrap(function), "__code__", None)
        self._frame: FrameType | None = None

    def note(self) -> None:
        """Find the frame of the function, from code that it calls."""
        if self._frame is None:
            frame: FrameType | None = sys._getframe()
            while frame is not None and frame.f_code is not self._code:
                frame = frame.f_back
            self._frame = frame

    def values(self) -> dict[str, Any]:
        """The values of the variables that are assigned once: one that is assigned twice, or in a loop, had others."""
        if self._frame is None:
            return {}
        once = assigned_once(self._function)
        return {name: value for name, value in self._frame.f_locals.items() if name in once}


def assigned_once(function: Callable[..., Any]) -> frozenset[str]:
    """The variables of a function that exactly one statement assigns, outside of loops, according to its source."""
    try:
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return frozenset()
    loops = [node for node in ast.walk(definition) if isinstance(node, (ast.For, ast.While))]
    repeated = {name for loop in loops for name in _stored(loop)}
    counts = Counter(_stored(definition))
    return frozenset(name for name, count in counts.items() if count == 1 and name not in repeated)


def _stored(tree: ast.AST) -> list[str]:
    """The variables that a syntax tree assigns, once for each assignment."""
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return [node.id for node in names if isinstance(node.ctx, ast.Store)]
