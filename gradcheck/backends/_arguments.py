"""Arguments of words under the names that NumPy's relatives give them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Any

from gradcheck.backends._engine import Unsupported

NORMS = ("layer_norm", "rms_norm", "batch_norm")
FUSED = ("scaled_dot_product_attention", *NORMS)
"""Words that some frameworks compute in one kernel, and others leave to their users."""


def refused(words: Iterable[str], reason: str) -> dict[str, Callable[..., Any]]:
    """Words that an engine lacks, with the reason."""

    def refusing(word: str) -> Callable[..., Any]:
        def refuse(*_: Any, **__: Any) -> Any:
            raise Unsupported(f"ops.{word}: {reason}")

        return refuse

    return {word: refusing(word) for word in words}


def of_systems(function: Callable[..., Any], broadcast_to: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A function that solves systems whose right-hand side is a vector if it has one axis, and matrices if it has more.

    Args:
        function: the framework's own, which takes matrices; some take what has one axis less as vectors.
        broadcast_to: the framework's own, where that function does not broadcast the axes before the last two.
    """

    def solved(a: Any, b: Any, **options: Any) -> Any:
        right = b[:, None] if b.ndim == 1 else b
        batch = broadcast_shape(tuple(a.shape[:-2]), tuple(right.shape[:-2]))
        a, right = (each[(None,) * (len(batch) + 2 - each.ndim)] for each in (a, right))
        if broadcast_to is not None and a.shape[:-2] != right.shape[:-2]:
            a, right = (broadcast_to(each, (*batch, *each.shape[-2:])) for each in (a, right))
        x = function(a, right, **options)
        return x[..., 0] if b.ndim == 1 else x

    return solved


def broadcast_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of two that broadcast."""
    pairs = zip_longest(reversed(a), reversed(b), fillvalue=1)
    return tuple(mine if theirs == 1 else theirs for mine, theirs in pairs)[::-1]


def of_lapack(words: dict[str, Callable[..., Any]], engine: str, dtype: str) -> dict[str, Callable[..., Any]]:
    """Words of linear algebra, for which most frameworks call LAPACK: it has no dtypes of 16 bits."""
    return refused(words, f"{engine} has no linear algebra in {dtype}") if dtype.endswith("16") else words


def with_ddof(function: Callable[..., Any], whole: bool = False) -> Callable[..., Any]:
    """A variance or its root, whose correction NumPy names `ddof`.

    Args:
        function: the framework's own.
        whole: whether it takes whole numbers alone.
    """

    def reduced(a: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
        if whole and correction != int(correction):
            raise Unsupported(f"ops.{function.__name__}: it has no correction {correction}: it takes whole numbers")
        return function(a, axis=axis, ddof=int(correction) if whole else correction, keepdims=keepdims)

    return reduced


def vector_norm(np: Any) -> Callable[..., Any]:
    """A norm of vectors where `np.linalg.norm` has none of several axes except for the Euclidean one."""

    def reduced(a: Any, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Any:
        if ord == 1:
            return np.sum(np.abs(a), axis=axis, keepdims=keepdims)
        return np.linalg.norm(a, axis=axis, keepdims=keepdims)

    return reduced


def each_axis(steps: Any, axes: int) -> tuple[int, ...]:
    """A step of a window for each axis."""
    return (steps,) * axes if isinstance(steps, int) else tuple(steps)


def last_channels(function: Callable[..., Any], transpose: Callable[..., Any]) -> Callable[..., Any]:
    """A function of windows of an array whose channels are last, for one whose channels come after its batch."""

    def moved(x: Any, *arguments: Any, **options: Any) -> Any:
        last = transpose(x, (0, *range(2, x.ndim), 1))
        return transpose(function(last, *arguments, **options), (0, x.ndim - 1, *range(1, x.ndim - 1)))

    return moved
