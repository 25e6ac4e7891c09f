"""Logistic regression: L = mean(log(1 + exp(z)) − tz) of z = Xw + b and labels t, each 0 or 1.

C. M. Bishop, Pattern Recognition and Machine Learning, 2006, section 4.3.2, equations 4.90 and 4.91, with
−log σ(z) = log(1 + exp(z)) − z. The loss takes log(1 + exp(z)) as the log-sum-exp of 0 and z, because MXNet's softplus
is off by up to 2e-6 in float32 below zero.

Undecided where the gradient of b cancels to nothing but rounding errors: all logits are 0 (`zeros`, `tiny`,
`subnormal`), and as many labels are 0 as 1.
"""

import numpy as np


def inputs(k):
    return {"X": (2 * k, k), "w": (k,), "b": (), "t": (2 * k,)}


def sample(rng, k):
    return {"t": rng.integers(2, size=(2 * k,))}


wrt = ("w", "b")


def loss(ops, X, w, b, t):
    logit = ops.watch("logit", ops.matmul(X, w) + b)
    column = ops.reshape(logit, (t.shape[0], 1))
    normaliser = ops.watch("normaliser", ops.logsumexp(ops.concat([0 * column, column], axis=1), axis=1))
    penalty = ops.watch("penalty", normaliser - t * logit)
    return ops.mean(penalty)


def vectorised(X, w, b, t):
    t = t.astype(X.dtype)  # of integers and float32 NumPy makes float64
    logit = X @ w + b
    decay = np.exp(-np.abs(logit))
    normaliser = np.maximum(logit, 0) + np.log1p(decay)
    penalty = normaliser - t * logit

    dpenalty = np.full_like(penalty, 1 / len(t))
    dnormaliser = dpenalty
    dlogit = dnormaliser * (np.where(logit >= 0, 1, decay) / (1 + decay)) - dpenalty * t
    gradients = {"w": X.T @ dlogit, "b": np.sum(dlogit)}
    adjoints = {"logit": dlogit, "normaliser": dnormaliser, "penalty": dpenalty}
    values = {"logit": logit, "normaliser": normaliser, "penalty": penalty}
    return np.mean(penalty), gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "mxnet")
