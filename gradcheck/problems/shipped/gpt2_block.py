"""A block of GPT-2 between a tied embedding and the cross-entropy of the next token.

A. Radford et al., Language Models are Unsupervised Multitask Learners, 2019: layer norm before causal attention with
several heads and before two dense layers, added to their input; gelu is the exact one of D. Hendrycks and K. Gimpel,
Gaussian Error Linear Units, arXiv:1606.08415.
"""

import math

import numpy as np

BATCH, HEADS, EPSILON = 4, 4, 1e-5


def inputs(k):
    width, words = HEADS * max(1, k // 2), 4 * k
    return {
        "tokens": (BATCH, k),
        "labels": (BATCH, k),
        "embedding": (words, width),
        "positions": (k, width),
        "gain1": (width,),
        "shift1": (width,),
        "W_attend": (width, 3 * width),
        "b_attend": (3 * width,),
        "W_mix": (width, width),
        "b_mix": (width,),
        "gain2": (width,),
        "shift2": (width,),
        "W_expand": (width, 4 * width),
        "b_expand": (4 * width,),
        "W_contract": (4 * width, width),
        "b_contract": (width,),
        "gain3": (width,),
        "shift3": (width,),
    }


def sample(rng, k):
    return {"tokens": rng.integers(4 * k, size=(BATCH, k)), "labels": rng.integers(4 * k, size=(BATCH, k))}


def loss(ops, tokens, labels, embedding, positions, **parameters):
    x = ops.watch("embedded", ops.take(embedding, tokens, axis=0) + positions)
    x = ops.watch("attended", x + attention(ops, normalised(ops, x, "1", parameters), parameters))
    x = ops.watch("processed", x + dense(ops, normalised(ops, x, "2", parameters), parameters))
    logits = ops.watch("logits", normalised(ops, x, "3", parameters) @ embedding.T)
    shares = ops.watch("shares", ops.log_softmax(logits, axis=-1))
    chosen = ops.take_along_axis(shares, ops.expand_dims(labels, axis=-1), axis=-1)
    return -ops.mean(chosen)


def normalised(ops, x, number, parameters):
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    scale = ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + EPSILON)
    return ops.watch(f"normal{number}", centred * scale * parameters[f"gain{number}"] + parameters[f"shift{number}"])


def attention(ops, x, parameters):
    batch, length, width = x.shape
    joint = ops.watch("joint", x @ parameters["W_attend"] + parameters["b_attend"])
    heads = ops.permute_dims(ops.reshape(joint, (batch, length, 3, HEADS, -1)), (2, 0, 3, 1, 4))
    queries, keys, values = heads[0], heads[1], heads[2]
    scores = ops.watch("scores", queries @ keys.mT / math.sqrt(width // HEADS))
    causal = np.tril(np.ones((length, length), bool))
    weights = ops.watch("weights", ops.softmax(ops.where(causal, scores, -math.inf), axis=-1))
    mixed = ops.reshape(ops.permute_dims(weights @ values, (0, 2, 1, 3)), x.shape)
    return ops.watch("mixed", mixed) @ parameters["W_mix"] + parameters["b_mix"]


def dense(ops, x, parameters):
    hidden = ops.watch("hidden", x @ parameters["W_expand"] + parameters["b_expand"])
    # This is gelu. TensorFlow's own function rounds √2 to float32, in float64 too.
    active = ops.watch("active", hidden * (1 + ops.erf(hidden / math.sqrt(2))) / 2)
    return active @ parameters["W_contract"] + parameters["b_contract"]


def forward(tokens, embedding, positions, **given):
    """The watched values, and what the derivatives of the three layer norms need."""
    embedded = embedding[tokens] + positions
    normal1, kept1 = normalise(embedded, given["gain1"], given["shift1"])
    joint = normal1 @ given["W_attend"] + given["b_attend"]
    queries, keys, values = split(joint, 3)
    future = np.triu(np.ones((len(positions), len(positions)), bool), 1)
    scores = queries @ np.swapaxes(keys, -1, -2) / math.sqrt(queries.shape[-1])
    weights = softmax(np.where(future, -np.inf, scores))
    mixed = merge_heads(weights @ values)
    attended = embedded + mixed @ given["W_mix"] + given["b_mix"]
    normal2, kept2 = normalise(attended, given["gain2"], given["shift2"])
    hidden = normal2 @ given["W_expand"] + given["b_expand"]
    active = hidden * normal_distribution(hidden)
    processed = attended + active @ given["W_contract"] + given["b_contract"]
    normal3, kept3 = normalise(processed, given["gain3"], given["shift3"])
    logits = normal3 @ embedding.T
    found = {
        "embedded": embedded, "normal1": normal1, "joint": joint, "scores": scores, "weights": weights,
        "mixed": mixed, "attended": attended, "normal2": normal2, "hidden": hidden, "active": active,
        "processed": processed, "normal3": normal3, "logits": logits, "shares": log_softmax(logits),
    }  # fmt: skip
    return found, (kept1, kept2, kept3)


def by_hand(tokens, labels, embedding, **given):
    """Each step backwards: d["x"] is the derivative by x."""
    values, (kept1, kept2, kept3) = forward(tokens, embedding, **given)
    rows, columns = np.arange(labels.size), labels.reshape(-1)
    shares = flat(values["shares"])

    d = {"shares": np.zeros_like(shares)}
    d["shares"][rows, columns] = -1 / labels.size
    d["shares"] = d["shares"].reshape(values["shares"].shape)
    d["logits"] = d["shares"] - np.exp(values["shares"]) * np.sum(d["shares"], axis=-1, keepdims=True)
    d["normal3"] = d["logits"] @ embedding
    d["processed"], d["gain3"], d["shift3"] = normalise_backward(d["normal3"], kept3, given["gain3"])
    through_dense = dense_backward(d, values, kept2, given)
    d["attended"] = d["processed"] + through_dense
    through_attention = attention_backward(d, values, kept1, given)
    d["embedded"] = d["attended"] + through_attention
    d["positions"] = np.sum(d["embedded"], axis=0)
    d["embedding"] = flat(d["logits"]).T @ flat(values["normal3"])
    np.add.at(d["embedding"], tokens, d["embedded"])
    return -np.mean(shares[rows, columns]), d, values


def dense_backward(d, values, kept, given):
    """From the output of the dense layers to their input, which has other uses too."""
    hidden = values["hidden"]
    d["W_contract"], d["b_contract"] = flat(values["active"]).T @ flat(d["processed"]), total(d["processed"])
    d["active"] = d["processed"] @ given["W_contract"].T
    density = np.exp(-hidden * hidden / 2) / math.sqrt(2 * math.pi)
    d["hidden"] = d["active"] * (normal_distribution(hidden) + hidden * density)
    d["W_expand"], d["b_expand"] = flat(values["normal2"]).T @ flat(d["hidden"]), total(d["hidden"])
    d["normal2"] = d["hidden"] @ given["W_expand"].T
    through, d["gain2"], d["shift2"] = normalise_backward(d["normal2"], kept, given["gain2"])
    return through


def attention_backward(d, values, kept, given):
    """From the output of the attention to its input, which has other uses too."""
    queries, keys, contents = split(values["joint"], 3)
    weights, root = values["weights"], math.sqrt(queries.shape[-1])
    d["W_mix"], d["b_mix"] = flat(values["mixed"]).T @ flat(d["attended"]), total(d["attended"])
    d["mixed"] = d["attended"] @ given["W_mix"].T
    dheads = split(d["mixed"], 1)[0]
    d["weights"] = dheads @ np.swapaxes(contents, -1, -2)
    dcontents = np.swapaxes(weights, -1, -2) @ dheads
    d["scores"] = weights * (d["weights"] - np.sum(d["weights"] * weights, axis=-1, keepdims=True))
    dqueries = d["scores"] @ keys / root
    dkeys = np.swapaxes(d["scores"], -1, -2) @ queries / root
    d["joint"] = np.concatenate([merge_heads(each) for each in (dqueries, dkeys, dcontents)], axis=-1)
    d["W_attend"], d["b_attend"] = flat(values["normal1"]).T @ flat(d["joint"]), total(d["joint"])
    d["normal1"] = d["joint"] @ given["W_attend"].T
    through, d["gain1"], d["shift1"] = normalise_backward(d["normal1"], kept, given["gain1"])
    return through


def normalise(x, gain, shift):
    """Layer norm along the last axis; also what its derivative needs."""
    centred = x - np.mean(x, axis=-1, keepdims=True)
    scale = 1 / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + EPSILON)
    return centred * scale * gain + shift, (centred * scale, scale)


def normalise_backward(doutput, kept, gain):
    """The derivatives by the input, the gain and the shift."""
    normal, scale = kept
    dnormal = doutput * gain
    along = np.mean(dnormal * normal, axis=-1, keepdims=True)
    dx = scale * (dnormal - np.mean(dnormal, axis=-1, keepdims=True) - normal * along)
    return dx, total(doutput * normal), total(doutput)


def split(x, count):
    """(batch, length, count · width) -> (count, batch, heads, length, width of a head)."""
    batch, length, width = x.shape
    return x.reshape(batch, length, count, HEADS, width // (count * HEADS)).transpose(2, 0, 3, 1, 4)


def merge_heads(x):
    """(batch, heads, length, width of a head) -> (batch, length, width)."""
    batch, _, length, _ = x.shape
    return x.transpose(0, 2, 1, 3).reshape(batch, length, -1)


def softmax(x):
    """Along the last axis."""
    exponentials = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return exponentials / np.sum(exponentials, axis=-1, keepdims=True)


def log_softmax(x):
    """Along the last axis."""
    centred = x - np.max(x, axis=-1, keepdims=True)
    return centred - np.log(np.sum(np.exp(centred), axis=-1, keepdims=True))


def normal_distribution(x):
    """Φ(x), the cumulative distribution function of a standard normal variable."""
    return (np.vectorize(math.erfc)(-x / math.sqrt(2)) / 2).astype(x.dtype)


def flat(x):
    """All but the last axis as one."""
    return x.reshape(-1, x.shape[-1])


def total(x):
    """The sum over all axes but the last."""
    return np.sum(flat(x), axis=0)


gradients = {"numpy": by_hand}
backends = ("numpy", "torch", "jax")
