"""Words that engines compute in one kernel: attention and normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.words.declaration import Array, Parts, Word, Words, numbers

EPSILONS = (0.1, 0.001)


def _mean(a: Array) -> Array:
    return np.asarray(np.sum(a, axis=-1, keepdims=True) / a.shape[-1])


def _root(a: Array, epsilon: float) -> Array:
    """1/√(mean a² + ε)."""
    return np.asarray(1 / np.sqrt(_mean(a * a) + numbers(a, epsilon)))


def _layer_norm(epsilon: float, x: Array, w: Array, b: Array) -> Array:
    centred = x - _mean(x)
    return np.asarray(centred * _root(centred, epsilon) * w + b)


def _layer_norm_gradients(epsilon: float, g: Array, _v: Array, x: Array, w: Array, b: Array) -> Parts:
    centred = x - _mean(x)
    r = _root(centred, epsilon)
    normal, h = centred * r, g * w
    return r * (h - _mean(h) - normal * _mean(h * normal)), g * normal, g


def _rms_norm_gradients(epsilon: float, g: Array, v: Array, x: Array) -> Parts:
    r = _root(x, epsilon)
    return (r * (g - v * _mean(g * v)),)


def _fits_norm(_epsilon: Any, x: Array, *vectors: Array) -> bool:
    return x.ndim > 0 and all(vector.shape == x.shape[-1:] for vector in vectors)


def _shares(causal: bool, q: Array, k: Array) -> Array:
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(numbers(q, q.shape[-1]))
    allowed = np.tri(*scores.shape[-2:]) > 0 if causal else np.ones(scores.shape[-2:], bool)
    reached = np.where(allowed, scores, scores[..., :1])
    weights = np.where(allowed, np.exp(reached - np.max(reached, axis=-1, keepdims=True)), numbers(q, 0.0))
    return np.asarray(weights / np.sum(weights, axis=-1, keepdims=True))


def _attention_gradients(causal: bool, g: Array, _v: Array, q: Array, k: Array, v: Array) -> Parts:
    shares = _shares(causal, q, k)
    change = g @ np.swapaxes(v, -1, -2)
    scores = shares * (change - np.sum(shares * change, axis=-1, keepdims=True)) / np.sqrt(numbers(q, q.shape[-1]))
    return scores @ k, np.swapaxes(scores, -1, -2) @ q, np.swapaxes(shares, -1, -2) @ g


def _fits_attention(_causal: bool, q: Array, k: Array, v: Array) -> bool:
    lead = q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
    return min(q.ndim, k.ndim, v.ndim) > 1 and lead and q.shape[-1] == k.shape[-1] and k.shape[-2] == v.shape[-2]


FUSED: Words = {
    "layer_norm": Word("ops.layer_norm({0}, {1}, {2}, epsilon={n})", _layer_norm, _layer_norm_gradients, EPSILONS,
                       fits=_fits_norm),
    "rms_norm": Word("ops.rms_norm({0}, epsilon={n})", lambda n, x: x * _root(x, n), _rms_norm_gradients, EPSILONS,
                     fits=_fits_norm),
    "attention": Word("ops.scaled_dot_product_attention({0}, {1}, {2}, is_causal={n})",
                      lambda n, q, k, v: _shares(n, q, k) @ v, _attention_gradients, (False, True),
                      fits=_fits_attention),
}  # fmt: skip
