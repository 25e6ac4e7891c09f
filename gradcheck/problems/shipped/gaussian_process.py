"""Gaussian process: L = −log p(y) = yᵀK⁻¹y/2 + log|K|/2 + n·log(2π)/2, K = s·exp(−‖x − x′‖²/2ℓ²) + σ²I.

C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning, MIT Press, 2006: algorithm 2.1 by the
Cholesky factor of K, and equation 5.9 for the gradient, dL/dK = (K⁻¹ − ααᵀ)/2 with α = K⁻¹y.
"""

import math

import numpy as np

DIMENSIONS = 2


def inputs(k):
    return {
        "X": (k, DIMENSIONS),
        "y": (k,),
        "log_variance": (),
        "log_length": (),
        "log_noise": (),
    }


wrt = ("X", "y", "log_variance", "log_length", "log_noise")


def loss(ops, X, y, log_variance, log_length, log_noise):
    difference = ops.expand_dims(X, 1) - ops.expand_dims(X, 0)
    distance = ops.watch("distance", ops.sum(difference * difference, axis=2))
    scaled = ops.watch("scaled", distance * ops.exp(-2 * log_length))
    kernel = ops.watch("kernel", ops.exp(log_variance - scaled / 2))
    covariance = ops.watch("covariance", kernel + ops.exp(log_noise) * np.eye(X.shape[0]))
    L = ops.watch("L", ops.cholesky(covariance))
    z = ops.watch("z", ops.solve_triangular(L, y, lower=True))
    half_log_determinant = ops.watch("half_log_determinant", ops.sum(ops.log(ops.diagonal(L))))
    return ops.sum(z * z) / 2 + half_log_determinant + X.shape[0] / 2 * math.log(2 * math.pi)


def forward(X, log_variance, log_length, log_noise, y):
    difference = X[:, None] - X[None]
    distance = np.sum(difference * difference, axis=2)
    scaled = distance * np.exp(-2 * log_length)
    kernel = np.exp(log_variance - scaled / 2)
    covariance = kernel + np.exp(log_noise) * np.eye(len(X), dtype=X.dtype)
    L = np.linalg.cholesky(covariance)
    return difference, {
        "distance": distance,
        "scaled": scaled,
        "kernel": kernel,
        "covariance": covariance,
        "L": L,
        "z": np.linalg.solve(L, y),
        "half_log_determinant": np.sum(np.log(np.diag(L))),
    }


def by_algorithm(X, y, log_variance, log_length, log_noise):
    difference, values = forward(X, log_variance, log_length, log_noise, y)
    scaled, kernel, L, z = (values[name] for name in ("scaled", "kernel", "L", "z"))
    alpha = np.linalg.solve(L.T, z)
    inverse = np.linalg.solve(L.T, np.linalg.solve(L, np.eye(len(X), dtype=X.dtype)))
    half_log_determinant = values["half_log_determinant"]
    loss = np.sum(z * z) / 2 + half_log_determinant + len(X) / 2 * math.log(2 * math.pi)

    dL = np.diag(1 / np.diag(L)) - np.tril(np.outer(alpha, z))
    dcovariance = (inverse - np.outer(alpha, alpha)) / 2
    dscaled = -dcovariance * kernel / 2
    ddistance = dscaled * np.exp(-2 * log_length)
    gradients = {
        "X": 4 * np.sum(ddistance[:, :, None] * difference, axis=1),
        "y": alpha,
        "log_variance": np.sum(dcovariance * kernel),
        "log_length": -2 * np.sum(dscaled * scaled),
        "log_noise": np.exp(log_noise) * np.trace(dcovariance),
    }
    adjoints = {
        "distance": ddistance,
        "scaled": dscaled,
        "kernel": dcovariance,
        "covariance": dcovariance,
        "L": dL,
        "z": z,
        "half_log_determinant": np.ones_like(half_log_determinant),
    }
    return loss, gradients | adjoints, values


gradients = {"numpy": by_algorithm}
backends = ("numpy", "torch", "jax")
