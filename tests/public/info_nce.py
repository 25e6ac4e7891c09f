"""Contrastive loss with in-batch negatives: the mean of the cross-entropies of rows and of columns of s u vᵀ.

A. Radford et al., Learning transferable visual models from natural language supervision, 2021, figure 3.
"""

import numpy as np


def inputs(k):
    return {"images": (k + 1, k), "texts": (k + 1, k), "log_scale": (), "eye": (k + 1, k + 1)}


def sample(rng, k):
    return {"eye": np.eye(k + 1)}


wrt = ("images", "texts", "log_scale")


def unit(ops, x):
    return x / ops.sqrt(ops.sum(x * x, axis=1, keepdims=True))


def loss(ops, images, texts, log_scale, eye):
    u, v = ops.watch("u", unit(ops, images)), ops.watch("v", unit(ops, texts))
    logits = ops.watch("logits", ops.exp(log_scale) * (u @ v.T))
    matched = ops.sum(eye * logits)
    rows, columns = ops.sum(ops.logsumexp(logits, axis=1)), ops.sum(ops.logsumexp(logits, axis=0))
    return (rows + columns - 2 * matched) / (2 * images.shape[0])


def published(images, texts, log_scale, eye):
    lengths = [np.sqrt((x * x).sum(axis=1, keepdims=True)) for x in (images, texts)]
    u, v = images / lengths[0], texts / lengths[1]
    scale, count = np.exp(log_scale), len(images)
    similarities = u @ v.T
    logits = scale * similarities

    def softmax(axis):
        shifted = np.exp(logits - logits.max(axis=axis, keepdims=True))
        return shifted / shifted.sum(axis=axis, keepdims=True)

    rows, columns = softmax(1), softmax(0)
    value = -(np.log(np.diag(rows)) + np.log(np.diag(columns))).sum() / (2 * count)
    dlogits = ((rows - eye) + (columns - eye)) / (2 * count)
    du, dv = scale * (dlogits @ v), scale * (dlogits.T @ u)
    dimages = (du - u * (u * du).sum(axis=1, keepdims=True)) / lengths[0]
    dtexts = (dv - v * (v * dv).sum(axis=1, keepdims=True)) / lengths[1]
    gradients = {"images": dimages, "texts": dtexts, "log_scale": (dlogits * logits).sum()}
    return value, gradients | {"u": du, "v": dv, "logits": dlogits}, {"u": u, "v": v, "logits": logits}


gradients = {"published": published}
MISTAKES = {
    "texts take the rows' gradient": ("scale * (dlogits.T @ u)", "scale * (dlogits @ u)"),
    "no path through the length": ("(du - u * (u * du).sum(axis=1, keepdims=True)) / lengths[0]", "du / lengths[0]"),
}
