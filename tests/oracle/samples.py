"""Inputs, friendly and hostile."""

from __future__ import annotations

import numpy as np


def uniform(rng, shape):
    return rng.uniform(-1, 1, shape)


def cancelling(rng, shape):
    """Entries in pairs that cancel exactly."""
    half = rng.uniform(-1, 1, shape)
    flat = half.reshape(-1)
    flat[1::2] = -flat[: 2 * (flat.size // 2) : 2]
    return half


def _signs(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


DISTRIBUTIONS = {
    "uniform": uniform,
    "normal": lambda rng, shape: 10 * rng.standard_normal(shape),
    "saturated": lambda rng, shape: _signs(rng, shape) * 1000,
    "tiny": lambda rng, shape: 1e-30 * uniform(rng, shape),
    "mixed": lambda rng, shape: _signs(rng, shape) * 10.0 ** rng.uniform(-12, 8, shape),
    "zeros": lambda rng, shape: np.zeros(shape),
    "unit scaled": lambda rng, shape: rng.standard_normal(shape) / np.sqrt(shape[-1]),
    "subnormal": lambda rng, shape: 1e-39 * uniform(rng, shape),
    "cancelling": cancelling,
}
EXTREMES = {
    "1e-300": lambda rng, shape: 1e-300 * uniform(rng, shape),
    "float64 subnormal": lambda rng, shape: 5e-324 * rng.integers(-9, 9, shape),
    "huge": lambda rng, shape: _signs(rng, shape) * 2.0**1000,
    "huge and tiny": lambda rng, shape: _signs(rng, shape) * 2.0 ** rng.choice([-1000, -500, 0, 500, 1000], shape),
}


def sample(distribution, shapes, dtype, seed=0):
    """Arrays of exactly representable entries, by name."""
    rng = np.random.default_rng(seed)
    draw = (DISTRIBUTIONS | EXTREMES)[distribution]
    with np.errstate(over="ignore"):
        return {name: np.asarray(draw(rng, shape)).astype(dtype) for name, shape in shapes.items()}
