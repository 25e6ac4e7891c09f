"""Softmax and cross-entropy: L = mean over rows of log Σ exp(z) − t·z, of logits z = XW + b and one-hot labels t.

C. M. Bishop, Pattern Recognition and Machine Learning, 2006, section 4.3.4, equations 4.108 and 4.109.
"""

import numpy as np


def inputs(k):
    return {"X": (k, k), "W": (k, k + 1), "b": (k + 1,), "T": (k, k + 1)}


def sample(rng, k):
    return {"T": np.eye(k + 1)[rng.integers(k + 1, size=(k,))]}


wrt = ("W", "b")


def loss(ops, X, W, b, T):
    logits = ops.watch("logits", ops.matmul(X, W) + b)
    normaliser = ops.watch("normaliser", ops.logsumexp(logits, axis=1))
    chosen = ops.watch("chosen", ops.sum(T * logits, axis=1))
    return ops.mean(normaliser - chosen)


def vectorised(X, W, b, T):
    logits = X @ W + b
    largest = np.max(logits, axis=1, keepdims=True)
    exponentials = np.exp(logits - largest)
    total = np.sum(exponentials, axis=1, keepdims=True)
    normaliser = (largest + np.log(total))[:, 0]
    chosen = np.sum(T * logits, axis=1)

    dnormaliser = np.full_like(normaliser, 1 / len(X))
    dchosen = -dnormaliser
    dlogits = dnormaliser[:, None] * (exponentials / total) + dchosen[:, None] * T
    gradients = {"W": X.T @ dlogits, "b": np.sum(dlogits, axis=0)}
    adjoints = {"logits": dlogits, "normaliser": dnormaliser, "chosen": dchosen}
    values = {"logits": logits, "normaliser": normaliser, "chosen": chosen}
    return np.mean(normaliser - chosen), gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "mxnet")
