"""LSTM over time, a batch of sequences: L = ½ mean(‖hₜ − yₜ‖²) over sequences and steps, of hₜ = oₜ tanh(cₜ).

S. Hochreiter and J. Schmidhuber, Long short-term memory, Neural Computation 9, 1997, with the forget gate of
F. A. Gers, J. Schmidhuber and F. Cummins, Learning to forget, Neural Computation 12, 2000: cₜ = fₜcₜ₋₁ + iₜgₜ.
Backpropagation through time as in K. Greff et al., LSTM: A Search Space Odyssey, 2017, arXiv:1503.04069, section II.B.
"""

import numpy as np

STEPS = 4


def inputs(k):
    batch = k // 16 + 2
    sequences = {"X": (batch, STEPS, k + 1), "Y": (batch, STEPS, k)}
    return sequences | {"W": (k + 1, 4 * k), "U": (k, 4 * k), "b": (4 * k,), "h": (batch, k), "c": (batch, k)}


wrt = ("W", "U", "b", "h", "c")


def loss(ops, X, Y, W, U, b, h, c):
    k, total = h.shape[1], 0
    for t in range(STEPS):
        gates = ops.watch(f"gates{t}", X[:, t] @ W + h @ U + b)
        admit, forget = ops.sigmoid(gates[:, :k]), ops.sigmoid(gates[:, k : 2 * k])
        candidate, emit = ops.tanh(gates[:, 2 * k : 3 * k]), ops.sigmoid(gates[:, 3 * k :])
        c = ops.watch(f"state{t}", forget * c + admit * candidate)
        h = ops.watch(f"hidden{t}", emit * ops.tanh(c))
        total = total + ops.sum(ops.square(h - Y[:, t]))
    return total / (2 * h.shape[0] * STEPS)


def sigmoid(y):
    """1/(1 + exp(−y)) without overflow."""
    decay = np.exp(-np.abs(y))
    return np.where(y >= 0, 1, decay) / (1 + decay)


def forward(X, W, U, b, h, c):
    """The activations of every step, and the states and outputs, which begin with the given ones."""
    gates, activations, states, outputs = [], [], [c], [h]
    for t in range(STEPS):
        gates.append(X[:, t] @ W + outputs[-1] @ U + b)
        admit, forget, candidate, emit = np.split(gates[-1], 4, axis=1)
        activations.append((sigmoid(admit), sigmoid(forget), np.tanh(candidate), sigmoid(emit)))
        admit, forget, candidate, emit = activations[-1]
        states.append(forget * states[-1] + admit * candidate)
        outputs.append(emit * np.tanh(states[-1]))
    return gates, activations, states, outputs


def vectorised(X, Y, W, U, b, h, c):
    gates, activations, states, outputs = forward(X, W, U, b, h, c)
    count = len(X) * STEPS
    total, adjoints = 0, dict[str, np.ndarray]()
    dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)
    dh, dc = np.zeros_like(h), np.zeros_like(c)
    for t in reversed(range(STEPS)):
        admit, forget, candidate, emit = activations[t]
        squashed = np.tanh(states[t + 1])
        residual = outputs[t + 1] - Y[:, t]
        total = total + np.sum(residual * residual)

        dhidden = dh + residual / count
        dstate = dc + dhidden * emit * (1 - squashed * squashed)
        dgates = np.concatenate(
            [
                dstate * candidate * admit * (1 - admit),
                dstate * states[t] * forget * (1 - forget),
                dstate * admit * (1 - candidate * candidate),
                dhidden * squashed * emit * (1 - emit),
            ],
            axis=1,
        )
        dW += X[:, t].T @ dgates
        dU += outputs[t].T @ dgates
        db += np.sum(dgates, axis=0)
        dh, dc = dgates @ U.T, dstate * forget
        adjoints |= {f"gates{t}": dgates, f"state{t}": dstate, f"hidden{t}": dhidden}
    steps = {"gates": gates, "state": states[1:], "hidden": outputs[1:]}
    values = {f"{name}{t}": arrays[t] for name, arrays in steps.items() for t in range(STEPS)}
    return total / (2 * count), {"W": dW, "U": dU, "b": db, "h": dh, "c": dc} | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "jax")
