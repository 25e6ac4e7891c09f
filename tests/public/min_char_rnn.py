"""A character-level recurrent network over a short text: L = Σₜ −log softmax(Wₕᵧ hₜ + bᵧ)[target].

A. Karpathy, min-char-rnn.py, lossFun (without its clipping).
"""

import numpy as np


def inputs(k):
    v = k + 1
    return {"Wxh": (k, v), "Whh": (k, k), "Why": (v, k), "bh": (k,), "by": (v,), "X": (k, v), "Y": (k, v)}


def sample(rng, k):
    text = rng.integers(k + 1, size=(k + 1,))
    return {"X": np.eye(k + 1)[text[:-1]], "Y": np.eye(k + 1)[text[1:]]}


wrt = ("Wxh", "Whh", "Why", "bh", "by")


def loss(ops, Wxh, Whh, Why, bh, by, X, Y):
    total, h = 0.0, None
    for t in range(X.shape[0]):
        before = Wxh @ X[t] + bh if h is None else Wxh @ X[t] + Whh @ h + bh
        h = ops.watch(f"h{t}", ops.tanh(before))
        y = ops.watch(f"y{t}", Why @ h + by)
        total = total + (ops.logsumexp(y) - ops.sum(Y[t] * y))
    return total


def published(Wxh, Whh, Why, bh, by, X, Y):
    hs, ys, ps, value = {-1: np.zeros_like(bh)}, {}, {}, 0
    for t in range(len(X)):
        hs[t] = np.tanh(Wxh @ X[t] + Whh @ hs[t - 1] + bh)
        ys[t] = Why @ hs[t] + by
        exps = np.exp(ys[t] - ys[t].max())
        ps[t] = exps / exps.sum()
        value += -np.log(ps[t][Y[t].argmax()])

    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby, dhnext, adjoints = np.zeros_like(bh), np.zeros_like(by), np.zeros_like(bh), {}
    for t in reversed(range(len(X))):
        dy = np.copy(ps[t])
        dy[Y[t].argmax()] -= 1
        dWhy += np.outer(dy, hs[t])
        dby += dy
        dh = Why.T @ dy + dhnext
        dhraw = (1 - hs[t] * hs[t]) * dh
        dbh += dhraw
        dWxh += np.outer(dhraw, X[t])
        dWhh += np.outer(dhraw, hs[t - 1])
        dhnext = Whh.T @ dhraw
        adjoints |= {f"h{t}": dh, f"y{t}": dy}
    values = {f"h{t}": hs[t] for t in ys} | {f"y{t}": ys[t] for t in ys}
    return value, {"Wxh": dWxh, "Whh": dWhh, "Why": dWhy, "bh": dbh, "by": dby} | adjoints, values


gradients = {"published": published}
MISTAKES = {
    "nothing from the next step": ("dh = Why.T @ dy + dhnext", "dh = Why.T @ dy"),
    "hidden state of the same step": ("np.outer(dhraw, hs[t - 1])", "np.outer(dhraw, hs[t])"),
}
