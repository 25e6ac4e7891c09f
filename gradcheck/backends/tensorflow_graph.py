"""TensorFlow with tf.function: the loss and its gradients as one graph, which TensorFlow rewrites before it runs it."""

from __future__ import annotations

from gradcheck.backends._engine import Engine
from gradcheck.backends.tensorflow import (
    DISTRIBUTION,
    FORMATS,
    LACKS,
    MODULE,
    PYTHON,
    RELEASE,
    REQUIREMENTS,
    TensorFlow,
)

__all__ = ["DISTRIBUTION", "FORMATS", "LACKS", "MODULE", "PYTHON", "RELEASE", "REQUIREMENTS", "load"]


def load() -> Engine:
    """Import TensorFlow."""
    return TensorFlow(compiled=True)
