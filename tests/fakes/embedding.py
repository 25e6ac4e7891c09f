"""An embedding whose gradient by hand loses all but one of repeated indices. The tests run this file: a problem."""

import numpy as np

ROWS = 100


def inputs(k):
    return {"W": (ROWS, 2), "v": (k, 2), "ids": (k,)}


def sample(rng, k):
    return {"ids": rng.integers(ROWS, size=k)}


wrt = ("W",)


def loss(W, v, ids):
    h = np.tanh(W[ids])
    return np.sum(h * v)


def backward(W, v, ids):
    h = np.tanh(W[ids])
    dW = np.zeros_like(W)
    dW[ids] += v * (1 - h * h)  # np.add.at(dW, ids, ...) is meant
    return np.sum(h * v), {"W": dW}


gradients = {"mine": backward}
