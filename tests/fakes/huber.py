"""A Huber loss whose gradient by hand has no sign in one branch: it agrees where that branch is not taken.

The tests run this file: it is a problem.
"""

import numpy as np


def inputs(k):
    return {"X": (k, k), "w": (k,), "y": (k,)}


wrt = ("w",)


def loss(X, w, y):
    r = X @ w - y
    a = np.abs(r)
    return np.sum(np.where(a > 2.25, 2.25 * (a - 1.125), 0.5 * r * r))


def backward(X, w, y):
    r = X @ w - y
    a = np.abs(r)
    dr = np.where(a > 2.25, 2.25, r)  # sign(r) is missing
    return np.sum(np.where(a > 2.25, 2.25 * (a - 1.125), 0.5 * r * r)), {"w": X.T @ dr}


gradients = {"mine": backward}
