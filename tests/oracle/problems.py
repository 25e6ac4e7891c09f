"""Problems that the oracle's tests share, each with its inputs at a size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Problem(NamedTuple):
    loss: Callable[..., Any]
    inputs: Callable[[int], dict[str, tuple[int, ...]]]
    wrt: tuple[str, ...]


def _sigmoid_skip(ops, A, B, C, x):
    y = ops.watch("y", ops.matmul(A, x))
    u = ops.watch("u", ops.sigmoid(y))
    v = ops.watch("v", ops.matmul(B, x))
    z = ops.watch("z", u + v)
    w = ops.watch("w", ops.matmul(C, z))
    return ops.sum(w * w)


def _layer_norm(ops, X, scale, shift):
    centred = ops.watch("centred", X - ops.mean(X, axis=1, keepdims=True))
    variance = ops.watch("variance", ops.mean(centred * centred, axis=1, keepdims=True))
    normal = ops.watch("normal", centred / ops.sqrt(variance + 1e-5))
    out = ops.watch("out", normal * scale + shift)
    return ops.sum(out**2) / 2


def _tanh_network(ops, A, B, C, x):
    a = ops.watch("a", ops.tanh(A @ x))
    b = ops.watch("b", ops.tanh(B @ a))
    c = ops.watch("c", ops.tanh(C @ b))
    return ops.mean(c * c)


def _cross_entropy(ops, W, x, label):
    logits = ops.watch("logits", W @ x)
    shifted = ops.watch("shifted", logits - ops.max(logits))
    normaliser = ops.watch("normaliser", ops.log(ops.sum(ops.exp(shifted))))
    return -ops.sum(label * (shifted - normaliser))


def _relu_network(ops, A, b, C, X):
    hidden = ops.watch("hidden", ops.relu(X @ A + b))
    out = ops.watch("out", ops.matmul(hidden, ops.matrix_transpose(C)))
    return ops.sum(ops.abs(out)) + ops.sum(ops.where(out > 0.5, out * out, 0.0))


PROBLEMS = {
    "sigmoid_skip": Problem(
        _sigmoid_skip, lambda k: {"A": (k, k), "B": (k, k), "C": (k, k), "x": (k,)}, ("A", "B", "C")
    ),
    "layer_norm": Problem(_layer_norm, lambda k: {"X": (k, k), "scale": (k,), "shift": (k,)}, ("X", "scale", "shift")),
    "tanh_network": Problem(
        _tanh_network, lambda k: {"A": (k, k), "B": (k, k), "C": (k, k), "x": (k,)}, ("A", "B", "C", "x")
    ),
    "cross_entropy": Problem(_cross_entropy, lambda k: {"W": (k, k), "x": (k,), "label": (k,)}, ("W", "x")),
    "relu_network": Problem(
        _relu_network, lambda k: {"A": (k, k), "b": (k,), "C": (k, k), "X": (2 * k, k)}, ("A", "b", "C")
    ),
}
SIGMOID_SKIP = PROBLEMS["sigmoid_skip"]
