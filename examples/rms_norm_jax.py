"""A fused RMSNorm in JAX with a gradient by hand, and the same with a mistake: `python rms_norm_jax.py`.

It needs JAX and gradcheck in one environment. The wrong gradient takes the mean of squares as a constant.
"""

from __future__ import annotations

import jax
from jax import numpy as jnp

from gradcheck.jax import check

EPSILON = 1e-5


def plain(x, w):
    """x / √(mean x² + ε) · w along the last axis, of x (rows, columns) and w (columns)."""
    return x / jnp.sqrt(jnp.mean(x**2, -1, keepdims=True) + EPSILON) * w


@jax.custom_vjp
def rms_norm(x, w):
    """The same in one pass."""
    return x * inverse_root(x) * w


@jax.custom_vjp
def rms_norm_without_mean(x, w):
    """The same, with the mistake."""
    return x * inverse_root(x) * w


def inverse_root(x):
    """1/√(mean x² + ε)."""
    return jax.lax.rsqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + EPSILON)


def right(saved, g):
    """The gradients."""
    x, w = saved
    r, h = inverse_root(x), g * w
    return h * r - x * r**3 * jnp.mean(h * x, -1, keepdims=True), jnp.sum(g * x * r, 0)


def wrong(saved, g):
    """The gradients, of which the path through the mean is missing."""
    x, w = saved
    r = inverse_root(x)
    return g * w * r, jnp.sum(g * x * r, 0)


rms_norm.defvjp(lambda x, w: (rms_norm(x, w), (x, w)), right)
rms_norm_without_mean.defvjp(lambda x, w: (rms_norm_without_mean(x, w), (x, w)), wrong)


def main() -> None:
    """Check both."""
    x = jax.random.normal(jax.random.key(0), (4, 16))
    w = jax.random.normal(jax.random.key(1), (16,))
    check(rms_norm, (x, w), reference=plain).assert_agrees()
    print("rms_norm agrees")
    print(check(rms_norm_without_mean, (x, w), reference=plain).finding())


if __name__ == "__main__":
    main()
