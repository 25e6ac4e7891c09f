"""An incoming gradient that overflows float32, of a softmax of one entry."""

DATA = {"a": [[1.0], [2.0]], "b": [[1e30], [2e30]]}


def inputs(k):
    return {"a": (2, 1), "b": (2, 1)}


def sample(rng, k):
    return DATA


wrt = ("a", "b")


def loss(ops, a, b):
    s = ops.watch("s", ops.softmax(a, axis=-1))
    return ops.sum(s * b * b)
