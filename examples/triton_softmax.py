"""The backward pass of softmax as a kernel in Triton, which its interpreter runs on the CPU.

    gradcheck run examples/triton_softmax.py -b kernel@/path/to/python

The interpreter of that path has torch and triton (`pip install torch triton`).
"""


def inputs(k):
    return {"x": (4, k)}


def loss(ops, x):
    return ops.softmax(x)


def kernel(x, cotangent):
    import os

    os.environ.setdefault("TRITON_INTERPRET", "0" if x.is_cuda else "1")  # before the kernel is declared
    import torch
    from softmax_kernel import softmax_backward

    p = torch.softmax(x, -1)
    dx = torch.empty_like(x)
    softmax_backward[(len(x),)](dx, p, cotangent, x.shape[-1], WIDTH=max(16, 1 << (x.shape[-1] - 1).bit_length()))
    return p, {"x": dx}


gradients = {"kernel": ("torch", kernel)}
