"""a to the power of 0.7, which engines round to their dtype."""


def inputs(k):
    return {"a": (6,)}


def sample(rng, k):
    return {"a": [1e30, 2e36, 3e37, 1e-37, 1e20, 3.0]}


def loss(ops, a):
    return ops.sum(ops.watch("y", a**0.7))
