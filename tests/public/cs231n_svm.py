"""Multiclass hinge loss with weight decay: L = Σ max(0, s_j − s_y + 1)/N + r‖W‖².

Stanford CS231n, assignment 1, linear_svm.py, svm_loss_vectorized.
"""

import numpy as np

DECAY = 0.1


def inputs(k):
    return {"W": (k, k + 2), "X": (2 * k, k), "Y": (2 * k, k + 2)}


def sample(rng, k):
    return {"Y": np.eye(k + 2)[rng.integers(k + 2, size=(2 * k,))]}


wrt = ("W",)


def loss(ops, W, X, Y):
    scores = ops.watch("scores", X @ W)
    correct = ops.sum(Y * scores, axis=1, keepdims=True)
    margins = ops.watch("margins", ops.relu(scores - correct + 1) * (1 - Y))
    return ops.sum(margins) / X.shape[0] + DECAY * ops.sum(W * W)


def published(W, X, Y):
    rows, y = np.arange(len(X)), Y.argmax(axis=1)
    scores = X @ W
    margins = np.maximum(0, scores - scores[rows, y][:, None] + 1)
    margins[rows, y] = 0
    value = margins.sum() / len(X) + DECAY * (W * W).sum()

    dscores = (margins > 0).astype(W.dtype)
    dscores[rows, y] -= dscores.sum(axis=1)
    dscores /= len(X)
    dW = X.T @ dscores + 2 * DECAY * W
    return value, {"W": dW, "scores": dscores}, {"scores": scores, "margins": margins}


gradients = {"published": published}
MISTAKES = {
    "decay without its 2": ("2 * DECAY * W", "DECAY * W"),
    "nothing for the right class": ("dscores[rows, y] -= dscores.sum(axis=1)", "dscores[rows, y] -= 1"),
}
