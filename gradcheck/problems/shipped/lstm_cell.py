"""One step of an LSTM: L = (‖h′‖² + ‖c′‖²)/2 of the state c′ = f·c + i·g and the output h′ = o·tanh(c′).

S. Hochreiter and J. Schmidhuber, Long short-term memory, Neural Computation 9, 1997, with the forget gate of
F. A. Gers, J. Schmidhuber and F. Cummins, Learning to forget, Neural Computation 12, 2000.
"""

import numpy as np


def inputs(k):
    return {"W": (4 * k, k), "U": (4 * k, k), "b": (4 * k,), "x": (k,), "h": (k,), "c": (k,)}


def loss(ops, W, U, b, x, h, c):
    k = c.shape[0]
    gates = ops.watch("gates", ops.matmul(W, x) + ops.matmul(U, h) + b)
    admit = ops.watch("admit", ops.sigmoid(gates[:k]))
    forget = ops.watch("forget", ops.sigmoid(gates[k : 2 * k]))
    candidate = ops.watch("candidate", ops.tanh(gates[2 * k : 3 * k]))
    emit = ops.watch("emit", ops.sigmoid(gates[3 * k :]))
    state = ops.watch("state", forget * c + admit * candidate)
    squashed = ops.watch("squashed", ops.tanh(state))
    output = ops.watch("output", emit * squashed)
    return (ops.sum(output * output) + ops.sum(state * state)) / 2


def sigmoid(y):
    """1/(1 + exp(−y)) without overflow."""
    decay = np.exp(-np.abs(y))
    return np.where(y >= 0, 1, decay) / (1 + decay)


def forward(W, U, b, x, h, c):
    gates = W @ x + U @ h + b
    parts = np.split(gates, 4)
    admit, forget, candidate, emit = sigmoid(parts[0]), sigmoid(parts[1]), np.tanh(parts[2]), sigmoid(parts[3])
    state = forget * c + admit * candidate
    squashed = np.tanh(state)
    output = emit * squashed
    return {
        "gates": gates,
        "admit": admit,
        "forget": forget,
        "candidate": candidate,
        "emit": emit,
        "state": state,
        "squashed": squashed,
        "output": output,
    }


def vectorised(W, U, b, x, h, c):
    values = forward(W, U, b, x, h, c)
    _, admit, forget, candidate, emit, state, squashed, output = values.values()

    doutput = output
    demit = doutput * squashed
    dsquashed = doutput * emit
    dstate = state + dsquashed * (1 - squashed * squashed)
    dadmit = dstate * candidate
    dforget = dstate * c
    dcandidate = dstate * admit
    dgates = np.concatenate(
        [
            dadmit * admit * (1 - admit),
            dforget * forget * (1 - forget),
            dcandidate * (1 - candidate * candidate),
            demit * emit * (1 - emit),
        ]
    )
    gradients = {
        "W": np.outer(dgates, x),
        "U": np.outer(dgates, h),
        "b": dgates,
        "x": W.T @ dgates,
        "h": U.T @ dgates,
        "c": dstate * forget,
    }
    adjoints = {
        "gates": dgates,
        "admit": dadmit,
        "forget": dforget,
        "candidate": dcandidate,
        "emit": demit,
        "state": dstate,
        "squashed": dsquashed,
        "output": doutput,
    }
    return (np.dot(output, output) + np.dot(state, state)) / 2, gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "mxnet")
