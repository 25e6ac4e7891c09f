"""JAX without jax.jit: every operation of the loss and its gradients by itself."""

from __future__ import annotations

from gradcheck.backends._engine import Engine
from gradcheck.backends.jax import DISTRIBUTION, FORMATS, LACKS, MODULE, PYTHON, RELEASE, REQUIREMENTS, Jax

__all__ = ["DISTRIBUTION", "FORMATS", "LACKS", "MODULE", "PYTHON", "RELEASE", "REQUIREMENTS", "load"]


def load() -> Engine:
    """Import JAX."""
    return Jax(compiled=False)
