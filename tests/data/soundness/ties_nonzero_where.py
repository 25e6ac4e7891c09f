"""Condition open by rounding."""

import numpy as np


def inputs(k):
    return {"b": (), "x": (k,)}


def sample(rng, k):
    return {"b": 0.1, "x": np.full(k, 3.0)}


wrt = ("b",)


def loss(ops, b, x):
    return ops.sum(ops.where(b * x > 0.3, b * x, 0.0) + b * x)
