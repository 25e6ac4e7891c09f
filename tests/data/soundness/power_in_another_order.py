"""A power whose gradient overflows in one order of the product, and not in another."""

DATA = {"a": [0.01, 0.02], "c": [2e38, 1e38]}


def inputs(k):
    return {"a": (2,), "c": (2,)}


def sample(rng, k):
    return DATA


wrt = ("a",)


def loss(ops, a, c):
    return ops.sum(a**4 * c)
