"""Clipping at an exact tie that is not zero."""

import numpy as np


def inputs(k):
    return {"b": (), "x": (k,)}


def sample(rng, k):
    return {"b": 0.5, "x": np.ones(k)}


wrt = ("b",)


def loss(ops, b, x):
    return ops.sum(ops.maximum(b * x, 0.5) + b * x)
