"""Rotary embeddings on halves, then scores: L = Σ dscores · rope(q) rope(k)ᵀ.

J. Su et al., RoFormer, 2021, equation 34; the halves as in GPT-NeoX (rotate_half) and Liger-Kernel, ops/rope.py.
"""

import numpy as np


def inputs(k):
    return {"q": (k, 2 * k), "key": (k, 2 * k), "cos": (k, k), "sin": (k, k), "dscores": (k, k)}


def sample(rng, k):
    angles = np.arange(k)[:, None] / 10000 ** (np.arange(k) / k)
    return {"cos": np.cos(angles), "sin": np.sin(angles)}


wrt = ("q", "key")


def rotated(ops, x, cos, sin):
    half = cos.shape[1]
    first, second = x[:, :half], x[:, half:]
    return ops.concat([first * cos - second * sin, second * cos + first * sin], axis=1)


def loss(ops, q, key, cos, sin, dscores):
    turned = ops.watch("turned", rotated(ops, q, cos, sin))
    scores = ops.watch("scores", turned @ rotated(ops, key, cos, sin).T)
    return ops.sum(dscores * scores)


def published(q, key, cos, sin, dscores):
    half = cos.shape[1]

    def forward(x):
        first, second = x[:, :half], x[:, half:]
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=1)

    def backward(dy):
        first, second = dy[:, :half], dy[:, half:]
        return np.concatenate([first * cos + second * sin, second * cos - first * sin], axis=1)

    turned, turned_key = forward(q), forward(key)
    scores = turned @ turned_key.T
    dturned = dscores @ turned_key
    dq, dkey = backward(dturned), backward(dscores.T @ turned)
    adjoints = {"turned": dturned, "scores": dscores}
    return (dscores * scores).sum(), {"q": dq, "key": dkey} | adjoints, {"turned": turned, "scores": scores}


gradients = {"published": published}
MISTAKES = {
    "rotated forwards on the way back": (
        "first * cos + second * sin, second * cos - first",
        "first * cos - second * sin, second * cos + first",
    ),
    "scores transposed": ("backward(dscores.T @ turned)", "backward(dscores @ turned)"),
}
