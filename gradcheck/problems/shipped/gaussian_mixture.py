"""Mixture of Gaussians: L = −mean over points x of log Σⱼ πⱼ N(x; μⱼ, σⱼ²), with π the softmax of logits.

C. M. Bishop, Pattern Recognition and Machine Learning, 2006, section 9.2, equation 9.14, and the responsibilities of
equation 9.13; circular Gaussians in the plane, log N(x; μ, σ²) = −‖x − μ‖²/(2σ²) − 2 log σ − log 2π.

Undecided where the gradient of the logits cancels to nothing but rounding errors: all components are the same (`zeros`,
`tiny`, `subnormal`), or one at a time is responsible (`saturated`, `mixed`). There σ⁻² may overflow float32 as well.
"""

import math

import numpy as np

LOG_TAU = math.log(2 * math.pi)


def inputs(k):
    return {"points": (2 * k, 2), "centres": (k + 1, 2), "log_deviations": (k + 1,), "logits": (k + 1,)}


wrt = ("centres", "log_deviations", "logits")


def loss(ops, points, centres, log_deviations, logits):
    offsets = ops.watch("offsets", ops.reshape(points, (points.shape[0], 1, 2)) - centres)
    distances = ops.watch("distances", ops.sum(offsets * offsets, axis=2))
    precisions = ops.watch("precisions", ops.exp(-2 * log_deviations))
    log_weights = ops.watch("log_weights", logits - ops.logsumexp(logits))
    exponents = ops.watch("exponents", distances * precisions / 2)
    joint = ops.watch("joint", log_weights - 2 * log_deviations - LOG_TAU - exponents)
    evidence = ops.watch("evidence", ops.logsumexp(joint, axis=1))
    return -ops.mean(evidence)


def log_sum_exp(terms):
    """Along the last axis, without overflow."""
    largest = np.max(terms, axis=-1, keepdims=True)
    return (largest + np.log(np.sum(np.exp(terms - largest), axis=-1, keepdims=True)))[..., 0]


def vectorised(points, centres, log_deviations, logits):
    offsets = points[:, None, :] - centres
    distances = np.sum(offsets * offsets, axis=2)
    precisions = np.exp(-2 * log_deviations)
    log_weights = logits - log_sum_exp(logits)
    exponents = distances * precisions / 2
    joint = log_weights - 2 * log_deviations - LOG_TAU - exponents
    evidence = log_sum_exp(joint)

    devidence = np.full_like(evidence, -1 / len(points))
    djoint = devidence[:, None] * np.exp(joint - evidence[:, None])
    dexponents = -djoint
    dlog_weights = np.sum(djoint, axis=0)
    dprecisions = np.sum(dexponents * distances, axis=0) / 2
    ddistances = dexponents * precisions / 2
    doffsets = 2 * ddistances[:, :, None] * offsets
    gradients = {
        "centres": -np.sum(doffsets, axis=0),
        "log_deviations": -2 * (np.sum(djoint, axis=0) + dprecisions * precisions),
        "logits": dlog_weights - np.exp(log_weights) * np.sum(dlog_weights),
    }
    adjoints = {
        "offsets": doffsets,
        "distances": ddistances,
        "precisions": dprecisions,
        "log_weights": dlog_weights,
        "exponents": dexponents,
        "joint": djoint,
        "evidence": devidence,
    }
    values = {
        "offsets": offsets,
        "distances": distances,
        "precisions": precisions,
        "log_weights": log_weights,
        "exponents": exponents,
        "joint": joint,
        "evidence": evidence,
    }
    return -np.mean(evidence), gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "mxnet")
