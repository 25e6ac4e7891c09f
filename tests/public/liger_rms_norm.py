"""RMSNorm as a fused kernel computes it: L = Σ dout · w x/√(mean x² + ε).

Liger-Kernel, ops/rms_norm.py, backward; B. Zhang and R. Sennrich, Root mean square layer normalization, 2019.
"""

import numpy as np

EPSILON = 1e-3


def inputs(k):
    return {"x": (k, k + 3), "w": (k + 3,), "dout": (k, k + 3)}


wrt = ("x", "w")


def loss(ops, x, w, dout):
    scale = ops.sqrt(ops.mean(x * x, axis=1, keepdims=True) + EPSILON)
    normalised = ops.watch("normalised", x / scale)
    return ops.sum(dout * (normalised * w))


def published(x, w, dout):
    rstd = 1 / np.sqrt((x * x).mean(axis=1, keepdims=True) + x.dtype.type(EPSILON))
    normalised = x * rstd
    size = x.shape[1]
    m = dout * w
    dx = rstd * m
    dx += rstd * (-(1 / size) * rstd * rstd * (m * x).sum(axis=1, keepdims=True) * x)
    dw = np.zeros_like(w)
    for row in range(len(x)):
        dw += dout[row] * (x[row] * rstd[row])
    return (dout * (normalised * w)).sum(), {"x": dx, "w": dw, "normalised": m}, {"normalised": normalised}


gradients = {"published": published}
MISTAKES = {
    "no path through the root": ("    dx += rstd", "    dx + rstd"),
    "ε outside the root": (
        "1 / np.sqrt((x * x).mean(axis=1, keepdims=True) + x.dtype.type(EPSILON))",
        "1 / (np.sqrt((x * x).mean(axis=1, keepdims=True)) + x.dtype.type(EPSILON))",
    ),
}
