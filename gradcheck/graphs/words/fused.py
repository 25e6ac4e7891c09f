"""Words that engines compute in one kernel: attention and normalisation."""

from __future__ import annotations

from gradcheck.graphs.attention import attended_shape
from gradcheck.graphs.graph import Shape
from gradcheck.graphs.instead import described
from gradcheck.graphs.values import Value
from gradcheck.graphs.words.choices import Condition
from gradcheck.graphs.words.declaration import word
from gradcheck.graphs.words.entries import is_number


@word
def scaled_dot_product_attention(
    q: Value,
    k: Value,
    v: Value,
    mask: Condition | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Shape:
    """softmax(scale·q kᵀ)v of queries (…, L, E), keys (…, S, E) and values (…, S, F); a mask is true where to attend.

    With ``is_causal`` a query attends to keys up to its own place. The scale left out is 1/√E. A query that attends to
    no key has no value.

    Raises:
        TypeError: the scale is not a number.
        ValueError: the shapes do not fit, or the scale is zero or not finite.
    """
    if scale is not None:
        if not is_number(scale):
            raise TypeError(f"scale is {described(scale)}: expected a number, such as 0.125")
        if not 0 < abs(scale) < float("inf"):
            raise ValueError(f"scale is {described(scale)}: expected a finite number other than zero")
    return attended_shape(q.shape, k.shape, v.shape, None if mask is None else mask.shape)
