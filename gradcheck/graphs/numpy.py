"""The front end for losses written in NumPy, `loss(A, B)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gradcheck.graphs.graph import Graph, Shape


def record(loss: Callable[..., Any], shapes: Mapping[str, Shape]) -> Graph:
    """The graph of `loss(**inputs)`; see `gradcheck.graphs.record`."""
    raise NotImplementedError
