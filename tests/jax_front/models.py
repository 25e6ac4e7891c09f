"""Functions in JAX whose dumps lie in tests/data/jax; a subprocess with JAX imports this file."""

from __future__ import annotations

import functools

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp


@jax.custom_vjp
def rms_norm(x, w):
    """The rule is wrong on purpose: the primal is the truth."""
    return x * lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-5) * w


rms_norm.defvjp(lambda x, w: (rms_norm(x, w), x), lambda x, g: (g, x[0]))


def layer_norm(x, p):
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt(jnp.var(x, -1, keepdims=True) + 1e-5) * p["scale"] + p["bias"]


def gpt_block(params, x, heads=2):
    """A GPT-2 block over a dictionary of parameters."""
    length, width = x.shape
    qkv = layer_norm(x, params["ln_1"]) @ params["qkv"]["kernel"] + params["qkv"]["bias"]
    q, k, v = (each.reshape(length, heads, -1).swapaxes(0, 1) for each in jnp.split(qkv, 3, -1))
    scores = q @ k.swapaxes(1, 2) / np.sqrt(width // heads)
    scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -1e9)
    mixed = (jax.nn.softmax(scores) @ v).swapaxes(0, 1).reshape(length, width)
    x = x + mixed @ params["proj"]["kernel"] + params["proj"]["bias"]
    hidden = jax.nn.gelu(layer_norm(x, params["ln_2"]) @ params["up"]["kernel"] + params["up"]["bias"])
    return x + hidden @ params["down"]["kernel"] + params["down"]["bias"]


def parameters(random, width):
    norm = {"scale": 1 + 0.1 * random(width), "bias": 0.1 * random(width)}

    def dense(rows, columns):
        return {"kernel": random(rows, columns) / np.sqrt(rows), "bias": 0.1 * random(columns)}

    return {
        "ln_1": norm,
        "qkv": dense(width, 3 * width),
        "proj": dense(width, width),
        "ln_2": {name: each + 0.1 for name, each in norm.items()},
        "up": dense(width, 4 * width),
        "down": dense(4 * width, width),
    }


def recurrent(x, w, h):
    """An LSTM-like scan, a loop with a known number of turns, and one whose counter is an integer."""

    def turn(state, row):
        gates = jnp.tanh(row @ w + state)
        state = state * jax.nn.sigmoid(gates) + gates
        return state, state.sum()

    last, sums = lax.scan(turn, h, x)
    _, backwards = lax.scan(turn, h, x, reverse=True)
    looped = lax.fori_loop(0, 3, lambda i, a: a * x[i % 2] + i, last)
    _, counted = lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] * 0.5 + last), (0, looped))
    chosen = lax.cond(x.shape[0] > 2, jnp.sin, jnp.cos, counted)
    return (chosen * sums.sum()).sum() + backwards[1]


def indices(x, places):
    """Entries at integers, sums there, and pieces."""
    picked = jnp.take_along_axis(x, places, 1)
    added = jnp.zeros((3, 4), x.dtype).at[jnp.arange(3)[:, None], places].add(picked)
    written = added.at[0, 1:3].set(x[1, :2]).at[2].add(0.5)
    rows = x[jnp.array([2, 0, -1])] + x[:, ::-1] + x[0] + lax.dynamic_slice(x, (1, 1), (1, 2)).sum()
    moved = lax.dynamic_update_slice(rows, jnp.square(x[:2, :2]), (1, 0))
    return (moved * written).sum() + jnp.pad(jnp.tile(x, (2, 1)), ((1, 0), (0, 2)), constant_values=0.5)[:4].sum()


def entries(x):
    """Functions of single entries."""
    a = jax.nn.sigmoid(x) + jax.nn.gelu(x, approximate=False) + jax.nn.softplus(x) + jax.nn.silu(x)
    b = jnp.arctan2(a, x) + jnp.remainder(x, 0.75) + jnp.where(x > 0, jnp.sqrt(x * x + 1), jnp.expm1(x))
    c = jnp.clip(b, -1, 1.5) + jnp.logaddexp(a, b) + 2.0**x + jax.nn.elu(x) + jax.nn.leaky_relu(x) + jnp.hypot(a, b)
    return jnp.std(c, 0).sum() + jax.nn.log_sigmoid(c).mean() + jnp.linalg.norm(c) + jax.nn.relu(x - 0.1).sum()


def reductions(x, labels):
    """Losses over axes."""
    picked = jnp.take_along_axis(jax.nn.log_softmax(x, 0), labels[None], 0).sum()
    total = jax.scipy.special.logsumexp(x, axis=(0, 1)) + jax.nn.logsumexp(x, 1, keepdims=True).sum()
    ordered = jnp.sort(x, 1)[:, 1].sum() + lax.top_k(x, 2)[0].sum() + x.max() * x.min(0).sum()
    one_hot = (jax.nn.one_hot(labels, 3) @ x).sum()
    series = jnp.cumsum(x, 1) * jnp.cumprod(x, 0) * x.prod()
    return picked + total + ordered + one_hot + series.sum() + jnp.einsum("ij,ik->", x, x[:, ::2])


def image(x, w, up):
    """Convolutions channels last, pooling, and a transposed convolution."""
    names = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(x, w, (2, 1), "SAME", rhs_dilation=(1, 2), dimension_numbers=names)
    y = lax.reduce_window(jax.nn.relu(y), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 1, 2, 1), "SAME")
    y = lax.conv_transpose(y, up, (2, 2), "SAME", dimension_numbers=names)
    return (lax.reduce_window(y, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "SAME") / 4).sum()


def algebra(a, b):
    """Linear algebra."""
    m = a @ a.T + jnp.eye(3)
    factor = jnp.linalg.cholesky(m)
    x = jax.scipy.linalg.solve_triangular(factor, b, lower=True)
    y = jax.scipy.linalg.solve_triangular(factor, b, lower=True, trans=1)
    return jnp.linalg.solve(a, b).sum() + jnp.linalg.inv(m).sum() + jnp.linalg.slogdet(a)[1] + (x * y).sum()


def several(x, w):
    """A tuple with a dictionary in it, through functions of the user's own that are compiled."""

    @jax.jit
    def silu(a):  # not JAX's
        return a * a

    @jax.checkpoint
    def mean(a):
        return a.mean(0)

    return silu(x) @ w, {"mean": mean(x), "places": x.argmax(0)}


def dropout(x):
    """Random numbers of a constant key are constants."""
    return jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, x.shape), x / 0.5, 0.0).sum()


def lookalikes(x):
    """Functions that are nearly those with a word."""

    def shares(top, bottom):
        e = jnp.exp(x - lax.stop_gradient(jnp.expand_dims(x.max(1), top)))
        return e / jnp.expand_dims(e.sum(1), bottom)

    shifted = jnp.exp(x - lax.stop_gradient(x.max(1, keepdims=True)))
    logarithms = jnp.log(shifted.sum(1)) + lax.stop_gradient(x.max(0))
    gelu = x * (0.5 * (1.0 + jnp.tanh(np.sqrt(2 / np.pi) * (x + 0.04472 * x**3))))
    variance = jax.vmap(jnp.var, in_axes=1, out_axes=0)(x) * x[0]
    return sum(each.sum() for each in (shares(0, 0), shares(1, 0), shares(0, 1), logarithms, gelu, variance))


def last_axis(x):
    """Matrices along the first two axes."""
    batches = jnp.stack([x, x.T, x @ x], 2) + 3 * jnp.eye(3)[:, :, None]
    return jax.vmap(jnp.linalg.inv, in_axes=2)(batches).sum()


def noisy(x):
    return (x + jax.random.normal(jax.random.key(0), x.shape)).sum()


def products(x):
    return lax.cumlogsumexp(x, 0).sum()


def ordering(x, w):
    """Rows that take their largest products, and entries in the order of others."""
    scores = x @ w
    values, places = lax.top_k(scores, 2)
    keys, moved, order = lax.sort((scores, x, lax.broadcasted_iota(int, (3, 4), 1)), dimension=1, num_keys=1)
    largest = scores.argmax(1) * x[:, 0] + scores.argmin(0)[:3] * x[:, 1] + values.sum(1) * places[:, 0]
    return largest.sum() + (jnp.argsort(x, 0) * x).sum() + (keys * moved * order).sum()


def narrowed(x):
    return x.astype("float16").sum()


def until(x):
    return lax.while_loop(lambda a: a.sum() < 10, lambda a: a * 2, x)


def branching(x):
    return lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x)


def python_branch(x):
    return x if x.sum() > 0 else -x


def cases():
    """Name -> a function, and its arguments."""
    random = functools.partial(np.random.default_rng(0).standard_normal)

    def drawn(*shape):
        return random(shape)

    x, square = drawn(3, 4), drawn(3, 3)
    refused = (noisy, products, narrowed, until, branching, python_branch)
    return {
        "gpt_block": (gpt_block, (parameters(drawn, 8), drawn(3, 8))),
        "rms_norm": (rms_norm, (x, drawn(4))),
        "recurrent": (recurrent, (drawn(3, 2), drawn(2, 2), drawn(2))),
        "indices": (indices, (x, np.array([[0, 0, 3], [1, 2, 1], [3, 3, 3]]))),
        "entries": (entries, (drawn(4, 3),)),
        "ordering": (ordering, (x, drawn(4, 4))),
        "reductions": (reductions, (x, np.array([0, 2, 1, 1]))),
        "image": (image, (drawn(1, 5, 6, 2), drawn(3, 3, 2, 3), drawn(2, 2, 3, 2))),
        "algebra": (algebra, (square, drawn(3, 2))),
        "several": (several, (x, drawn(4, 2))),
        "lookalikes": (lookalikes, (square,)),
        "last_axis": (last_axis, (square,)),
        "dropout": (dropout, (x,)),
        **{each.__name__: (each, (x,)) for each in refused},
    }
