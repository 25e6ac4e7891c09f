"""Contrastive loss with in-batch negatives, in both directions: images and texts, of which the i-th ones are a pair.

L = ½ mean over i of (log Σⱼ exp sᵢⱼ − sᵢᵢ) + (log Σⱼ exp sⱼᵢ − sᵢᵢ), with s = eᵗ u vᵀ of the normalised embeddings
u = P/‖P‖, P = IW, and v = Q/‖Q‖, Q = TV, and a learned temperature e⁻ᵗ.

A. van den Oord, Y. Li and O. Vinyals, Representation Learning with Contrastive Predictive Coding, 2018,
arXiv:1807.03748, equation 4; A. Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
ICML 2021, arXiv:2103.00020, figure 3.
"""

import numpy as np


def inputs(k):
    pairs, width = k // 2 + 2, k + 1
    features = {"images": (pairs, k + 3), "texts": (pairs, k + 2)}
    return features | {"W": (k + 3, width), "V": (k + 2, width), "log_scale": ()}


wrt = ("W", "V", "log_scale")


def loss(ops, images, texts, W, V, log_scale):
    P = ops.watch("P", images @ W)
    Q = ops.watch("Q", texts @ V)
    u = ops.watch("u", P / ops.expand_dims(ops.vector_norm(P, axis=1), axis=1))
    v = ops.watch("v", Q / ops.expand_dims(ops.vector_norm(Q, axis=1), axis=1))
    logits = ops.watch("logits", ops.exp(log_scale) * (u @ v.T))
    rows = ops.watch("rows", ops.logsumexp(logits, axis=1))
    columns = ops.watch("columns", ops.logsumexp(logits, axis=0))
    paired = ops.watch("paired", ops.sum(np.eye(images.shape[0]) * logits, axis=1))
    return ops.mean((rows + columns) / 2 - paired)


def normalise(P):
    norms = np.sqrt(np.sum(P * P, axis=1, keepdims=True))
    return P / norms, norms


def log_sum_exp(logits, axis):
    """Without overflow."""
    largest = np.max(logits, axis=axis, keepdims=True)
    return np.squeeze(largest + np.log(np.sum(np.exp(logits - largest), axis=axis, keepdims=True)), axis)


def vectorised(images, texts, W, V, log_scale):
    P, Q = images @ W, texts @ V
    (u, image_norms), (v, text_norms) = normalise(P), normalise(Q)
    scale = np.exp(log_scale)
    logits = scale * (u @ v.T)
    rows, columns = log_sum_exp(logits, 1), log_sum_exp(logits, 0)
    paired = np.diag(logits)

    pairs = len(images)
    drows = np.full_like(rows, 1 / (2 * pairs))
    dcolumns = np.full_like(columns, 1 / (2 * pairs))
    dpaired = np.full_like(paired, -1 / pairs)
    dlogits = drows[:, None] * np.exp(logits - rows[:, None]) + dcolumns * np.exp(logits - columns)
    dlogits += np.diag(dpaired)
    du = scale * (dlogits @ v)
    dv = scale * (dlogits.T @ u)
    dP = (du - u * np.sum(du * u, axis=1, keepdims=True)) / image_norms
    dQ = (dv - v * np.sum(dv * v, axis=1, keepdims=True)) / text_norms
    gradients = {"W": images.T @ dP, "V": texts.T @ dQ, "log_scale": np.sum(dlogits * logits)}
    adjoints = {
        "P": dP,
        "Q": dQ,
        "u": du,
        "v": dv,
        "logits": dlogits,
        "rows": drows,
        "columns": dcolumns,
        "paired": dpaired,
    }
    values = {"P": P, "Q": Q, "u": u, "v": v, "logits": logits, "rows": rows, "columns": columns, "paired": paired}
    return np.mean((rows + columns) / 2 - paired), gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "jax")
