"""An attention mask of minus infinity."""

DATA = {"a": [[1.0, 2.0, 3.0], [0.1, 0.2, 0.3]], "m": [[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]}


def inputs(k):
    return {"a": (2, 3), "m": (2, 3)}


def sample(rng, k):
    return DATA


wrt = ("a",)


def loss(ops, a, m):
    s = ops.softmax(ops.where(m > 0, a, float("-inf")), axis=-1)
    return ops.sum(s * s)
