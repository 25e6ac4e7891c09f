"""Softmax and cross-entropy fused as in llm.c: L = the mean over positions of −log softmax(logits)[target].

A. Karpathy, llm.c, train_gpt2.c, softmax_forward and crossentropy_softmax_backward.
"""

import numpy as np


def inputs(k):
    return {"logits": (k, 2 * k + 1), "targets": (k, 2 * k + 1)}


def sample(rng, k):
    return {"targets": np.eye(2 * k + 1)[rng.integers(2 * k + 1, size=(k,))]}


wrt = ("logits",)


def loss(ops, logits, targets):
    losses = ops.watch("losses", ops.logsumexp(logits, axis=1) - ops.sum(targets * logits, axis=1))
    return ops.mean(losses)


def published(logits, targets):
    positions = len(logits)
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs = exps / exps.sum(axis=1, keepdims=True)
    chosen = targets.argmax(axis=1)
    losses = -np.log(probs[np.arange(positions), chosen])

    dloss = np.full_like(losses, 1 / positions)
    dlogits = np.zeros_like(logits)
    for t in range(positions):
        for i in range(logits.shape[1]):
            indicator = 1 if i == chosen[t] else 0
            dlogits[t, i] += (probs[t, i] - indicator) * dloss[t]
    return losses.mean(), {"logits": dlogits, "losses": dloss}, {"losses": losses}


gradients = {"published": published}
MISTAKES = {
    "target of the next position": ("i == chosen[t]", "i == chosen[(t + 1) % positions] + 1"),
    "sum for mean": ("np.full_like(losses, 1 / positions)", "np.full_like(losses, 1.5 / positions)"),
}
