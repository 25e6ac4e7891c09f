"""Attention with a single head: L = ‖softmax(QKᵀ/√d)V‖²/2.

A. Vaswani et al., Attention Is All You Need, NeurIPS 2017, arXiv:1706.03762, equation 1.
"""

import math

import numpy as np


def inputs(k):
    return {"Q": (k, k), "K": (k + 1, k), "V": (k + 1, k)}


def loss(ops, Q, K, V):
    scores = ops.watch("scores", ops.matmul(Q, ops.matrix_transpose(K)) / math.sqrt(Q.shape[1]))
    shares = ops.watch("shares", ops.softmax(scores, axis=1))
    output = ops.watch("output", ops.matmul(shares, V))
    return ops.sum(output * output) / 2


def vectorised(Q, K, V):
    root = math.sqrt(Q.shape[1])
    scores = Q @ K.T / root
    exponentials = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    shares = exponentials / np.sum(exponentials, axis=1, keepdims=True)
    output = shares @ V

    doutput = output
    dshares = doutput @ V.T
    dscores = shares * (dshares - np.sum(dshares * shares, axis=1, keepdims=True))
    gradients = {"Q": dscores @ K / root, "K": dscores.T @ Q / root, "V": shares.T @ doutput}
    adjoints = {"scores": dscores, "shares": dshares, "output": doutput}
    return np.sum(output * output) / 2, gradients | adjoints, {"scores": scores, "shares": shares, "output": output}


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "mxnet")
