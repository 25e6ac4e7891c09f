"""Batch normalisation: L = mean((γ(X − μ)/√(σ² + ε) + β − T)²)/2, with mean μ and variance σ² of each column of X.

S. Ioffe and C. Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift,
ICML 2015, arXiv:1502.03167, algorithm 1, and the chain rule that follows it in section 3.
"""

import numpy as np

EPSILON = 1e-5


def inputs(k):
    return {"X": (k + 3, k), "gain": (k,), "bias": (k,), "T": (k + 3, k)}


wrt = ("X", "gain", "bias")


def loss(X, gain, bias, T):
    mean = np.mean(X, axis=0)
    variance = np.mean((X - mean) ** 2, axis=0)
    normal = (X - mean) / np.sqrt(variance + EPSILON)
    output = gain * normal + bias
    residual = output - T
    return np.mean(residual * residual) / 2


def vectorised(X, gain, bias, T):
    rows = len(X)
    mean = np.mean(X, axis=0)
    centred = X - mean
    variance = np.mean(centred * centred, axis=0)
    deviation = np.sqrt(variance + EPSILON)
    normal = centred / deviation
    output = gain * normal + bias
    residual = output - T

    dresidual = residual / residual.size
    doutput = dresidual
    dnormal = doutput * gain
    dvariance = -np.sum(dnormal * centred, axis=0) / (2 * deviation * (variance + EPSILON))
    dmean = -np.sum(dnormal, axis=0) / deviation - dvariance * 2 * np.mean(centred, axis=0)
    gradients = {
        "X": dnormal / deviation + dvariance * 2 * centred / rows + dmean / rows,
        "gain": np.sum(doutput * normal, axis=0),
        "bias": np.sum(doutput, axis=0),
    }
    adjoints = {
        "mean": dmean,
        "variance": dvariance,
        "normal": dnormal,
        "output": doutput,
        "residual": dresidual,
    }
    values = {"mean": mean, "variance": variance, "normal": normal, "output": output, "residual": residual}
    return np.mean(residual * residual) / 2, gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "mxnet")
