"""Variational autoencoder: L = mean over x of ½‖x − x̂‖² + KL(N(μ, σ²) ‖ N(0, 1)), x̂ the decoder's answer to z = μ + σε.

D. P. Kingma and M. Welling, Auto-Encoding Variational Bayes, ICLR 2014, arXiv:1312.6114: equation 10 with one sample ε
for each x, appendix B for the divergence, and appendix C for the networks; the decoder's Gaussian has variance 1.
"""

import numpy as np


def inputs(k):
    rows, latent = k // 4 + 2, k // 2 + 1
    data = {"X": (rows, k + 2), "noise": (rows, latent)}
    encoder = {"W": (k + 2, k), "b": (k,), "W_mean": (k, latent), "W_log": (k, latent), "b_log": (latent,)}
    return data | encoder | {"V": (latent, k), "d": (k,), "V_out": (k, k + 2), "d_out": (k + 2,)}


def sample(rng, k):
    return {"noise": rng.normal(size=(k // 4 + 2, k // 2 + 1))}


wrt = ("W", "b", "W_mean", "W_log", "b_log", "V", "d", "V_out", "d_out")


def loss(ops, X, noise, W, b, W_mean, W_log, b_log, V, d, V_out, d_out):
    code = ops.watch("code", ops.tanh(X @ W + b))
    mean = ops.watch("mean", code @ W_mean)
    log_variance = ops.watch("log_variance", code @ W_log + b_log)
    deviation = ops.watch("deviation", ops.exp(log_variance / 2))
    z = ops.watch("z", mean + deviation * noise)
    hidden = ops.watch("hidden", ops.tanh(z @ V + d))
    output = ops.watch("output", hidden @ V_out + d_out)
    reconstruction = ops.watch("reconstruction", ops.sum(ops.square(X - output), axis=1) / 2)
    divergence = ops.watch(
        "divergence", ops.sum(ops.square(mean) + ops.exp(log_variance) - log_variance - 1, axis=1) / 2
    )
    return ops.mean(reconstruction + divergence)


def forward(X, noise, W, b, W_mean, W_log, b_log, V, d, V_out, d_out):
    values = {"code": np.tanh(X @ W + b)}
    values["mean"] = values["code"] @ W_mean
    values["log_variance"] = values["code"] @ W_log + b_log
    values["deviation"] = np.exp(values["log_variance"] / 2)
    values["z"] = values["mean"] + values["deviation"] * noise
    values["hidden"] = np.tanh(values["z"] @ V + d)
    values["output"] = values["hidden"] @ V_out + d_out
    values["reconstruction"] = np.sum((X - values["output"]) ** 2, axis=1) / 2
    terms = values["mean"] ** 2 + np.exp(values["log_variance"]) - values["log_variance"] - 1
    values["divergence"] = np.sum(terms, axis=1) / 2
    return values


def vectorised(X, noise, W, b, W_mean, W_log, b_log, V, d, V_out, d_out):
    values = forward(X, noise, W, b, W_mean, W_log, b_log, V, d, V_out, d_out)
    code, mean, log_variance, deviation, z, hidden, output, reconstruction, divergence = values.values()

    drows = np.full_like(reconstruction, 1 / len(X))
    doutput = drows[:, None] * (output - X)
    dhidden = doutput @ V_out.T
    dunsquashed = dhidden * (1 - hidden * hidden)
    dz = dunsquashed @ V.T
    ddeviation = dz * noise
    dmean = dz + drows[:, None] * mean
    dlog_variance = ddeviation * deviation / 2 + drows[:, None] * (np.exp(log_variance) - 1) / 2
    dcode = dmean @ W_mean.T + dlog_variance @ W_log.T
    dencoded = dcode * (1 - code * code)
    gradients = {
        "W": X.T @ dencoded,
        "b": np.sum(dencoded, axis=0),
        "W_mean": code.T @ dmean,
        "W_log": code.T @ dlog_variance,
        "b_log": np.sum(dlog_variance, axis=0),
        "V": z.T @ dunsquashed,
        "d": np.sum(dunsquashed, axis=0),
        "V_out": hidden.T @ doutput,
        "d_out": np.sum(doutput, axis=0),
    }
    adjoints = {
        "code": dcode,
        "mean": dmean,
        "log_variance": dlog_variance,
        "deviation": ddeviation,
        "z": dz,
        "hidden": dhidden,
        "output": doutput,
        "reconstruction": drows,
        "divergence": drows,
    }
    return np.mean(reconstruction + divergence), gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "jax")
