"""Poisson regression: L = mean(e^η − yη + log Γ(y + 1)) of counts y with the log rate η = Xw + b + log(exposure).

P. McCullagh and J. A. Nelder, Generalized Linear Models, second edition, 1989, section 6.2: the negative log-likelihood
of the Poisson distribution with its canonical link, and an offset for the exposure of each row.
"""

import math

import numpy as np


def inputs(k):
    rows = 2 * k + 1
    return {"X": (rows, k), "w": (k,), "b": (), "exposure": (rows,), "y": (rows,)}


def sample(rng, k):
    rows = 2 * k + 1
    return {"exposure": rng.uniform(0.5, 2.0, rows), "y": rng.integers(6, size=rows)}


wrt = ("w", "b", "exposure")


def loss(ops, X, w, b, exposure, y):
    log_rate = ops.watch("log_rate", X @ w + b + ops.log(exposure))
    rate = ops.watch("rate", ops.exp(log_rate))
    fit = ops.watch("fit", y * log_rate)
    surprise = ops.watch("surprise", rate - fit + ops.lgamma(y + 1))
    return ops.mean(surprise)


def vectorised(X, w, b, exposure, y):
    log_factorials = np.array([math.lgamma(count + 1) for count in y], X.dtype)
    y = y.astype(X.dtype)  # of integers and float32 NumPy makes float64
    log_rate = X @ w + b + np.log(exposure)
    rate = np.exp(log_rate)
    fit = y * log_rate
    surprise = rate - fit + log_factorials

    dsurprise = np.full_like(surprise, 1 / len(y))
    drate = dsurprise
    dfit = -dsurprise
    dlog_rate = drate * rate + dfit * y
    gradients = {"w": X.T @ dlog_rate, "b": np.sum(dlog_rate), "exposure": dlog_rate / exposure}
    adjoints = {"log_rate": dlog_rate, "rate": drate, "fit": dfit, "surprise": dsurprise}
    values = {"log_rate": log_rate, "rate": rate, "fit": fit, "surprise": surprise}
    return np.mean(surprise), gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "jax")
