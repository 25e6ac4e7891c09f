"""Cross-entropy with label smoothing, fused: L = the mean of (1 − ε)(−log p_y) + ε/V Σ −log p.

Liger-Kernel, ops/cross_entropy.py; C. Szegedy et al., Rethinking the Inception architecture, 2016, section 7.
"""

import numpy as np

SMOOTHING = 0.1


def inputs(k):
    return {"logits": (k, k + 2), "targets": (k, k + 2)}


def sample(rng, k):
    return {"targets": np.eye(k + 2)[rng.integers(k + 2, size=(k,))]}


wrt = ("logits",)


def loss(ops, logits, targets):
    negative = ops.watch("negative", ops.logsumexp(logits, axis=1, keepdims=True) - logits)
    chosen = ops.sum(targets * negative, axis=1)
    return ops.mean((1 - SMOOTHING) * chosen + SMOOTHING / logits.shape[1] * ops.sum(negative, axis=1))


def published(logits, targets):
    rows, classes = logits.shape
    largest = logits.max(axis=1, keepdims=True)
    total = np.exp(logits - largest).sum(axis=1, keepdims=True)
    lse = largest + np.log(total)
    eps = SMOOTHING / classes
    chosen = targets.argmax(axis=1)
    value = ((1 - SMOOTHING) * (lse[:, 0] - logits[np.arange(rows), chosen]) + eps * (lse - logits).sum(axis=1)).mean()

    dlogits = np.exp(logits - largest) / total - eps
    dlogits[np.arange(rows), chosen] -= 1 - SMOOTHING
    return value, {"logits": dlogits / rows}, {}


gradients = {"published": published}
MISTAKES = {
    "smoothing over the other classes alone": ("eps = SMOOTHING / classes", "eps = SMOOTHING / (classes - 1)"),
    "whole weight on the target": ("-= 1 - SMOOTHING", "-= 1"),
}
