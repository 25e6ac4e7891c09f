"""Linear algebra of matrices that are well-conditioned for any operand: tanh(a) + 6, and 6 on the diagonal.

No sum beside the diagonal exceeds 4, so that nothing here needs a pivot. The axes before the last two broadcast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.words.declaration import Array, Parts, Word, Words, numbers

ON_DIAGONAL = 6.0
LARGEST = 5


def _matrix(a: Array) -> Array:
    return np.asarray(np.tanh(a) + numbers(a, ON_DIAGONAL * np.eye(a.shape[-1])))


def _through(g: Array, a: Array) -> Array:
    """The gradient of what the matrix is made of."""
    t = np.tanh(a)
    return np.asarray(g * (1 - t * t))


def _transposed(a: Array) -> Array:
    return np.swapaxes(a, -1, -2)


def _symmetric(a: Array) -> Array:
    return np.asarray((a + _transposed(a)) / 2)


def _eliminated(a: Array, b: Array) -> tuple[Array, Array]:
    """Both sides after an elimination without pivots; b are matrices."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.array(np.broadcast_to(x, batch + x.shape[-2:])) for x in (a, b))
    for k in range(a.shape[-1]):
        for i in range(k + 1, a.shape[-1]):
            factor = a[..., i, k : k + 1] / a[..., k, k : k + 1]
            a[..., i, :] = a[..., i, :] - factor * a[..., k, :]
            b[..., i, :] = b[..., i, :] - factor * b[..., k, :]
    return a, b


def _solved(a: Array, b: Array) -> Array:
    """The solution of a x = b; b is a vector if it has one axis, else matrices."""
    if b.ndim == 1:
        return np.asarray(_solved(a, b[:, None])[..., 0])
    a, x = _eliminated(a, b)
    for k in reversed(range(a.shape[-1])):
        known = np.sum(a[..., k, k + 1 :, None] * x[..., k + 1 :, :], axis=-2)
        x[..., k, :] = (x[..., k, :] - known) / a[..., k, k : k + 1]
    return x


def _inverse(a: Array) -> Array:
    return _solved(a, numbers(a, np.eye(a.shape[-1])))


def _logarithm(a: Array) -> Array:
    return np.asarray(np.sum(np.log(np.diagonal(_eliminated(a, a)[0], 0, -2, -1)), axis=-1))


def _system_gradients(matrix: Callable[[Array], Array]) -> Callable[..., Parts]:
    """Of a solution: of the part of the matrix that `matrix` keeps."""

    def gradients(n: Any, g: Array, v: Array, a: Array, b: Array) -> Parts:
        if b.ndim == 1:
            of_a, of_b = gradients(n, g[..., None], v[..., None], a, b[:, None])
            return of_a, None if of_b is None else of_b[..., 0]
        of_b = _solved(_transposed(matrix(_matrix(a))), g)
        return _through(matrix(-(of_b @ _transposed(v))), a), of_b

    return gradients


def _cholesky(a: Array) -> Array:
    """The lower triangular factor."""
    factor = numbers(a, np.zeros(a.shape))
    for j in range(a.shape[-1]):
        row = factor[..., j, :j]
        factor[..., j, j] = np.sqrt(a[..., j, j] - np.sum(row * row, axis=-1))
        for i in range(j + 1, a.shape[-1]):
            known = np.sum(factor[..., i, :j] * row, axis=-1)
            factor[..., i, j] = (a[..., i, j] - known) / factor[..., j, j]
    return factor


def _cholesky_gradient(g: Array, v: Array) -> Array:
    """I. Murray, *Differentiation of the Cholesky decomposition*, 2016."""
    n = v.shape[-1]
    half = (_transposed(v) @ np.tril(g)) * numbers(v, np.tril(np.ones((n, n))) - np.eye(n) / 2)
    left = _transposed(_solved(_transposed(v), _transposed(half)))
    return _symmetric(_solved(_transposed(v), left))


def _square(_n: Any, a: Array) -> bool:
    return a.ndim >= 2 and a.shape[-2] == a.shape[-1] <= LARGEST


def _system(n: Any, a: Array, b: Array) -> bool:
    return _square(n, a) and b.ndim > 0 and b.shape[max(b.ndim - 2, 0)] == a.shape[-1]


MATRIX = f"ops.tanh({{0}}) + {ON_DIAGONAL} * ops.eye({{0}}.shape[-1])"
ALGEBRA: Words = {
    "solve": Word(f"ops.solve({MATRIX}, {{1}})", lambda _n, a, b: _solved(_matrix(a), b),
                  _system_gradients(lambda a: a), fits=_system),
    "solve_triangular": Word(f"ops.solve_triangular({MATRIX}, {{1}})",
                             lambda _n, a, b: _solved(np.triu(_matrix(a)), b), _system_gradients(np.triu),
                             fits=_system),
    "solve_triangular, lower": Word(f"ops.solve_triangular({MATRIX}, {{1}}, lower=True)",
                                    lambda _n, a, b: _solved(np.tril(_matrix(a)), b), _system_gradients(np.tril),
                                    fits=_system),
    "inv": Word(f"ops.inv({MATRIX})", lambda _n, a: _inverse(_matrix(a)),
                lambda _n, g, v, a: (_through(-(_transposed(v) @ g @ _transposed(v)), a),), fits=_square),
    "slogdet": Word(f"ops.slogdet({MATRIX})[1]", lambda _n, a: _logarithm(_matrix(a)),
                    lambda _n, g, v, a: (_through(g[..., None, None] * _transposed(_inverse(_matrix(a))), a),),
                    fits=_square),
    "cholesky": Word(f"ops.cholesky(({MATRIX} + ({MATRIX}).mT) / 2)",
                     lambda _n, a: _cholesky(_symmetric(_matrix(a))),
                     lambda _n, g, v, a: (_through(_cholesky_gradient(g, v), a),), fits=_square),
}  # fmt: skip
