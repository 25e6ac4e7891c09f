"""Connectionist temporal classification: L = −log of the sum over all alignments of a label sequence.

A. Graves, S. Fernández, F. Gomez and J. Schmidhuber, ICML 2006, equations 6 to 16; the gradient with normalised α and β
as A. Maas published it (stanford-ctc, ctc_fast).
"""

import numpy as np


def labels(k):
    """Of every three labels two neighbours are the same, so that a blank must stand between them."""
    return [1 + (number * 2 // 3) % 3 for number in range(k)]


def extended(k):
    return [0, *(each for label in labels(k) for each in (label, 0))]


def inputs(k):
    return {"logits": (3 * k + 1, 4), "select": (4, 2 * k + 1), "skip": (2 * k + 1,)}


def sample(rng, k):
    path = extended(k)
    skip = [float(s > 1 and path[s] != 0 and path[s] != path[s - 2]) for s in range(len(path))]
    return {"select": np.eye(4)[:, path], "skip": np.array(skip)}


wrt = ("logits",)


def loss(ops, logits, select, skip):
    y = ops.watch("y", ops.softmax(logits, axis=1))
    emitted = y @ select
    zero = 0 * emitted[0, :1]
    alpha = ops.concat([emitted[0, :2], 0 * emitted[0, 2:]])
    for t in range(1, logits.shape[0]):
        one = ops.concat([zero, alpha[:-1]])
        two = ops.concat([zero, zero, alpha[:-2]])
        alpha = (alpha + one + skip * two) * emitted[t]
    return -ops.log(alpha[-1] + alpha[-2])


def published(logits, select, skip):
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    y = exps / exps.sum(axis=1, keepdims=True)
    path = select.argmax(axis=0)
    alphas, betas = np.zeros((len(y), len(path)), y.dtype), np.zeros((len(y), len(path)), y.dtype)
    alphas[0, :2] = y[0, path[:2]]
    value = -np.log(alphas[0].sum())
    alphas[0] /= alphas[0].sum()
    for t in range(1, len(y)):
        for s in range(len(path)):
            before = (
                alphas[t - 1, s]
                + (alphas[t - 1, s - 1] if s > 0 else 0)
                + (alphas[t - 1, s - 2] * skip[s] if s > 1 else 0)
            )
            alphas[t, s] = before * y[t, path[s]]
        value -= np.log(alphas[t].sum())
        alphas[t] /= alphas[t].sum()
    value -= np.log(alphas[-1, -2:].sum())

    betas[-1, -2:] = y[-1, path[-2:]]
    betas[-1] /= betas[-1].sum()
    for t in reversed(range(len(y) - 1)):
        for s in range(len(path)):
            after = betas[t + 1, s]
            after += betas[t + 1, s + 1] if s + 1 < len(path) else 0
            after += betas[t + 1, s + 2] * skip[s + 2] if s + 2 < len(path) else 0
            betas[t, s] = after * y[t, path[s]]
        betas[t] /= betas[t].sum()
    through = alphas * betas / y[:, path]
    shares = np.zeros_like(y)
    for s in range(len(path)):
        shares[:, path[s]] += through[:, s]
    return value, {"logits": y - shares / through.sum(axis=1, keepdims=True)}, {"y": y}


gradients = {"published": published}
MISTAKES = {
    "β skips over a blank between equal labels": ("betas[t + 1, s + 2] * skip[s + 2]", "betas[t + 1, s + 2]"),
    "emission counted twice": ("through = alphas * betas / y[:, path]", "through = alphas * betas"),
}
