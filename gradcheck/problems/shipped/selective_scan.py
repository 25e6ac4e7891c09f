"""Selective state space: L = ½ mean(y²) of yₜ = Cₜhₜ + D xₜ, with hₜ = exp(ΔₜA) hₜ₋₁ + Δₜ Bₜ xₜ.

Δₜ = softplus(xₜ W_step + b_step), Bₜ = xₜ W_B and Cₜ = xₜ W_C depend on the input; A = −exp(log_A) has a row of states
for each channel.

A. Gu and T. Dao, Mamba: Linear-Time Sequence Modeling with Selective State Spaces, 2023, arXiv:2312.00752, algorithm 2
and equation 4, with B discretised as Δ B, as its code does.
"""

import numpy as np

STEPS = 4


def inputs(k):
    batch, states = k // 16 + 2, k // 4 + 2
    projections = {"W_step": (k, k), "b_step": (k,), "W_B": (k, states), "W_C": (k, states)}
    return {"X": (batch, STEPS, k)} | projections | {"log_A": (k, states), "D": (k,)}


def loss(ops, X, W_step, b_step, W_B, W_C, log_A, D):
    step = ops.watch("step", ops.softplus(X @ W_step + b_step))
    B = ops.watch("B", X @ W_B)
    C = ops.watch("C", X @ W_C)
    A = ops.watch("A", -ops.exp(log_A))
    h, total = np.zeros((X.shape[0], *log_A.shape)), 0
    for t in range(STEPS):
        decay = ops.watch(f"decay{t}", ops.exp(step[:, t, :, None] * A))
        drive = ops.watch(f"drive{t}", (step[:, t] * X[:, t])[:, :, None] * B[:, t, None, :])
        h = ops.watch(f"h{t}", decay * h + drive)
        y = ops.watch(f"y{t}", ops.sum(C[:, t, None, :] * h, axis=2) + D * X[:, t])
        total = total + ops.sum(ops.square(y))
    return total / (2 * X.shape[0] * STEPS * X.shape[2])


def softplus(y):
    """log(1 + eʸ) without overflow, and its derivative."""
    decay = np.exp(-np.abs(y))
    return np.maximum(y, 0) + np.log1p(decay), np.where(y >= 0, 1, decay) / (1 + decay)


def forward(X, W_step, b_step, W_B, W_C, log_A, D):
    values = {"step": softplus(X @ W_step + b_step)[0], "B": X @ W_B, "C": X @ W_C, "A": -np.exp(log_A)}
    step, B, C, A = values.values()
    h = np.zeros((len(X), *log_A.shape), X.dtype)
    for t in range(STEPS):
        decay = np.exp(step[:, t, :, None] * A)
        drive = (step[:, t] * X[:, t])[:, :, None] * B[:, t, None, :]
        h = decay * h + drive
        y = np.sum(C[:, t, None, :] * h, axis=2) + D * X[:, t]
        values |= {f"decay{t}": decay, f"drive{t}": drive, f"h{t}": h, f"y{t}": y}
    return values


def vectorised(X, W_step, b_step, W_B, W_C, log_A, D):
    values = forward(X, W_step, b_step, W_B, W_C, log_A, D)
    step, B, C, A = (values[name] for name in ("step", "B", "C", "A"))
    dX, dstep, dB, dC = np.zeros_like(X), np.zeros_like(step), np.zeros_like(B), np.zeros_like(C)
    dA, dD, dnext = np.zeros_like(A), np.zeros_like(D), np.zeros((len(X), *A.shape), X.dtype)
    total, adjoints = 0, dict[str, np.ndarray]()
    for t in reversed(range(STEPS)):
        decay, h, y = (values[f"{name}{t}"] for name in ("decay", "h", "y"))
        before = values[f"h{t - 1}"] if t else np.zeros_like(h)
        total = total + np.sum(y * y)

        dy = y / X.size
        dh = dnext + dy[:, :, None] * C[:, t, None, :]
        ddecay = dh * before
        dproduct = np.sum(dh * B[:, t, None, :], axis=2)
        dC[:, t] = np.sum(dy[:, :, None] * h, axis=1)
        dB[:, t] = np.sum(dh * (step[:, t] * X[:, t])[:, :, None], axis=1)
        dstep[:, t] = np.sum(ddecay * decay * A, axis=2) + dproduct * X[:, t]
        dX[:, t] = dproduct * step[:, t] + dy * D
        dA += np.sum(ddecay * decay * step[:, t, :, None], axis=0)
        dD += np.sum(dy * X[:, t], axis=0)
        dnext = dh * decay
        adjoints |= {f"decay{t}": ddecay, f"drive{t}": dh, f"h{t}": dh, f"y{t}": dy}
    draw = dstep * softplus(X @ W_step + b_step)[1]
    gradients = {
        "X": dX + draw @ W_step.T + dB @ W_B.T + dC @ W_C.T,
        "W_step": np.einsum("btc,btd->cd", X, draw),
        "b_step": np.sum(draw, axis=(0, 1)),
        "W_B": np.einsum("btc,bts->cs", X, dB),
        "W_C": np.einsum("btc,bts->cs", X, dC),
        "log_A": dA * A,
        "D": dD,
    }
    adjoints |= {"step": dstep, "B": dB, "C": dC, "A": dA}
    return total / (2 * X.size), gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "jax")
