"""SwiGLU as a fused kernel computes it: L = Σ dc · silu(a) b.

Liger-Kernel, ops/swiglu.py, backward; N. Shazeer, GLU variants improve transformer, 2020.
"""

import numpy as np


def inputs(k):
    return {"a": (k, 2 * k), "b": (k, 2 * k), "dc": (k, 2 * k)}


wrt = ("a", "b")


def loss(ops, a, b, dc):
    silu = ops.watch("silu", a * ops.sigmoid(a))
    return ops.sum(dc * (silu * b))


def published(a, b, dc):
    sig = 1 / (1 + np.exp(-a))
    silu = a * sig
    db = dc * silu
    da = dc * (silu * (1 - sig) + sig) * b
    return (dc * (silu * b)).sum(), {"a": da, "b": db, "silu": dc * b}, {"silu": silu}


gradients = {"published": published}
MISTAKES = {
    "derivative of the sigmoid alone": ("(silu * (1 - sig) + sig)", "(sig * (1 - sig))"),
    "gate and value exchanged": ("db = dc * silu", "db = dc * a"),
}
