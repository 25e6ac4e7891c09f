"""A selective state-space scan: hₜ = exp(Δₜ A) hₜ₋₁ + Δₜ uₜ Bₜ, yₜ = hₜ Cₜ + D uₜ, L = Σ dout · y.

A. Gu and T. Dao, Mamba, 2023, algorithm 2; the backward pass as in its reference implementation, selective_scan_ref.
"""

import numpy as np

STATES = 3


def inputs(k):
    sequence = {"u": (k, k), "raw": (k, k), "B": (k, STATES), "C": (k, STATES), "dout": (k, k)}
    return {"A_log": (k, STATES), "D": (k,), **sequence}


wrt = ("A_log", "D", "u", "raw", "B", "C")


def loss(ops, A_log, D, u, raw, B, C, dout):
    A = -ops.exp(A_log)
    delta = ops.watch("delta", ops.softplus(raw))
    state, total = None, 0.0
    for t in range(u.shape[0]):
        enters = ops.outer(delta[t] * u[t], B[t])
        decay = ops.exp(ops.reshape(delta[t], (u.shape[1], 1)) * A)
        state = ops.watch(f"h{t}", enters if state is None else decay * state + enters)
        total = total + ops.sum(dout[t] * (state @ C[t] + D * u[t]))
    return total


def published(A_log, D, u, raw, B, C, dout):
    A = -np.exp(A_log)
    delta = np.maximum(raw, 0) + np.log1p(np.exp(-np.abs(raw)))
    states, state, value = [], np.zeros_like(A), 0
    for t in range(len(u)):
        state = np.exp(delta[t][:, None] * A) * state + (delta[t] * u[t])[:, None] * B[t]
        states.append(state)
        value += (dout[t] * (state @ C[t] + D * u[t])).sum()

    dA, dD, du, dB, dC = np.zeros_like(A), np.zeros_like(D), np.zeros_like(u), np.zeros_like(B), np.zeros_like(C)
    ddelta, dstate, adjoints = np.zeros_like(u), np.zeros_like(A), {}
    for t in reversed(range(len(u))):
        dstate = dstate + dout[t][:, None] * C[t]
        adjoints[f"h{t}"] = dstate
        dC[t] = dout[t] @ states[t]
        dD += dout[t] * u[t]
        du[t] = dout[t] * D + delta[t] * (dstate @ B[t])
        ddelta[t] = u[t] * (dstate @ B[t])
        dB[t] = (delta[t] * u[t]) @ dstate
        if t > 0:
            decay = np.exp(delta[t][:, None] * A)
            through = dstate * decay * states[t - 1]
            ddelta[t] += (through * A).sum(axis=1)
            dA += through * delta[t][:, None]
            dstate = dstate * decay
    draw = ddelta / (1 + np.exp(-raw))
    gradients = {"A_log": dA * A, "D": dD, "u": du, "raw": draw, "B": dB, "C": dC, "delta": ddelta}
    values = {f"h{t}": each for t, each in enumerate(states)} | {"delta": delta}
    return value, gradients | adjoints, values


gradients = {"published": published}
MISTAKES = {
    "the state of the same step": ("through = dstate * decay * states[t - 1]", "through = dstate * decay * states[t]"),
    "no path through the decay's Δ": ("            ddelta[t] += (through * A).sum(axis=1)\n", ""),
}
