"""JAX in forward mode: jax.jvp along every unit vector, many at once with jax.vmap, compiled, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradcheck.backends._engine import Engine
from gradcheck.backends._functional import Leaves, Loss
from gradcheck.backends.jax import FORMATS as JAX_FORMATS
from gradcheck.backends.jax import Jax

VARIANT_OF = "jax"

FORMATS = {dtype: JAX_FORMATS[dtype] for dtype in ("float64", "float32", "bfloat16")}
LACKS = {"float16": "tangents underflow where adjoints do not: nothing bounds forward mode in float16's narrow range"}

ENTRIES = 1 << 20
"""Of the unit vectors that exist at one time: 8 MiB in float64. Each is as long as all inputs together."""


class ForwardJax(Jax):
    """JAX whose gradients are derivatives along unit vectors. It has no adjoints: forward mode computes none."""

    def differentiate(
        self, loss: Loss, sources: Leaves, offsets: Leaves, constants: Leaves
    ) -> tuple[Any, Leaves, Leaves, Leaves]:
        value, watched, gradients = self.gradient_of(loss)(sources, offsets, constants)
        return value, watched, gradients, {}

    def _gradient_of(self, loss: Loss) -> Callable[..., Any]:
        from jax.flatten_util import ravel_pytree

        jax = self.jax

        def gradient(sources: Leaves, offsets: Leaves, constants: Leaves) -> tuple[Any, Leaves, Leaves]:
            flat, unflatten = ravel_pytree(sources)

            def slope(number: Any) -> Any:
                unit = jax.nn.one_hot(number, flat.size, dtype=flat.dtype)
                return jax.jvp(lambda inputs: loss(unflatten(inputs), offsets, constants)[0], (flat,), (unit,))[1]

            at_once = min(flat.size, max(ENTRIES // flat.size, 1))
            slopes = jax.lax.map(slope, jax.numpy.arange(flat.size), batch_size=at_once)
            return (*loss(sources, offsets, constants), unflatten(slopes))

        compiled: Callable[..., Any] = jax.jit(gradient)
        return compiled


def load() -> Engine:
    """Import JAX."""
    return ForwardJax()
