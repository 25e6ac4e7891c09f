"""Linear-chain conditional random field: L = mean over sequences of log Z − s(labels), by the forward algorithm.

A path's score s is a start, the emissions and transitions on it, and an end. log Z is the log-sum-exp over all paths:
αₜ = log Σᵢ exp(αₜ₋₁,ᵢ + Aᵢⱼ) + eₜⱼ. Sequences have several lengths: `last` is the last step of each.

J. Lafferty, A. McCallum and F. Pereira, Conditional Random Fields, ICML 2001; C. Sutton and A. McCallum, An
Introduction to Conditional Random Fields, 2012, arXiv:1011.4088, section 4.1.
"""

import numpy as np

STEPS = 5


def inputs(k):
    batch, tags = k // 2 + 3, k // 4 + 2
    scores = {"emissions": (batch, STEPS, tags), "transitions": (tags, tags), "start": (tags,), "end": (tags,)}
    return scores | {"labels": (batch, STEPS), "last": (batch,)}


def sample(rng, k):
    batch, tags = k // 2 + 3, k // 4 + 2
    last = rng.integers(STEPS, size=batch)
    last[0] = STEPS - 1  # a batch is as long as its longest sequence
    return {"labels": rng.integers(tags, size=(batch, STEPS)), "last": last}


def loss(ops, emissions, transitions, start, end, labels, last):
    inside = last[:, None] >= np.arange(STEPS)
    alpha = ops.watch("alpha0", start + emissions[:, 0])
    for t in range(1, STEPS):
        moved = ops.logsumexp(alpha[:, :, None] + transitions, axis=1) + emissions[:, t]
        alpha = ops.watch(f"alpha{t}", ops.where(inside[:, t, None], moved, alpha))
    partition = ops.watch("partition", ops.logsumexp(alpha + end, axis=1))
    emitted = ops.take_along_axis(emissions, labels[:, :, None], axis=2)[:, :, 0]
    steps = transitions[labels[:, :-1], labels[:, 1:]]
    ends = ops.take(start, labels[:, 0]) + ops.take(end, ops.take_along_axis(labels, last[:, None], axis=1)[:, 0])
    path = ops.sum(ops.where(inside, emitted, 0), axis=1) + ops.sum(ops.where(inside[:, 1:], steps, 0), axis=1)
    score = ops.watch("score", ends + path)
    return ops.mean(partition - score)


def log_sum_exp(terms, axis):
    """Without overflow."""
    largest = np.max(terms, axis=axis, keepdims=True)
    return np.squeeze(largest + np.log(np.sum(np.exp(terms - largest), axis=axis, keepdims=True)), axis)


def path_scores(emissions, transitions, start, end, labels, last):
    """The scores of the labels."""
    inside = last[:, None] >= np.arange(STEPS)
    rows = np.arange(len(labels))
    emitted = np.take_along_axis(emissions, labels[:, :, None], axis=2)[:, :, 0]
    steps = transitions[labels[:, :-1], labels[:, 1:]]
    path = np.sum(emitted * inside, axis=1) + np.sum(steps * inside[:, 1:], axis=1)
    return start[labels[:, 0]] + end[labels[rows, last]] + path


def vectorised(emissions, transitions, start, end, labels, last):
    inside, rows = last[:, None] >= np.arange(STEPS), np.arange(len(labels))
    alphas, totals = [start + emissions[:, 0]], [start]
    for t in range(1, STEPS):
        totals.append(log_sum_exp(alphas[-1][:, :, None] + transitions, 1))
        alphas.append(np.where(inside[:, t, None], totals[-1] + emissions[:, t], alphas[-1]))
    partition = log_sum_exp(alphas[-1] + end, 1)
    score = path_scores(emissions, transitions, start, end, labels, last)

    dpartition = np.full_like(partition, 1 / len(labels))
    dscore = -dpartition
    dalpha = dpartition[:, None] * np.exp(alphas[-1] + end - partition[:, None])
    dend, dtransitions, demissions = np.sum(dalpha, axis=0), np.zeros_like(transitions), np.zeros_like(emissions)
    adjoints = {"partition": dpartition, "score": dscore, f"alpha{STEPS - 1}": dalpha}
    for t in reversed(range(1, STEPS)):
        dmoved = np.where(inside[:, t, None], dalpha, 0)
        demissions[:, t] = dmoved
        shares = np.exp(alphas[t - 1][:, :, None] + transitions - totals[t][:, None, :])
        dpairs = shares * dmoved[:, None, :]
        dtransitions += np.sum(dpairs, axis=0)
        dalpha = np.sum(dpairs, axis=2) + np.where(inside[:, t, None], 0, dalpha)
        adjoints[f"alpha{t - 1}"] = dalpha
    demissions[:, 0] = dalpha
    dstart = np.sum(dalpha, axis=0)

    dpath = dscore[:, None] * inside
    demissions[rows[:, None], np.arange(STEPS), labels] += dpath
    np.add.at(dtransitions, (labels[:, :-1], labels[:, 1:]), dpath[:, 1:])
    np.add.at(dstart, labels[:, 0], dscore)
    np.add.at(dend, labels[rows, last], dscore)
    gradients = {"emissions": demissions, "transitions": dtransitions, "start": dstart, "end": dend}
    values = {"partition": partition, "score": score} | {f"alpha{t}": alpha for t, alpha in enumerate(alphas)}
    return np.mean(partition - score), gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "jax")
