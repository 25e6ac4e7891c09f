"""A clipped product whose gradient by hand has a wrong edge. The tests run this file: it is a problem."""

import numpy as np


def inputs(k):
    return {"x": (k,), "w": (k,)}


def loss(x, w):
    return np.sum(w * np.clip(x, -1, 1) ** 3)


def backward(x, w):
    y = np.clip(x, -1, 1)
    inside = np.abs(x) < 0.995  # 1 is meant
    return np.sum(w * y**3), {"x": np.where(inside, 3 * w * y * y, 0), "w": y**3}


gradients = {"mine": backward}
