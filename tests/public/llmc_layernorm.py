"""Layer normalisation as llm.c computes it: L = Σ dout · (weight · norm + bias).

A. Karpathy, llm.c, train_gpt2.c, layernorm_forward and layernorm_backward.
"""

import numpy as np

EPSILON = 1e-5


def inputs(k):
    return {"inp": (k, k + 2), "weight": (k + 2,), "bias": (k + 2,), "dout": (k, k + 2)}


wrt = ("inp", "weight", "bias")


def loss(ops, inp, weight, bias, dout):
    mean = ops.watch("mean", ops.mean(inp, axis=1, keepdims=True))
    shifted = inp - mean
    variance = ops.mean(shifted * shifted, axis=1, keepdims=True)
    norm = ops.watch("norm", shifted / ops.sqrt(variance + EPSILON))
    out = ops.watch("out", norm * weight + bias)
    return ops.sum(dout * out)


def published(inp, weight, bias, dout):
    mean = inp.mean(axis=1, keepdims=True)
    shifted = inp - mean
    rstd = 1 / np.sqrt((shifted * shifted).mean(axis=1, keepdims=True) + inp.dtype.type(EPSILON))
    norm = shifted * rstd
    out = norm * weight + bias

    dinp, dweight, dbias = np.zeros_like(inp), np.zeros_like(weight), np.zeros_like(bias)
    dnorms = dout * weight
    for t in range(len(inp)):
        dnorm = dnorms[t]
        dnorm_mean = dnorm.mean()
        dnorm_norm_mean = (dnorm * norm[t]).mean()
        dbias += dout[t]
        dweight += norm[t] * dout[t]
        dinp[t] = (dnorm - dnorm_mean - norm[t] * dnorm_norm_mean) * rstd[t]
    gradients = {"inp": dinp, "weight": dweight, "bias": dbias, "out": dout, "norm": dnorms}
    return (dout * out).sum(), gradients, {"norm": norm, "out": out}


gradients = {"published": published}
MISTAKES = {
    "no path through the mean": ("dnorm - dnorm_mean - norm", "dnorm - norm"),
    "= for +=": ("dweight += norm[t]", "dweight[:] = norm[t]"),
}
