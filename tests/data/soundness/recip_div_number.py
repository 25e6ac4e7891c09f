"""A quotient that engines compute as a product with a subnormal reciprocal."""

DATA = {"b": [2.9e38, 3.1e38, 3.3e38, 2.71e38, 2.83e38, 3.01e38]}


def inputs(k):
    return {"b": (6,)}


def sample(rng, k):
    return DATA


wrt = ("b",)


def loss(ops, b):
    return ops.sum(ops.watch("y", 1e10 / b))
