"""Which keys a query may attend to, and the shapes of attention."""

from __future__ import annotations

import numpy as np

from gradcheck.graphs.graph import Shape


def causal(queries: int, keys: int) -> np.ndarray:
    """Booleans of shape (queries, keys): a query attends to keys at its own place and before it."""
    return np.tri(queries, keys, dtype=bool)


def attended_shape(q: Shape, k: Shape, v: Shape, mask: Shape | None) -> Shape:
    """The shape of attention, (…, L, F) of queries (…, L, E), keys (…, S, E), values (…, S, F), mask (…, L, S).

    Raises:
        ValueError: the shapes do not fit; there are no keys, or they have no features.
    """
    shapes = f"shapes {q}, {k} and {v} of q, k and v"
    if min(map(len, (q, k, v))) < 2 or not q[:-2] == k[:-2] == v[:-2]:
        raise ValueError(f"{shapes}: expected the same axes before (L, E), (S, E) and (S, F)")
    if q[-1] != k[-1] or k[-2] != v[-2]:
        raise ValueError(f"{shapes}: expected as many features in k as in q, and as many keys in v as in k")
    if 0 in (k[-2], q[-1]):
        raise ValueError(f"{shapes}: expected at least one key and one feature")
    scores = (*q[:-1], k[-2])
    if mask is not None and not _fits(mask, scores):
        raise ValueError(f"a mask of shape {mask}: expected one that broadcasts to {scores}, (…, queries, keys)")
    return (*q[:-1], v[-1])


def _fits(mask: Shape, scores: Shape) -> bool:
    """Whether a mask broadcasts to the scores; it has their last two axes."""
    pairs = zip(reversed(mask), reversed(scores), strict=False)
    return 2 <= len(mask) <= len(scores) and all(size in (1, own) for size, own in pairs)
