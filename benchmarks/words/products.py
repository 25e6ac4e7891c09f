"""Products of matrices and tensors, convolution and pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.words.declaration import Array, Parts, Word, Words
from benchmarks.words.moves import origin
from benchmarks.words.reductions import largest_gradient

EINSUMS = ("ij,kj->ik", "ij,ij->i", "i,j->ji", "ij,jk->k", "bij,bjk->bik", "bij,bkj->bki", "bij,j->bi", "bij,bij->b")
THREE = ("i,ij,j->j", "ij,j,ik->k", "ij,kj,i->ik")


def _labelled(subscripts: str, *operands: Array) -> bool:
    """Whether each label has one length; NumPy stretches those of 1."""
    labels = subscripts.split("->")[0].split(",")
    return (
        len({pair for label, x in zip(labels, operands, strict=True) for pair in zip(label, x.shape, strict=True)})
        == len(set("".join(labels)))
    )  # fmt: skip


def _einsum_gradients(subscripts: str, g: Array, *operands: Array) -> list[Array]:
    """Each is the product of the gradient and the other operands; a label that they lack is broadcast."""
    labels, result = subscripts.split("->")
    parts = []
    each = labels.split(",")
    for number, (own, operand) in enumerate(zip(each, operands, strict=True)):
        others = [result, *each[:number], *each[number + 1 :]]
        kept = "".join(label for label in own if label in "".join(others))
        part = np.einsum(f"{','.join(others)}->{kept}", g, *operands[:number], *operands[number + 1 :])
        part = np.expand_dims(part, tuple(axis for axis, label in enumerate(own) if label not in kept))
        parts.append(np.broadcast_to(part, operand.shape))
    return parts


def _tensordot_gradients(n: Any, g: Array, _v: Array, a: Array, b: Array) -> Parts:
    axes = (list(range(a.ndim - n, a.ndim)), list(range(n))) if isinstance(n, int) else n
    of_a = [chr(97 + axis) for axis in range(a.ndim)]
    of_b = [of_a[axes[0][axes[1].index(axis)]] if axis in axes[1] else chr(110 + axis) for axis in range(b.ndim)]
    summed = {of_a[axis] for axis in axes[0]}
    result = [label for label in of_a + of_b if label not in summed]
    return _einsum_gradients(f"{''.join(of_a)},{''.join(of_b)}->{''.join(result)}", g, a, b)


def _matmul_gradients(_n: Any, g: Array, _v: Array, a: Array, b: Array) -> Parts:
    """Vectors are matrices of one row or column."""
    row, column = a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b
    g = np.expand_dims(g, -1) if b.ndim == 1 else g
    g = np.expand_dims(g, -2) if a.ndim == 1 else g
    of_a, of_b = g @ np.swapaxes(column, -1, -2), np.swapaxes(row, -1, -2) @ g
    return of_a[..., 0, :] if a.ndim == 1 else of_a, of_b[..., 0] if b.ndim == 1 else of_b


def _windows(n: tuple[int, int, int, int], x: Array) -> Array:
    """The windows of length `length` along the last axis, as a new last axis; outside there is 0."""
    length, stride, padding, dilation = n
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(padding, padding)])
    starts = np.arange(0, padded.shape[-1] - dilation * (length - 1), stride)
    return np.asarray(padded[..., starts[:, None] + dilation * np.arange(length)])


def _conv(n: tuple[int, int, int], x: Array, w: Array) -> Array:
    return np.asarray(np.einsum("bclk,fck->bfl", _windows((w.shape[-1], *n), x), w))


def _conv_gradients(n: tuple[int, int, int], g: Array, _v: Array, x: Array, w: Array) -> Parts:
    windows = (w.shape[-1], *n)
    of_windows, of_w = _einsum_gradients("bclk,fck->bfl", g, _windows(windows, x), w)
    return origin(_windows, windows, of_windows, x), of_w


def _patches(n: tuple[int, int], x: Array) -> Array:
    """The windows of images along the last two axes, as two new last axes."""
    rows, columns = n
    down, right = np.arange(x.shape[-2] - rows + 1), np.arange(x.shape[-1] - columns + 1)
    return np.asarray(x[..., (down[:, None] + np.arange(rows))[:, None, :, None],
                        (right[:, None] + np.arange(columns))[None, :, None, :]])  # fmt: skip


def _images_gradients(_n: Any, g: Array, _v: Array, x: Array, w: Array) -> Parts:
    of_patches, of_w = _einsum_gradients("cyxuv,cuv->yx", g[0, 0], _patches(w.shape[-2:], x), w)
    return origin(_patches, w.shape[-2:], of_patches, x), of_w


def _pooled_gradients(n: tuple[int, int], g: Array, v: Array, x: Array) -> Parts:
    windows = (*n, 0, 1)
    return (origin(_windows, windows, largest_gradient(g, v, _windows(windows, x), -1), x),)


def _averaged_gradients(n: tuple[int, int], g: Array, v: Array, x: Array) -> Parts:
    windows = (*n, 0, 1)
    shape = _windows(windows, x).shape
    return (origin(_windows, windows, np.broadcast_to(g[..., None] / n[0], shape), x),)


POOLS = ((2, 1), (2, 2), (3, 1))
PRODUCTS: Words = {
    "@": Word("{0} @ {1}", lambda _n, a, b: np.asarray(a @ b), _matmul_gradients),
    "outer": Word("ops.outer({0}, {1})", lambda _n, a, b: np.multiply.outer(a, b),
                  lambda _n, g, v, a, b: (g @ b, g.T @ a), fits=lambda _n, a, b: a.ndim == b.ndim == 1),
    "vecdot": Word("ops.vecdot({0}, {1})", lambda _n, a, b: np.sum(a * b, axis=-1),
                   lambda _n, g, v, a, b: (g[..., None] * b, g[..., None] * a),
                   fits=lambda _n, a, b: a.ndim > 0 and b.ndim > 0 and a.shape[-1] == b.shape[-1]),
    "tensordot": Word("ops.tensordot({0}, {1}, axes={n})", lambda n, a, b: np.tensordot(a, b, n),
                      _tensordot_gradients, (0, 1, 2, ([0], [1]), ([0], [0])),
                      fits=lambda _n, a, b: a.ndim > 0 and b.ndim > 0),
    "einsum": Word("ops.einsum({n}, {0}, {1})", lambda n, a, b: np.asarray(np.einsum(n, a, b)),
                   lambda n, g, v, a, b: _einsum_gradients(n, g, a, b), EINSUMS,
                   fits=_labelled),
    "einsum of three": Word("ops.einsum({n}, {0}, {1}, {2})", lambda n, a, b, c: np.asarray(np.einsum(n, a, b, c)),
                            lambda n, g, v, a, b, c: _einsum_gradients(n, g, a, b, c), THREE,
                            fits=_labelled),
    "conv": Word("ops.conv({0}, {1}, *{n})", _conv, _conv_gradients, ((1, 0, 1), (1, 1, 1), (2, 1, 1), (1, 1, 2)),
                 fits=lambda _n, x, w: x.ndim == w.ndim == 3 and x.shape[1] == w.shape[1]),
    "conv of images": Word("ops.conv({0}[None], {1}[None])",
                           lambda _n, x, w: np.einsum("cyxuv,cuv->yx", _patches(w.shape[-2:], x), w)[None, None],
                           _images_gradients, fits=lambda _n, x, w: x.ndim == w.ndim == 3 and len(x) == len(w)),
    "max_pool": Word("ops.max_pool({0}, *{n})", lambda n, x: np.max(_windows((*n, 0, 1), x), axis=-1),
                     _pooled_gradients, POOLS, fits=lambda _n, x: x.ndim == 3),
    "avg_pool": Word("ops.avg_pool({0}, *{n})", lambda n, x: np.sum(_windows((*n, 0, 1), x), axis=-1) / n[0],
                     _averaged_gradients, POOLS, fits=lambda _n, x: x.ndim == 3),
}  # fmt: skip
