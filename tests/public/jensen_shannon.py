"""Generalised Jensen-Shannon divergence of log-probabilities: L = the mean of β KL(P‖M) + (1 − β) KL(Q‖M).

Liger-Kernel, ops/jsd.py; R. Agarwal et al., On-policy distillation of language models, 2024, equation 1.
"""

import numpy as np

BETA = 0.3


def inputs(k):
    return {"student": (k, k + 2), "teacher": (k, k + 2)}


def sample(rng, k):
    def log_softmax(z):
        return z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    return {name: log_softmax(2 * rng.uniform(-1, 1, (k, k + 2))) for name in ("student", "teacher")}


wrt = ("student",)


def loss(ops, student, teacher):
    q, p = ops.exp(student), ops.exp(teacher)
    log_m = ops.watch("log_m", ops.log(BETA * p + (1 - BETA) * q))
    terms = BETA * p * (teacher - log_m) + (1 - BETA) * q * (student - log_m)
    return ops.sum(terms) / student.shape[0]


def published(student, teacher):
    q, p = np.exp(student), np.exp(teacher)
    log_m = np.log(BETA * p + (1 - BETA) * q)
    terms = BETA * p * (teacher - log_m) + (1 - BETA) * q * (student - log_m)
    dstudent = (1 - BETA) * q * (student - log_m) / len(student)
    return terms.sum() / len(student), {"student": dstudent}, {"log_m": log_m}


gradients = {"published": published}
MISTAKES = {
    "β for 1 − β": ("dstudent = (1 - BETA) * q", "dstudent = BETA * q"),
    "gradient of the probabilities": ("dstudent = (1 - BETA) * q * (student", "dstudent = (1 - BETA) * (student"),
}
