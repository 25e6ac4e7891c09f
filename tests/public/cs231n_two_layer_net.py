"""Affine, ReLU, affine, softmax, with weight decay: L = the mean cross-entropy + r/2 (‖W₁‖² + ‖W₂‖²).

Stanford CS231n, assignment 1, TwoLayerNet.loss.
"""

import numpy as np

DECAY = 0.3


def inputs(k):
    return {
        "X": (2 * k, k),
        "W1": (k, k + 1),
        "b1": (k + 1,),
        "W2": (k + 1, k + 2),
        "b2": (k + 2,),
        "Y": (2 * k, k + 2),
    }


def sample(rng, k):
    return {"Y": np.eye(k + 2)[rng.integers(k + 2, size=(2 * k,))]}


wrt = ("W1", "b1", "W2", "b2")


def loss(ops, X, W1, b1, W2, b2, Y):
    hidden = ops.watch("hidden", ops.relu(X @ W1 + b1))
    scores = ops.watch("scores", hidden @ W2 + b2)
    data = ops.mean(ops.logsumexp(scores, axis=1) - ops.sum(Y * scores, axis=1))
    return data + 0.5 * DECAY * (ops.sum(W1 * W1) + ops.sum(W2 * W2))


def published(X, W1, b1, W2, b2, Y):
    hidden = np.maximum(X @ W1 + b1, 0)
    scores = hidden @ W2 + b2
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    value = -(Y * log_probs).sum() / len(X) + 0.5 * DECAY * ((W1 * W1).sum() + (W2 * W2).sum())

    dscores = (np.exp(log_probs) - Y) / len(X)
    dhidden = dscores @ W2.T
    dbefore = dhidden * (hidden > 0)
    gradients = {
        "W2": hidden.T @ dscores + DECAY * W2,
        "b2": dscores.sum(axis=0),
        "W1": X.T @ dbefore + DECAY * W1,
        "b1": dbefore.sum(axis=0),
        "hidden": dhidden,
        "scores": dscores,
    }
    return value, gradients, {"hidden": hidden, "scores": scores}


gradients = {"published": published}
MISTAKES = {
    "no ReLU on the way back": ("dhidden * (hidden > 0)", "dhidden"),
    "decay with a 2 too much": ("X.T @ dbefore + DECAY * W1", "X.T @ dbefore + 2 * DECAY * W1"),
}
