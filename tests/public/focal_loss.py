"""Focal loss of logits: L = the mean of α_t (1 − p_t)^γ CE, γ = 2.

torchvision, ops/focal_loss.py, sigmoid_focal_loss; T.-Y. Lin et al., Focal loss for dense object detection, 2017.
"""

import numpy as np

ALPHA = 0.25


def inputs(k):
    return {"x": (k, k), "t": (k, k)}


def sample(rng, k):
    return {"t": rng.integers(2, size=(k, k)).astype(float)}


wrt = ("x",)


def loss(ops, x, t):
    p = ops.watch("p", ops.sigmoid(x))
    cross_entropy = ops.softplus(x) - x * t
    wrong = 1 - (p * t + (1 - p) * (1 - t))
    weight = ALPHA * t + (1 - ALPHA) * (1 - t)
    return ops.mean(weight * (cross_entropy * wrong**2))


def published(x, t):
    p = 1 / (1 + np.exp(-x))
    cross_entropy = np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))
    p_t = p * t + (1 - p) * (1 - t)
    weight = ALPHA * t + (1 - ALPHA) * (1 - t)
    value = (weight * (cross_entropy * (1 - p_t) ** 2)).mean()

    dcross_entropy = weight * (1 - p_t) ** 2 / x.size
    dp_t = -2 * weight * cross_entropy * (1 - p_t) / x.size
    dp = dp_t * (2 * t - 1)
    return value, {"x": dcross_entropy * (p - t) + dp * p * (1 - p)}, {"p": p}


gradients = {"published": published}
MISTAKES = {
    "the weight as a constant": ("dcross_entropy * (p - t) + dp * p * (1 - p)", "dcross_entropy * (p - t)"),
    "sign of p_t for negatives": ("dp = dp_t * (2 * t - 1)", "dp = dp_t"),
}
