"""A block of a transformer, as a module of PyTorch and in its port to JAX, on one set of parameters.

    gradcheck run examples/ported_block.py

`NAMES` has the parameters by their names in the module: both sides are judged by the same truth, and a report names the
watched value at which a port departs from it first.
"""

NAMES = {
    "norm.weight": "scale",
    "norm.bias": "shift",
    "expand.weight": "W",
    "expand.bias": "b",
    "contract.weight": "V",
    "contract.bias": "c",
}


def inputs(k):
    shapes = {"scale": (k,), "shift": (k,), "W": (4 * k, k), "b": (4 * k,), "V": (k, 4 * k), "c": (k,)}
    return {"x": (3, k), **shapes}


def loss(ops, x, scale, shift, W, b, V, c):
    h = ops.watch("h", ops.layer_norm(x, scale, shift))
    a = ops.watch("a", h @ W.T + b)
    return x + ops.watch("y", ops.gelu(a) @ V.T + c)


def module(ops, x, **parameters):
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.norm = nn.LayerNorm(size)
            self.expand = nn.Linear(size, 4 * size)
            self.contract = nn.Linear(4 * size, size)

        def forward(self, x):
            h = ops.watch("h", self.norm(x))
            a = ops.watch("a", self.expand(h))
            return x + ops.watch("y", self.contract(nn.functional.gelu(a)))

    own = {name: parameters[ours] for name, ours in NAMES.items()}
    return torch.func.functional_call(Block(x.shape[-1]), own, (x,))


def port(ops, x, scale, shift, W, b, V, c):
    import jax
    import jax.numpy as jnp

    mean = jnp.mean(x, -1, keepdims=True)
    h = ops.watch("h", (x - mean) * jax.lax.rsqrt(jnp.var(x, -1, keepdims=True) + 1e-5) * scale + shift)
    a = ops.watch("a", h @ W.T + b)
    return x + ops.watch("y", jax.nn.gelu(a, approximate=False) @ V.T + c)


implementations = {"module": ("torch", module), "port": ("jax", port)}
