"""Causal attention with one head as llm.c computes it: L = Σ dout · softmax(q kᵀ/√d, causal) v.

A. Karpathy, llm.c, train_gpt2.c, attention_forward and attention_backward.
"""

import math

import numpy as np

FAR_BELOW = -1e30


def inputs(k):
    return {"query": (k, k + 1), "key": (k, k + 1), "value": (k, k + 1), "causal": (k, k), "dout": (k, k + 1)}


def sample(rng, k):
    return {"causal": np.tril(np.ones((k, k)))}


wrt = ("query", "key", "value")


def loss(ops, query, key, value, causal, dout):
    preatt = ops.watch("preatt", query @ key.T * (1 / math.sqrt(query.shape[1])))
    att = ops.watch("att", ops.softmax(ops.where(causal > 0.5, preatt, FAR_BELOW), axis=1))
    out = ops.watch("out", att @ value)
    return ops.sum(dout * out)


def published(query, key, value, causal, dout):
    scale = 1 / math.sqrt(query.shape[1])
    preatt = query @ key.T * scale
    att, out = np.zeros_like(preatt), np.zeros_like(value)
    for t in range(len(query)):
        exps = np.exp(preatt[t, : t + 1] - preatt[t, : t + 1].max())
        att[t, : t + 1] = exps / exps.sum()
        out[t] = att[t, : t + 1] @ value[: t + 1]

    dquery, dkey, dvalue = np.zeros_like(query), np.zeros_like(key), np.zeros_like(value)
    datt, dpreatt = np.zeros_like(att), np.zeros_like(att)
    for t in range(len(query)):
        for t2 in range(t + 1):
            datt[t, t2] += value[t2] @ dout[t]
            dvalue[t2] += att[t, t2] * dout[t]
        for t2 in range(t + 1):
            for t3 in range(t + 1):
                local = att[t, t2] * ((1 if t2 == t3 else 0) - att[t, t3])
                dpreatt[t, t3] += local * datt[t, t2]
        for t2 in range(t + 1):
            dquery[t] += key[t2] * dpreatt[t, t2] * scale
            dkey[t2] += query[t] * dpreatt[t, t2] * scale
    return (
        (dout * out).sum(),
        {"query": dquery, "key": dkey, "value": dvalue, "preatt": dpreatt, "out": dout},
        {"out": out},
    )


gradients = {"published": published}
MISTAKES = {
    "no scale in dkey": ("dkey[t2] += query[t] * dpreatt[t, t2] * scale", "dkey[t2] += query[t] * dpreatt[t, t2]"),
    "softmax without its sum": ("(1 if t2 == t3 else 0) - att[t, t3]", "(1 if t2 == t3 else 0)"),
}
