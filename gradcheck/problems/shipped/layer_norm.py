"""Layer normalisation: L = mean((γ(x − μ)/√(σ² + ε) + β − T)²)/2, with mean μ and variance σ² of each row x of X.

J. L. Ba, J. R. Kiros and G. E. Hinton, Layer Normalization, 2016, arXiv:1607.06450, equations 3 and 4.
"""

import numpy as np

EPSILON = 1e-5


def inputs(k):
    return {"X": (k, k + 3), "gain": (k + 3,), "bias": (k + 3,), "T": (k, k + 3)}


wrt = ("X", "gain", "bias")


def loss(X, gain, bias, T):
    centred = X - np.mean(X, axis=1, keepdims=True)
    variance = np.mean(centred * centred, axis=1, keepdims=True)
    deviation = np.sqrt(variance + EPSILON)
    normal = centred / deviation
    residual = gain * normal + bias - T
    return np.mean(residual * residual) / 2


def vectorised(X, gain, bias, T):
    centred = X - np.mean(X, axis=1, keepdims=True)
    variance = np.mean(centred * centred, axis=1, keepdims=True)
    deviation = np.sqrt(variance + EPSILON)
    normal = centred / deviation
    residual = gain * normal + bias - T

    dresidual = residual / residual.size
    dnormal = dresidual * gain
    ddeviation = -np.sum(dnormal * normal, axis=1, keepdims=True) / deviation
    dvariance = ddeviation / (2 * deviation)
    dcentred = dnormal / deviation + dvariance * (2 * centred / X.shape[1])
    gradients = {
        "X": dcentred - np.mean(dcentred, axis=1, keepdims=True),
        "gain": np.sum(dresidual * normal, axis=0),
        "bias": np.sum(dresidual, axis=0),
    }
    adjoints = {
        "centred": dcentred,
        "variance": dvariance,
        "deviation": ddeviation,
        "normal": dnormal,
        "residual": dresidual,
    }
    values = {
        "centred": centred,
        "variance": variance,
        "deviation": deviation,
        "normal": normal,
        "residual": residual,
    }
    return np.mean(residual * residual) / 2, gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "mxnet")
