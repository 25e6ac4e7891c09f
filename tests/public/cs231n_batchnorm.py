"""Batch normalisation, its gradient in one expression: L = Σ dout · (γ x̂ + β).

Stanford CS231n, assignment 2, layers.py, batchnorm_backward_alt.
"""

import numpy as np

EPSILON = 1e-5


def inputs(k):
    return {"x": (k + 2, k), "gamma": (k,), "beta": (k,), "dout": (k + 2, k)}


wrt = ("x", "gamma", "beta")


def loss(ops, x, gamma, beta, dout):
    centred = x - ops.mean(x, axis=0)
    deviation = ops.sqrt(ops.mean(centred * centred, axis=0) + EPSILON)
    normalised = ops.watch("normalised", centred / deviation)
    return ops.sum(dout * (gamma * normalised + beta))


def published(x, gamma, beta, dout):
    centred = x - x.mean(axis=0)
    deviation = np.sqrt((centred * centred).mean(axis=0) + x.dtype.type(EPSILON))
    normalised = centred / deviation
    value = (dout * (gamma * normalised + beta)).sum()

    count = len(x)
    dgamma = (dout * normalised).sum(axis=0)
    dbeta = dout.sum(axis=0)
    dx = gamma / (count * deviation) * (count * dout - dbeta - normalised * dgamma)
    return value, {"x": dx, "gamma": dgamma, "beta": dbeta, "normalised": dout * gamma}, {"normalised": normalised}


gradients = {"published": published}
MISTAKES = {
    "no path through the variance": (" - normalised * dgamma)", ")"),
    "no γ": ("dx = gamma / (count", "dx = 1 / (count"),
}
