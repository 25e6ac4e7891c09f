"""Words of fused kernels: their shapes, and what they refuse."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from gradcheck.graphs import RecordingError, record

SHAPES = {"q": (2, 3, 4), "k": (2, 5, 4), "v": (2, 5, 6), "w": (3,)}


def recorded(call: Any) -> Any:
    return record(lambda ops, q, k, v, w: ops.sum(ops.watch("result", call(ops, q, k, v, w))), SHAPES)


def shape_of(call: Any) -> tuple[int, ...]:
    return next(node.shape for node in recorded(call).nodes if node.name == "result")


def test_attention_has_the_queries_of_q_and_the_features_of_v() -> None:
    assert shape_of(lambda ops, q, k, v, w: ops.scaled_dot_product_attention(q, k, v)) == (2, 3, 6)
    mask = np.ones((3, 5), bool)
    graph = recorded(lambda ops, q, k, v, w: ops.scaled_dot_product_attention(q, k, v, mask=mask, scale=0.5))
    node = next(node for node in graph.nodes if node.word == "scaled_dot_product_attention")
    assert len(node.operands) == 4
    assert node.attributes == {"scale": 0.5}
    without = recorded(lambda ops, q, k, v, w: ops.scaled_dot_product_attention(q, k, v, None, True))
    assert {node.word: len(node.operands) for node in without.nodes}["scaled_dot_product_attention"] == 3


def test_normalisation_keeps_the_shape_and_takes_vectors() -> None:
    assert shape_of(lambda ops, q, k, v, w: ops.layer_norm(q, w, w, axis=1)) == (2, 3, 4)
    assert shape_of(lambda ops, q, k, v, w: ops.rms_norm(q, [1, 2, 3, 4])) == (2, 3, 4)
    assert shape_of(lambda ops, q, k, v, w: ops.batch_norm(q, w)) == (2, 3, 4)


REFUSED = {
    "(2, 5, 6) of q, k and v: expected as many features in k as in q, and as many keys": lambda ops, q, k, v, w: (
        ops.scaled_dot_product_attention(q, v, v)
    ),
    "shapes (3, 4), (2, 5, 4) and (2, 5, 6) of q, k and v: expected the same axes before": lambda ops, q, k, v, w: (
        ops.scaled_dot_product_attention(q[0], k, v)
    ),
    "a mask of shape (5,): expected one that broadcasts to (2, 3, 5)": lambda ops, q, k, v, w: (
        ops.scaled_dot_product_attention(q, k, v, np.ones(5, bool))
    ),
    "got a value of shape (2, 3, 4): expected a condition": lambda ops, q, k, v, w: (
        ops.scaled_dot_product_attention(q, k, v, q)
    ),
    "weight of shape (3,) for x of shape (2, 3, 4): expected (4,), the length of axis 2": lambda ops, q, k, v, w: (
        ops.layer_norm(q, w)
    ),
    "a bias without a weight: expected both": lambda ops, q, k, v, w: ops.layer_norm(q, bias=w, axis=1),
    "epsilon is -1: expected a finite number that is not below zero": lambda ops, q, k, v, w: (
        ops.rms_norm(q, epsilon=-1)
    ),
    "x has shape (3,): expected (batch, channels, ...)": lambda ops, q, k, v, w: ops.batch_norm(w),
    "scale is 0: expected a finite number other than zero": lambda ops, q, k, v, w: (
        ops.scaled_dot_product_attention(q, k, v, scale=0)
    ),
    "k is None: expected a value of the problem": lambda ops, q, k, v, w: (
        ops.scaled_dot_product_attention(q, None, v)
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(message: str) -> None:
    with pytest.raises(RecordingError, match=re.escape(message)):
        recorded(REFUSED[message])
