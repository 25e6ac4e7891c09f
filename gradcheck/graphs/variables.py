"""The variables of a function: what they hold when it has returned."""

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

    A frame keeps its variables after its function has returned, for as long as somebody has it. So no profiler and no
    tracer is needed, of which Python has one each, perhaps the user's.

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
        """What those variables hold that are assigned once: one that is assigned twice, or in a loop, had others."""
        if self._frame is None:
            return {}
        once = assigned_once(self._function)
        return {name: value for name, value in self._frame.f_locals.items() if name in once}


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
