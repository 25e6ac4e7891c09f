"""A branch of maximum that is masked, and whose gradient overflows float32."""

DATA = {"a": [1.0, -2.0], "b": [1e30, 2e30]}


def inputs(k):
    return {"a": (2,), "b": (2,)}


def sample(rng, k):
    return DATA


wrt = ("a", "b")


def loss(ops, a, b):
    return ops.sum(ops.maximum(a, 0.0) * b * b)
