"""JAX without jax.jit: every operation of the loss and its gradients by itself."""

from __future__ import annotations

from gradcheck.backends._engine import Engine
from gradcheck.backends.jax import Jax

VARIANT_OF = "jax"


def load() -> Engine:
    """Import JAX."""
    return Jax(compiled=False)
