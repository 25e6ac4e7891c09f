"""A transformer's block as in Llama: L = ½ mean((z − T)²) of z = y + SwiGLU(norm(y)), y = X + attention(norm(X)).

The norm is RMSNorm, x/√(mean(x²) + ε)·g. Every head's queries and keys are rotated by angles in proportion to their
position, two entries at a time, and attend to themselves and to earlier positions. SwiGLU(n) = (silu(nG) ⊙ nU) D.

B. Zhang and R. Sennrich, Root Mean Square Layer Normalization, 2019, arXiv:1910.07467, equation 4; J. Su et al.,
RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021, arXiv:2104.09864, equation 34, with halves for
pairs, as in H. Touvron et al.'s code; N. Shazeer, GLU Variants Improve Transformer, 2020, arXiv:2002.05202, equation 6.
"""

import math

import numpy as np

HEADS, EPSILON = 2, 1e-5


def inputs(k):
    batch, time, width, wide = 2, k // 8 + 3, 4 * math.ceil(k / 4), k + 2
    block = {"X": (batch, time, width), "T": (batch, time, width)}
    attention = {"g_attention": (width,), "W_qkv": (width, 3 * width), "W_out": (width, width)}
    return block | attention | {"g_mlp": (width,), "G": (width, wide), "U": (width, wide), "D": (wide, width)}


wrt = ("X", "g_attention", "W_qkv", "W_out", "g_mlp", "G", "U", "D")


def angles(time, size):
    """The cosines and sines of each position and pair."""
    turns = np.outer(np.arange(time), 10000.0 ** (-2 * np.arange(size // 2) / size))
    return np.cos(turns), np.sin(turns)


def loss(ops, X, T, g_attention, W_qkv, W_out, g_mlp, G, U, D):
    batch, time, width = X.shape
    size = width // HEADS
    cosines, sines = angles(time, size)

    def rms_norm(x, g):
        return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + EPSILON) * g

    def heads(x):
        return ops.permute_dims(ops.reshape(x, (batch, time, HEADS, size)), (0, 2, 1, 3))

    def rotate(x):
        a, b = x[..., : size // 2], x[..., size // 2 :]
        return ops.concat([a * cosines - b * sines, a * sines + b * cosines], axis=-1)

    normal = ops.watch("normal", rms_norm(X, g_attention))
    qkv = ops.watch("qkv", normal @ W_qkv)
    q = ops.watch("q", rotate(heads(qkv[..., :width])))
    k = ops.watch("k", rotate(heads(qkv[..., width : 2 * width])))
    v = heads(qkv[..., 2 * width :])
    scores = ops.where(np.tri(time, dtype=bool), q @ ops.matrix_transpose(k) / math.sqrt(size), -np.inf)
    shares = ops.watch("shares", ops.softmax(scores, axis=-1))
    attended = ops.watch("attended", ops.reshape(ops.permute_dims(shares @ v, (0, 2, 1, 3)), (batch, time, width)))
    y = ops.watch("y", X + attended @ W_out)
    n = ops.watch("n", rms_norm(y, g_mlp))
    gate = ops.watch("gate", n @ G)
    up = ops.watch("up", n @ U)
    hidden = ops.watch("hidden", ops.silu(gate) * up)
    z = ops.watch("z", y + hidden @ D)
    return ops.mean(ops.square(z - T)) / 2


def sigmoid(y):
    """1/(1 + exp(−y)) without overflow."""
    decay = np.exp(-np.abs(y))
    return np.where(y >= 0, 1, decay) / (1 + decay)


def rms_norm(x, g):
    """The norm, and its pullback: from an adjoint to those of x and g."""
    inverse = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + x.dtype.type(EPSILON))
    normal = x * inverse

    def pullback(dy):
        dnormal = dy * g
        dx = inverse * (dnormal - normal * np.mean(dnormal * normal, axis=-1, keepdims=True))
        return dx, np.sum(dy * normal, axis=(0, 1))

    return normal * g, pullback


def split(x):
    """Width into heads: (batch, time, width) → (batch, heads, time, size)."""
    batch, time, width = x.shape
    return x.reshape(batch, time, HEADS, width // HEADS).transpose(0, 2, 1, 3)


def join(x):
    """Heads into width, the inverse of `split`."""
    batch, _, time, _ = x.shape
    return x.transpose(0, 2, 1, 3).reshape(batch, time, -1)


def rotate(x, sign=1):
    """Rotated by each position's angles, or backwards."""
    cosines, sines = (each.astype(x.dtype) for each in angles(*x.shape[-2:]))
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cosines - sign * b * sines, sign * a * sines + b * cosines], axis=-1)


def softmax(scores):
    exponentials = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return exponentials / np.sum(exponentials, axis=-1, keepdims=True)


def product(x, dy):
    """The gradient of W in x W, over batch and time."""
    return np.einsum("btc,btd->cd", x, dy)


def forward(X, g_attention, W_qkv, W_out, g_mlp, G, U, D):
    """The values, and the pullbacks of both norms."""
    normal, from_normal = rms_norm(X, g_attention)
    qkv = normal @ W_qkv
    q, k, v = (split(each) for each in np.split(qkv, 3, axis=-1))
    q, k = rotate(q), rotate(k)
    scores = (q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])).astype(X.dtype)
    shares = softmax(np.where(np.tri(X.shape[1], dtype=bool), scores, X.dtype.type(-np.inf)))
    attended = join(shares @ v)
    y = X + attended @ W_out
    n, from_n = rms_norm(y, g_mlp)
    gate, up = n @ G, n @ U
    hidden = gate * sigmoid(gate) * up
    values = {"normal": normal, "qkv": qkv, "q": q, "k": k, "shares": shares, "attended": attended}
    values |= {"y": y, "n": n, "gate": gate, "up": up, "hidden": hidden, "z": y + hidden @ D}
    return values, from_normal, from_n


def attention_backward(values, dattended):
    """The adjoints of the shares, the rotated queries and keys, and the projections."""
    q, k, shares = values["q"], values["k"], values["shares"]
    v = split(np.split(values["qkv"], 3, axis=-1)[2])
    dheads = split(dattended)
    dshares = dheads @ v.swapaxes(-1, -2)
    dscores = shares * (dshares - np.sum(dshares * shares, axis=-1, keepdims=True)) / math.sqrt(q.shape[-1])
    dq, dk, dv = dscores @ k, dscores.swapaxes(-1, -2) @ q, shares.swapaxes(-1, -2) @ dheads
    dqkv = np.concatenate([join(rotate(dq, -1)), join(rotate(dk, -1)), join(dv)], axis=-1)
    return {"shares": dshares, "q": dq, "k": dk, "qkv": dqkv}


def vectorised(X, T, g_attention, W_qkv, W_out, g_mlp, G, U, D):
    values, from_normal, from_n = forward(X, g_attention, W_qkv, W_out, g_mlp, G, U, D)
    gate, up, z = values["gate"], values["up"], values["z"]

    dz = (z - T) / z.size
    dhidden = dz @ D.T
    s = sigmoid(gate)
    dup = dhidden * gate * s
    dgate = dhidden * up * s * (1 + gate * (1 - s))
    dn = dgate @ G.T + dup @ U.T
    through_mlp, dg_mlp = from_n(dn)
    dy = dz + through_mlp
    dattended = dy @ W_out.T
    attention = attention_backward(values, dattended)
    dnormal = attention["qkv"] @ W_qkv.T
    through_attention, dg_attention = from_normal(dnormal)
    gradients = {
        "X": dy + through_attention,
        "g_attention": dg_attention,
        "W_qkv": product(values["normal"], attention["qkv"]),
        "W_out": product(values["attended"], dy),
        "g_mlp": dg_mlp,
        "G": product(values["n"], dgate),
        "U": product(values["n"], dup),
        "D": product(values["hidden"], dz),
    }
    adjoints = {"normal": dnormal, "attended": dattended, "y": dy, "n": dn, "gate": dgate, "up": dup}
    adjoints |= attention | {"hidden": dhidden, "z": dz}
    return np.mean((z - T) ** 2) / 2, gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "jax")
