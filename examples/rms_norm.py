"""RMS norm with its backward pass by hand, in PyTorch and in JAX, right and with a forgotten term.

    gradcheck run examples/rms_norm.py

The mean of x² depends on x too: a backward pass without that path is wrong in `x`, and right in `w`.
"""

EPSILON = 1e-6


def inputs(k):
    return {"x": (4, k), "w": (k,)}


def loss(ops, x, w):
    r = ops.watch("r", ops.rsqrt(ops.mean(x * x, axis=-1, keepdims=True) + EPSILON))
    return x * r * w


def in_torch(backward):
    """An implementation with a backward pass, as an autograd.Function."""
    import torch

    class RMSNorm(torch.autograd.Function):
        @staticmethod
        def forward(context, x, w):
            context.save_for_backward(x, w)
            return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPSILON) * w

        @staticmethod
        def backward(context, g):
            x, w = context.saved_tensors
            return backward(g, x, w, torch.rsqrt((x * x).mean(-1, keepdim=True) + EPSILON))

    return RMSNorm.apply


def in_jax(backward):
    """The same as a custom_vjp."""
    import jax
    import jax.numpy as jnp

    def root(x):
        return jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPSILON)

    @jax.custom_vjp
    def rms_norm(x, w):
        return x * root(x) * w

    rms_norm.defvjp(lambda x, w: (rms_norm(x, w), (x, w)), lambda saved, g: backward(g, *saved, root(saved[0])))
    return rms_norm


def right(g, x, w, r):
    h = g * w
    return r * h - x * r**3 * (h * x).sum(-1)[:, None] / x.shape[-1], (g * x * r).sum(0)


def without_the_mean(g, x, w, r):
    return r * g * w, (g * x * r).sum(0)


implementations = {
    "torch-right": ("torch", lambda x, w: in_torch(right)(x, w)),
    "torch-wrong": ("torch", lambda x, w: in_torch(without_the_mean)(x, w)),
    "jax-right": ("jax", lambda x, w: in_jax(right)(x, w)),
    "jax-wrong": ("jax", lambda x, w: in_jax(without_the_mean)(x, w)),
}
