"""Rows of ATen: entries in order, and their places."""

from __future__ import annotations

from typing import Any

from gradcheck.graphs.rows import word
from gradcheck.graphs.torch_layers import amax, amin
from gradcheck.graphs.torch_rows import row


@row("sort", "sort.stable")
def sort(self: Any, dim: int = -1, descending: bool = False, **_: Any) -> Any:
    """The entries in order, and their places."""
    return word("sort")(self, dim, descending), word("argsort")(self, dim, descending)


@row("topk")
def topk(self: Any, k: int, dim: int = -1, largest: bool = True, **_: Any) -> Any:
    """The k largest entries along an axis in order, and their places."""
    first = (*(slice(None),) * (dim % self.ndim), slice(0, k))
    return word("sort")(self, dim, largest)[first], word("argsort")(self, dim, largest)[first]


@row("argsort", "argsort.stable")
def argsort(self: Any, dim: int = -1, descending: bool = False, **_: Any) -> Any:
    """The places of the entries in order."""
    return word("argsort")(self, dim, descending)


@row("argmax")
def argmax(self: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The place of the largest entry."""
    return word("argmax")(self, dim, keepdim)


@row("argmin")
def argmin(self: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The place of the smallest entry."""
    return word("argmin")(self, dim, keepdim)


@row("max.dim")
def max_dim(self: Any, dim: int, keepdim: bool = False) -> Any:
    """The largest entry along an axis, and its place."""
    return amax(self, dim, keepdim), argmax(self, dim, keepdim)


@row("min.dim")
def min_dim(self: Any, dim: int, keepdim: bool = False) -> Any:
    """The smallest entry along an axis, and its place."""
    return amin(self, dim, keepdim), argmin(self, dim, keepdim)
