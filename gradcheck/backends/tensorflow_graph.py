"""TensorFlow with tf.function: the loss and its gradients as one graph, which TensorFlow rewrites before it runs it."""

from __future__ import annotations

from gradcheck.backends._engine import Engine
from gradcheck.backends.tensorflow import TensorFlow

VARIANT_OF = "tensorflow"


def load() -> Engine:
    """Import TensorFlow."""
    return TensorFlow(compiled=True)
