"""A linear-chain conditional random field in log space: L = log Z − the score of the right tags.

C. Sutton and A. McCallum, An introduction to conditional random fields, 2012, section 4; the gradient by
forward-backward, as in python-crfsuite and in course code.
"""

import numpy as np


def inputs(k):
    return {"emissions": (k, k), "transitions": (k, k), "tags": (k, k)}


def sample(rng, k):
    return {"tags": np.eye(k)[rng.integers(k, size=(k,))]}


wrt = ("emissions", "transitions")


def loss(ops, emissions, transitions, tags):
    length, states = emissions.shape
    alpha = emissions[0]
    score = ops.sum(tags * emissions)
    for t in range(1, length):
        alpha = ops.watch(
            f"alpha{t}", ops.logsumexp(ops.reshape(alpha, (states, 1)) + transitions, axis=0) + emissions[t]
        )
        score = score + tags[t - 1] @ (transitions @ tags[t])
    return ops.logsumexp(alpha) - score


def log_sum_exp(x, axis):
    largest = x.max(axis=axis, keepdims=True)
    return np.squeeze(largest + np.log(np.exp(x - largest).sum(axis=axis, keepdims=True)), axis)


def published(emissions, transitions, tags):
    length = len(emissions)
    alphas, betas = np.zeros_like(emissions), np.zeros_like(emissions)
    alphas[0] = emissions[0]
    for t in range(1, length):
        alphas[t] = log_sum_exp(alphas[t - 1][:, None] + transitions, 0) + emissions[t]
    for t in reversed(range(length - 1)):
        betas[t] = log_sum_exp(transitions + emissions[t + 1] + betas[t + 1], 1)
    log_z = log_sum_exp(alphas[-1], 0)

    demissions = np.exp(alphas + betas - log_z) - tags
    dtransitions = np.zeros_like(transitions)
    score = (tags * emissions).sum()
    for t in range(1, length):
        pairs = alphas[t - 1][:, None] + transitions + emissions[t] + betas[t] - log_z
        dtransitions += np.exp(pairs) - np.outer(tags[t - 1], tags[t])
        score += tags[t - 1] @ transitions @ tags[t]
    values = {f"alpha{t}": alphas[t] for t in range(1, length)}
    return log_z - score, {"emissions": demissions, "transitions": dtransitions}, values


gradients = {"published": published}
MISTAKES = {
    "transitions transposed in β": ("log_sum_exp(transitions + emissions", "log_sum_exp(transitions.T + emissions"),
    "β without the emission": ("transitions + emissions[t + 1] + betas[t + 1], 1", "transitions + betas[t + 1], 1"),
}
