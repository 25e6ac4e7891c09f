"""Zero-initialised layer: every relu input is exactly 0."""

import numpy as np


def inputs(k):
    return {"w": (8,), "X": (k, 8)}


def sample(rng, k):
    return {"w": np.zeros(8)}


wrt = ("w",)


def loss(ops, w, X):
    return ops.sum(ops.relu(X @ w) * (X[:, 0] * X[:, 0]))
