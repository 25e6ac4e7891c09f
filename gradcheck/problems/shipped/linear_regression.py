"""Least squares: L = ‖Xw + b − t‖²/(2n).

C. M. Bishop, Pattern Recognition and Machine Learning, 2006, section 3.1.1, equation 3.12.
"""

import numpy as np


def inputs(k):
    return {"X": (2 * k, k), "w": (k,), "b": (), "t": (2 * k,)}


wrt = ("w", "b")


def loss(X, w, b, t):
    prediction = X @ w + b
    residual = prediction - t
    return np.mean(residual * residual) / 2


def vectorised(X, w, b, t):
    prediction = X @ w + b
    residual = prediction - t

    dresidual = residual / len(t)
    dprediction = dresidual
    gradients = {"w": X.T @ dprediction, "b": np.sum(dprediction)}
    adjoints = {"prediction": dprediction, "residual": dresidual}
    return np.mean(residual * residual) / 2, gradients | adjoints, {"prediction": prediction, "residual": residual}


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "mxnet")
