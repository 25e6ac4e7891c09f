"""Multilayer perceptron: L = mean((relu(XV + a)W + b − T)²)/2.

I. Goodfellow, Y. Bengio and A. Courville, Deep Learning, 2016, sections 6.1 and 6.5.4 (algorithms 6.3 and 6.4).
"""

import numpy as np


def inputs(k):
    return {"X": (k, k), "V": (k, 2 * k), "a": (2 * k,), "W": (2 * k, k), "b": (k,), "T": (k, k)}


wrt = ("V", "a", "W", "b")


def loss(X, V, a, W, b, T):
    weighted = X @ V + a
    hidden = np.maximum(weighted, 0.0)
    output = hidden @ W + b
    residual = output - T
    return np.mean(residual * residual) / 2


def vectorised(X, V, a, W, b, T):
    weighted = X @ V + a
    hidden = np.maximum(weighted, 0)
    output = hidden @ W + b
    residual = output - T

    dresidual = residual / residual.size
    doutput = dresidual
    dhidden = doutput @ W.T
    dweighted = dhidden * (weighted > 0)
    gradients = {
        "V": X.T @ dweighted,
        "a": np.sum(dweighted, axis=0),
        "W": hidden.T @ doutput,
        "b": np.sum(doutput, axis=0),
    }
    adjoints = {"weighted": dweighted, "hidden": dhidden, "output": doutput, "residual": dresidual}
    values = {"weighted": weighted, "hidden": hidden, "output": output, "residual": residual}
    return np.mean(residual * residual) / 2, gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "mxnet")
