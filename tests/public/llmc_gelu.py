"""GELU in its tanh form as llm.c computes it: L = Σ dout · gelu(inp).

A. Karpathy, llm.c, train_gpt2.c, gelu_forward and gelu_backward.
"""

import math

import numpy as np

SCALE = math.sqrt(2 / math.pi)


def inputs(k):
    return {"inp": (k, 4 * k), "dout": (k, 4 * k)}


wrt = ("inp",)


def loss(ops, inp, dout):
    cube = 0.044715 * inp * inp * inp
    tanh = ops.watch("tanh", ops.tanh(SCALE * (inp + cube)))
    out = ops.watch("out", 0.5 * inp * (1 + tanh))
    return ops.sum(dout * out)


def published(inp, dout):
    cube = 0.044715 * inp * inp * inp
    tanh_arg = SCALE * (inp + cube)
    tanh_out = np.tanh(tanh_arg)
    out = 0.5 * inp * (1 + tanh_out)

    cosh = np.cosh(tanh_arg)
    sech = 1 / (cosh * cosh)
    local = 0.5 * (1 + tanh_out) + inp * 0.5 * sech * SCALE * (1 + 3 * 0.044715 * inp * inp)
    return (dout * out).sum(), {"inp": local * dout}, {}


gradients = {"published": published}
MISTAKES = {
    "derivative of the cube without its 3": ("(1 + 3 * 0.044715", "(1 + 0.044715"),
    "no derivative of tanh": ("0.5 * sech * SCALE", "0.5 * SCALE"),
}
