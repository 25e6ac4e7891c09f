"""Correct answers in plain NumPy, computed in the inputs' own dtype, with the order of summation left open.

They share no code with the oracle. ``dot`` is the matrix product to use.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from gradcheck import backends


class Answer(backends.Answer):
    def __getitem__(self, key):
        return np.asarray(dict(self.arrays())[key])


def _one_by_one(a, b, backwards=False):
    """A matrix product whose sums run strictly from one end to the other."""
    terms = np.moveaxis(a[..., :, None] * b[None] if b.ndim == 2 else a * b, a.ndim - 1, 0)
    terms = terms[::-1] if backwards else terms
    total = np.zeros_like(terms[0])
    for term in terms:
        total = total + term
    return total


DOTS = {
    "BLAS": np.matmul,
    "forwards": _one_by_one,
    "backwards": partial(_one_by_one, backwards=True),
    "einsum": lambda a, b: np.einsum("...k,k...->..." if b.ndim == 1 else "ik,kj->ij", a, b),
}


def _sigmoid(y):
    small = np.exp(-np.abs(y))
    return (np.where(y < 0, small, 1) / (1 + small)).astype(y.dtype)


def sigmoid_skip(dot, A, B, C, x):
    y = dot(A, x)
    u = _sigmoid(y)
    v = dot(B, x)
    z = u + v
    w = dot(C, z)
    dw = w + w
    dz = dot(C.T, dw)
    dy = dz * u * (1 - u)
    return Answer(
        np.sum(w * w),
        {"A": np.outer(dy, x), "B": np.outer(dz, x), "C": np.outer(dw, z)},
        {"y": y, "u": u, "v": v, "z": z, "w": w},
        {"y": dy, "u": dz, "v": dz, "z": dz, "w": dw},
    )


def layer_norm(dot, X, scale, shift):
    dtype = X.dtype.type
    n = dtype(X.shape[1])
    centred = X - X.sum(axis=1, keepdims=True) / n
    variance = (centred * centred).sum(axis=1, keepdims=True) / n
    root = np.sqrt(variance + dtype(1e-5))
    normal = centred / root
    out = normal * scale + shift
    loss = (out * out).sum() / dtype(2)
    d_normal = out * scale
    d_variance = (-d_normal * centred / (root * root) / (2 * root)).sum(axis=1, keepdims=True)
    d_centred = d_normal / root + 2 * (d_variance / n) * centred
    return Answer(
        loss,
        {
            "X": d_centred - d_centred.sum(axis=1, keepdims=True) / n,
            "scale": (out * normal).sum(axis=0),
            "shift": out.sum(axis=0),
        },
        {"centred": centred, "variance": variance, "normal": normal, "out": out},
        {"out": out, "normal": d_normal, "variance": d_variance, "centred": d_centred},
    )


def tanh_network(dot, A, B, C, x):
    a = np.tanh(dot(A, x))
    b = np.tanh(dot(B, a))
    c = np.tanh(dot(C, b))
    n = x.dtype.type(c.size)
    dc = 2 * c / n
    pc = dc * (1 - c * c)
    db = dot(C.T, pc)
    pb = db * (1 - b * b)
    da = dot(B.T, pb)
    pa = da * (1 - a) * (1 + a)
    gradients = {"A": np.outer(pa, x), "B": np.outer(pb, a), "C": np.outer(pc, b), "x": dot(A.T, pa)}
    return Answer((c * c).sum() / n, gradients, {"a": a, "b": b, "c": c}, {"a": da, "b": db, "c": dc})


def cross_entropy(dot, W, x, label):
    logits = dot(W, x)
    shifted = logits - logits.max()
    exponentials = np.exp(shifted)
    normaliser = np.log(exponentials.sum())
    d_normaliser = label.sum()
    d_shifted = d_normaliser * (exponentials / exponentials.sum()) - label
    d_logits = d_shifted.copy()
    d_logits[logits.argmax()] -= d_shifted.sum()
    return Answer(
        -np.sum(label * (shifted - normaliser)),
        {"W": np.outer(d_logits, x), "x": dot(W.T, d_logits)},
        {"logits": logits, "shifted": shifted, "normaliser": normaliser},
        {"normaliser": d_normaliser, "shifted": d_shifted, "logits": d_logits},
    )


def relu_network(dot, A, b, C, X):
    dtype = X.dtype.type
    before = dot(X, A) + b
    hidden = np.maximum(before, dtype(0))
    out = dot(hidden, C.T)
    big = np.where(out > 0.5, out * out, dtype(0))
    d_out = np.sign(out) + np.where(out > 0.5, 2 * out, dtype(0))
    d_hidden = dot(d_out, C)
    d_before = np.where(before > 0, d_hidden, dtype(0))
    return Answer(
        np.abs(out).sum() + big.sum(),
        {"A": dot(X.T, d_before), "b": d_before.sum(axis=0), "C": dot(d_out.T, hidden)},
        {"hidden": hidden, "out": out},
        {"out": d_out, "hidden": d_hidden},
    )


ANSWERS = {
    "sigmoid_skip": sigmoid_skip,
    "layer_norm": layer_norm,
    "tanh_network": tanh_network,
    "cross_entropy": cross_entropy,
    "relu_network": relu_network,
}
