"""Skip-gram with negative sampling, one centre word: L = −Σ log σ(± u·v), + for the outside word, − for the others.

Stanford CS224n, assignment 2, word2vec.py, negSamplingLossAndGradient; T. Mikolov et al., NIPS 2013, equation 4.
"""

import numpy as np


def inputs(k):
    return {"centre": (k,), "outside": (k + 2, k), "picks": (k + 3, k + 2), "signs": (k + 3,)}


def sample(rng, k):
    words = rng.integers(k + 2, size=(k + 3,))
    words[2] = words[1]  # a word may be drawn twice
    return {"picks": np.eye(k + 2)[words], "signs": np.concatenate([[1.0], -np.ones(k + 2)])}


wrt = ("centre", "outside")


def loss(ops, centre, outside, picks, signs):
    vectors = ops.watch("vectors", picks @ outside)
    scores = ops.watch("scores", signs * (vectors @ centre))
    return ops.sum(ops.softplus(-scores))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def published(centre, outside, picks, signs):
    words = picks.argmax(axis=1)
    value, dcentre, doutside = 0, np.zeros_like(centre), np.zeros_like(outside)
    for word, sign in zip(words, signs):
        share = sigmoid(sign * (outside[word] @ centre))
        value -= np.log(share)
        dcentre += sign * (share - 1) * outside[word]
        doutside[word] += sign * (share - 1) * centre
    return value, {"centre": dcentre, "outside": doutside}, {}


gradients = {"published": published}
MISTAKES = {
    "= for += at a word that comes twice": ("doutside[word] +=", "doutside[word] ="),
    "sign of the negative samples": ("dcentre += sign *", "dcentre += abs(sign) *"),
}
