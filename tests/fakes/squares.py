"""Squares: L = Σ h + Σ b², h = a²."""


def inputs(k):
    return {"a": (k,), "b": (k, k)}


def loss(ops, a, b):
    return ops.sum(ops.watch("h", a * a)) + ops.sum(b * b)
