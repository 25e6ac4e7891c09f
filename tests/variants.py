"""Legitimate variants of the backpropagation in `planted`: other orders of summation, other forms; nothing is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tests.planted import CLEAN, Steps, sigmoid

Dot = Callable[[np.ndarray, np.ndarray], np.ndarray]
Sum = Callable[[np.ndarray], np.ndarray]


def products(dot: Dot) -> Steps:
    """All sums as matrix-vector products of one kind."""
    return {
        "y": lambda s: dot(s.A, s.x),
        "v": lambda s: dot(s.B, s.x),
        "w": lambda s: dot(s.C, s.z),
        "dz": lambda s: dot(s.C.T, s.dw),
        "loss": lambda s: dot(s.w[None], s.w)[0],
    }


def summed(along: Sum) -> Steps:
    """All sums over the last axis of rounded products."""
    return products(lambda matrix, vector: along(matrix * vector))


def left_to_right(terms: np.ndarray) -> np.ndarray:
    total = terms[..., 0]
    for column in range(1, terms.shape[-1]):
        total = total + terms[..., column]
    return total


def pairwise(terms: np.ndarray) -> np.ndarray:
    while terms.shape[-1] > 1:
        odd = terms[..., terms.shape[-1] // 2 * 2 :]
        terms = np.concatenate([terms[..., 0:-1:2] + terms[..., 1::2], odd], axis=-1)
    return terms[..., 0]


def blocked(terms: np.ndarray, size: int = 8) -> np.ndarray:
    starts = range(0, terms.shape[-1], size)
    return left_to_right(np.stack([left_to_right(terms[..., start : start + size]) for start in starts], axis=-1))


def compensated(terms: np.ndarray) -> np.ndarray:
    """Each sum rounded once."""
    return np.array([math.fsum(row) if np.isfinite(row).all() else np.sum(row) for row in terms.tolist()])


def kahan(terms: np.ndarray) -> np.ndarray:
    total, lost = terms[..., 0], np.zeros_like(terms[..., 0])
    for column in range(1, terms.shape[-1]):
        term = terms[..., column] - lost
        longer = total + term
        total, lost = longer, (longer - total) - term
    return total


def smallest_first(terms: np.ndarray) -> np.ndarray:
    return left_to_right(np.take_along_axis(terms, np.argsort(np.abs(terms), axis=-1), axis=-1))


def wider(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A dot product with no rounding except the last one, or nearly so."""
    return np.sum(matrix.astype(np.longdouble) * vector, axis=-1)


def fused_multiply_add(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Products are not rounded before they are added: exact in the next wider dtype, nearly so in longdouble."""
    total = np.zeros(matrix.shape[0], vector.dtype)
    for column, factor in zip(matrix.T.astype(np.longdouble), vector):
        total = np.asarray(total + column * factor, vector.dtype)
    return total


def in_float64(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return matrix.astype(np.float64) @ vector.astype(np.float64)


def decay(y: np.ndarray) -> np.ndarray:
    return np.exp(-np.abs(y))


VARIANTS: dict[str, Steps] = {
    "as planted.CLEAN has it": CLEAN,
    "left to right": summed(left_to_right),
    "right to left": summed(lambda terms: left_to_right(terms[..., ::-1])),
    "pairwise": summed(pairwise),
    "in blocks": summed(blocked),
    "smallest first": summed(smallest_first),
    "compensated": summed(compensated),
    "Kahan": summed(kahan),
    "einsum": products(lambda matrix, vector: np.einsum("ij,j->i", matrix, vector)),
    "fused multiply-add": products(fused_multiply_add),
    "wider accumulator": products(wider),
    "summed in float64": products(in_float64),
    "columns added up": products(lambda matrix, vector: left_to_right(matrix * vector)),
    "σ' = e/(1 + e)²": {"dy": lambda s: s.du * (decay(s.y) / (1 + decay(s.y)) ** 2)},
    "σ' = σ(y)σ(−y)": {"dy": lambda s: s.du * (sigmoid(s.y) * sigmoid(-s.y))},
    "(1 − u)u first": {"dy": lambda s: s.du * ((1 - s.u) * s.u)},
    "dL/du(1 − u) first": {"dy": lambda s: s.du * (1 - s.u) * s.u},
    "u − u·u": {"dy": lambda s: s.du * (s.u - s.u * s.u)},
    "dL/du·u − dL/du·u·u": {"dy": lambda s: s.du * s.u - s.du * s.u * s.u},
    "1/(1 + exp(−y))": {"u": lambda s: 1 / (1 + np.exp(-s.y))},
    "norm(w)²": {"loss": lambda s: np.linalg.norm(s.w) ** 2},
    "w²": {"loss": lambda s: np.sum(s.w**2)},
    "dot(w, w)": {"loss": lambda s: np.dot(s.w, s.w)},
    "w + w": {"dw": lambda s: s.w + s.w},
    "outer products by broadcasting": {
        "dA": lambda s: s.dy[:, None] * s.x,
        "dB": lambda s: s.dv[:, None] * s.x,
        "dC": lambda s: s.dw[:, None] * s.z,
    },
    "outer products of matrices": {
        "dA": lambda s: s.dy[:, None] @ s.x[None],
        "dB": lambda s: s.dv[:, None] @ s.x[None],
        "dC": lambda s: s.dw[:, None] @ s.z[None],
    },
    "dL/dC = 2(w zᵀ)": {"dC": lambda s: 2 * np.outer(s.w, s.z)},
    "A and B stacked": {
        "y": lambda s: (np.concatenate([s.A, s.B]) @ s.x)[: s.x.size],
        "v": lambda s: (np.concatenate([s.A, s.B]) @ s.x)[s.x.size :],
    },
    "vector times matrix": {
        "y": lambda s: s.x @ s.A.T,
        "v": lambda s: s.x @ s.B.T,
        "w": lambda s: s.z @ s.C.T,
        "dz": lambda s: s.dw @ s.C,
    },
}
