"""A block of a transformer, as a module of PyTorch and in its port to JAX, on one set of parameters.

    gradcheck run examples/ported_block.py

The module is the loss: gradcheck records it, and asks it as the backend `original`. `names` maps its parameters to the
arguments of the port. A report names the module after which the port departs from it.
"""

engine = "torch"
names = {
    "block.norm.weight": "scale",
    "block.norm.bias": "shift",
    "block.expand.weight": "W",
    "block.expand.bias": "b",
    "block.contract.weight": "V",
    "block.contract.bias": "c",
}


def inputs(k):
    from torch import nn  # here, since JAX's worker loads this file too

    class Block(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.norm = nn.LayerNorm(size)
            self.expand = nn.Linear(size, 4 * size)
            self.contract = nn.Linear(4 * size, size)

        def forward(self, x):
            return x + self.contract(nn.functional.gelu(self.expand(self.norm(x))))

    return {"x": (3, k), "block": Block(k)}


def loss(x, block):
    return block(x)


def port(ops, x, scale, shift, W, b, V, c):
    import jax
    import jax.numpy as jnp

    mean = jnp.mean(x, -1, keepdims=True)
    h = (x - mean) * jax.lax.rsqrt(jnp.var(x, -1, keepdims=True) + 1e-5) * scale + shift
    a = ops.watch("block.expand", ops.watch("block.norm", h) @ W.T + b)
    return x + ops.watch("block.contract", jax.nn.gelu(a, approximate=False) @ V.T + c)


implementations = {"port": ("jax", port)}
