"""Causal attention as one word: its backward pass by hand agrees with engines' own kernels, and wrong ones do not."""

from __future__ import annotations

from pathlib import Path

import pytest

import gradcheck

SOURCE = """
import numpy as np

def inputs(k):
    return {name: (2, 2, k, 4) for name in "qkvc"}

wrt = ("q", "k", "v")

def loss(ops, q, k, v, c):
    return ops.sum(c * ops.watch("o", ops.scaled_dot_product_attention(q, k, v, is_causal=True)))

def backward(q, k, v, c, mistake=""):
    scale, causal = np.array(0.5, q.dtype), np.tri(q.shape[-2], dtype=bool)
    scores = scale * (q @ k.swapaxes(-1, -2))
    scores = np.where(causal, scores, np.array(-np.inf, q.dtype))
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    shares = weights / weights.sum(-1, keepdims=True)
    o = shares @ v
    change = c @ v.swapaxes(-1, -2)
    weighted = np.sum((v if mistake == "values" else c) * o, -1, keepdims=True)
    if mistake == "no mean":
        weighted = 0 * weighted
    scores = shares * (change - weighted)
    if mistake != "unscaled":
        scores = scores * scale
    if mistake == "last key":
        scores = scores * (np.arange(k.shape[-2]) < k.shape[-2] - 1)
    of_k = (scores if mistake == "axes" else scores.swapaxes(-1, -2)) @ q
    gradients = {"q": scores @ k, "k": of_k, "v": shares.swapaxes(-1, -2) @ c}
    return np.sum(c * o), gradients | {"o": c}, {"o": o}

def planted(mistake):
    return lambda q, k, v, c: backward(q, k, v, c, mistake)

MISTAKES = ("values", "no mean", "unscaled", "last key", "axes")
gradients = {"mine": backward} | {each.replace(" ", "_"): planted(each) for each in MISTAKES}
"""
MISTAKES = ("values", "no_mean", "unscaled", "last_key", "axes")


@pytest.fixture
def attention(tmp_path: Path) -> str:
    path = tmp_path / "attention.py"
    path.write_text(SOURCE)
    return str(path)


@pytest.mark.parametrize(
    ("dtype", "backends"),
    [
        ("float64", ["mine", "torch"]),
        ("float32", ["mine", "torch", "jax"]),
        ("bfloat16", ["mine", "torch", "jax"]),
    ],
)
def test_a_backward_pass_by_hand_agrees_with_fused_kernels(attention: str, dtype: str, backends: list[str]) -> None:
    gradcheck.check(attention, k=8, dtype=dtype, backends=backends).assert_agrees()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_mistakes_in_the_backward_pass_are_found(attention: str, dtype: str) -> None:
    report = gradcheck.check(attention, k=24, dtype=dtype, backends=MISTAKES)
    assert {backend.verdict for backend in report.backends} == {"differs"}
    wrong = {backend.spec: backend.first_wrong.name for backend in report.backends if backend.first_wrong}
    assert wrong["axes"] == "k"
