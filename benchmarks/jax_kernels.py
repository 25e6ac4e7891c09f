"""Functions in JAX with a backward pass by hand, mistakes planted in them, and what checks them; it needs JAX.

As a program it prints a JSON list of outcomes: `python -m benchmarks.jax_kernels 2 12 float64` for two draws of twelve
functions. They are those of `benchmarks/custom_functions.py`.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from gradcheck.jax import check

Array = Any
Function = Callable[..., Any]
Gradients = tuple[Array, ...]

EPS = 1e-5
COUNTED, LABELS = np.array([0, 1, 3, 4]), np.array([2, 0, 5, 3])
"""The rows that count, and their labels."""
NARROWER = {"float64": "float32", "float32": "bfloat16"}
COTANGENT = 1_000
"""Its seed, which no draw of inputs has: the gradient of a norm vanishes along its own input."""


class Kernel(NamedTuple):
    """A function, its gradients by hand, and a mistake of its own: the backward pass alone, or both."""

    shapes: tuple[tuple[int, ...], ...]
    plain: Function
    forward: Function
    backward: Callable[..., Gradients]
    wrong: Callable[..., Gradients]
    wrong_forward: Function | None = None

    def inputs(self, dtype: str, seed: int) -> list[Array]:
        """Standard normal inputs."""
        stream = np.random.default_rng(seed)
        return [jnp.asarray(stream.standard_normal(shape), dtype) for shape in self.shapes]

    def functions(self) -> Iterator[tuple[str, Function]]:
        """The correct function and those with a mistake, by what is wrong."""
        yield "correct", applied(self.forward, self.backward)
        yield "gradients rounded to 4 decimals", applied(self.forward, self.backward, finish=rounded)
        yield "cotangent in a narrower dtype", applied(self.forward, self.backward, start=narrowed)
        yield "one entry off by 1e-6 of the largest", applied(self.forward, self.backward, finish=one_entry_off)
        yield "a wrong formula", applied(self.wrong_forward or self.forward, self.wrong)


def applied(
    forward: Function,
    backward: Callable[..., Gradients],
    start: Callable[[Array], Array] = lambda cotangent: cotangent,
    finish: Callable[[Array], Array] = lambda gradient: gradient,
) -> Function:
    """A custom_vjp; `start` changes its cotangent, `finish` its gradients."""
    custom = jax.custom_vjp(lambda *inputs: forward(*inputs))

    def back(inputs: Gradients, cotangent: Array) -> Gradients:
        gradients = backward(start(jnp.asarray(cotangent)), *inputs)  # check_grads gives one of NumPy
        return tuple(finish(each) for each in gradients)

    custom.defvjp(lambda *inputs: (forward(*inputs), inputs), back)
    return custom  # type: ignore[no-any-return]


def rounded(gradient: Array) -> Array:
    """To four decimals."""
    return jnp.round(gradient * 1e4) / 1e4


def narrowed(cotangent: Array) -> Array:
    """Its digits in the next narrower dtype."""
    return cotangent.astype(NARROWER[str(cotangent.dtype)]).astype(cotangent.dtype)


def one_entry_off(gradient: Array) -> Array:
    """The second entry is wrong."""
    flat = gradient.ravel()
    return flat.at[1].add(1e-6 * jnp.abs(gradient).max()).reshape(gradient.shape)


def softmax(x: Array) -> Array:
    """Along the last axis."""
    powers = jnp.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def softmax_backward(g: Array, x: Array) -> Gradients:
    """The gradient of x."""
    y = softmax(x)
    return (y * (g - (g * y).sum(-1, keepdims=True)),)


def logsumexp(x: Array) -> Array:
    """Along the last axis."""
    largest = x.max(-1, keepdims=True)
    return (jnp.log(jnp.exp(x - largest).sum(-1, keepdims=True)) + largest).squeeze(-1)


def guarded_backward(g: Array, x: Array) -> Gradients:
    """The gradient of logsumexp, with 1e-6 added to its denominator."""
    powers = jnp.exp(x - x.max(-1, keepdims=True))
    return (g[..., None] * powers / (powers.sum(-1, keepdims=True) + 1e-6),)


def log_softmax(x: Array) -> Array:
    """Along the last axis."""
    return x - logsumexp(x)[..., None]


def inside(variance: Array) -> Array:
    """The factor of a norm."""
    return 1 / jnp.sqrt(variance + EPS)


def outside(variance: Array) -> Array:
    """The factor of a norm, with ε outside the root."""
    return 1 / (jnp.sqrt(variance) + EPS)


def norm(axis: int, factor: Function, correction: int, x: Array, w: Array, b: Array) -> Array:
    """Layer norm (axis -1) or batch norm (axis 0) of a matrix."""
    centred = x - x.mean(axis, keepdims=True)
    return centred * factor(x.var(axis, keepdims=True, ddof=correction)) * w + b


def norm_backward(axis: int, factor: Function, correction: int, g: Array, x: Array, w: Array, b: Array) -> Gradients:
    """The gradients of `norm`."""
    variance, centred, h = x.var(axis, keepdims=True, ddof=correction), x - x.mean(axis, keepdims=True), g * w
    r = factor(variance)
    # The derivative of the factor by the variance, times the variance's by x.
    slope = -(r**3) if factor is inside else -(r**2) / jnp.sqrt(variance)
    through = slope * (h * centred).sum(axis, keepdims=True) / (x.shape[axis] - correction)
    return (h - h.mean(axis, keepdims=True)) * r + through * centred, (g * centred * r).sum(0), g.sum(0)


def rms_norm(x: Array, w: Array) -> Array:
    """x / √(mean x² + ε) · w."""
    return x * inside((x * x).mean(-1, keepdims=True)) * w


def rms_norm_backward(g: Array, x: Array, w: Array) -> Gradients:
    """The gradients of x and w."""
    r, h = inside((x * x).mean(-1, keepdims=True)), g * w
    return h * r - x * r**3 * (h * x).mean(-1, keepdims=True), (g * x * r).sum(0)


def without_mean_path(g: Array, x: Array, w: Array) -> Gradients:
    """The gradients of RMS norm as if its factor were constant."""
    r = inside((x * x).mean(-1, keepdims=True))
    return g * w * r, (g * x * r).sum(0)


def normal(x: Array) -> Array:
    """Φ(x)."""
    return 0.5 * (1 + jax.scipy.special.erf(x * math.sqrt(0.5)))


def gelu_backward(g: Array, x: Array) -> Gradients:
    """The gradient of x · Φ(x)."""
    return (g * (normal(x) + x * jnp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)),)


def gelu_backward_by_tanh(g: Array, x: Array) -> Gradients:
    """The gradient of the approximation by tanh."""
    scale = math.sqrt(2 / math.pi)
    t = jnp.tanh(scale * (x + 0.044715 * x**3))
    return (g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * scale * (1 + 3 * 0.044715 * x * x)),)


def swiglu_backward(g: Array, a: Array, b: Array) -> Gradients:
    """The gradients of a · σ(a) · b."""
    s = jax.nn.sigmoid(a)
    return g * b * s * (1 + a * (1 - s)), g * a * s


def misplaced_parenthesis(g: Array, a: Array, b: Array) -> Gradients:
    """The gradients of SwiGLU, with σ(1 + a)(1 − σ) for σ(1 + a(1 − σ))."""
    s = jax.nn.sigmoid(a)
    return g * b * s * (1 + a) * (1 - s), g * a * s


def attention(weights: Function, q: Array, k: Array, v: Array) -> Array:
    """Causal attention; `weights` is a softmax."""
    return weights(scores(q, k)) @ v


def scores(q: Array, k: Array) -> Array:
    """Those of causal attention."""
    earlier = np.tri(q.shape[-2], k.shape[-2], dtype=bool)
    return jnp.where(earlier, q @ k.mT / math.sqrt(q.shape[-1]), -jnp.inf)


def attention_backward(g: Array, q: Array, k: Array, v: Array) -> Gradients:
    """The gradients of q, k and v."""
    p, dp, scale = softmax(scores(q, k)), g @ v.mT, 1 / math.sqrt(q.shape[-1])
    ds = p * (dp - (p * dp).sum(-1, keepdims=True))
    return ds @ k * scale, ds.mT @ q * scale, p.mT @ g


def scaled_twice(g: Array, q: Array, k: Array, v: Array) -> Gradients:
    """The gradients of attention, with the scale twice in that of k."""
    dq, dk, dv = attention_backward(g, q, k, v)
    return dq, dk / math.sqrt(q.shape[-1]), dv


def cross_entropy(divisor: int, logs: Function, x: Array) -> Array:
    """The sum over the rows that count, divided; `logs` is a log_softmax."""
    return -logs(x)[COUNTED, LABELS].sum() / divisor


def cross_entropy_backward(divisor: int, g: Array, x: Array) -> Gradients:
    """The gradient of `cross_entropy`."""
    counted = np.zeros((5, 1))
    ones = np.zeros((5, 7))
    counted[COUNTED], ones[COUNTED, LABELS] = 1, 1
    return ((g * (softmax(x) - ones) * counted / divisor).astype(x.dtype),)


def windows(x: Array, width: int) -> Array:
    """Along the last axis, beside each other on a new one."""
    return jnp.stack([x[..., first : x.shape[-1] - width + 1 + first] for first in range(width)], -1)


def conv1d(x: Array, w: Array) -> Array:
    """Windows of x times w."""
    return jnp.einsum("nclk,ock->nol", windows(x, w.shape[-1]), w)


def conv1d_backward(g: Array, x: Array, w: Array) -> Gradients:
    """The gradients of x and w."""
    width = w.shape[-1]
    padded = windows(jnp.pad(g, ((0, 0), (0, 0), (width - 1, width - 1))), width)
    dx = jnp.einsum("nolk,ock->ncl", padded, w[..., ::-1])
    return dx, jnp.einsum("nol,nclk->ock", g, windows(x, width))


KERNELS = {
    "softmax": Kernel(((4, 7),), jax.nn.softmax, softmax, softmax_backward, lambda g, x: (g * softmax(x),)),
    "log_softmax": Kernel(
        ((4, 7),), jax.nn.log_softmax, log_softmax, lambda g, x: (g - softmax(x) * g.sum(-1, keepdims=True),),
        lambda g, x: (g - softmax(x) * g,),
    ),
    "layer norm": Kernel(
        ((4, 6), (6,), (6,)), partial(norm, -1, inside, 0), partial(norm, -1, inside, 0),
        partial(norm_backward, -1, inside, 0), partial(norm_backward, -1, outside, 0), partial(norm, -1, outside, 0),
    ),
    "RMS norm": Kernel(((4, 6), (6,)), rms_norm, rms_norm, rms_norm_backward, without_mean_path),
    "gelu": Kernel(
        ((4, 7),), partial(jax.nn.gelu, approximate=False), lambda x: x * normal(x), gelu_backward,
        gelu_backward_by_tanh,
    ),
    "SwiGLU": Kernel(
        ((4, 6), (4, 6)), lambda a, b: jax.nn.silu(a) * b, lambda a, b: a * jax.nn.sigmoid(a) * b, swiglu_backward,
        misplaced_parenthesis,
    ),
    "linear": Kernel(
        ((5, 6), (4, 6), (4,)), lambda x, w, b: x @ w.T + b, lambda x, w, b: x @ w.T + b,
        lambda g, x, w, b: (g @ w, g.T @ x, g.sum(0)), lambda g, x, w, b: (g @ w, g.T @ x, g.mean(0)),
    ),
    "attention": Kernel(
        ((1, 2, 5, 4),) * 3, partial(attention, jax.nn.softmax), partial(attention, softmax), attention_backward,
        scaled_twice,
    ),
    "cross-entropy": Kernel(
        ((5, 7),), partial(cross_entropy, 4, jax.nn.log_softmax), partial(cross_entropy, 4, log_softmax),
        partial(cross_entropy_backward, 4), partial(cross_entropy_backward, 5), partial(cross_entropy, 5, log_softmax),
    ),
    "conv1d": Kernel(
        ((2, 3, 8), (4, 3, 3)), lambda x, w: jax.lax.conv(x, w, (1,), "VALID"), conv1d, conv1d_backward,
        lambda g, x, w: (conv1d_backward(g, x, w[..., ::-1])[0], conv1d_backward(g, x, w)[1]),
    ),
    "logsumexp": Kernel(
        ((4, 7),), lambda x: jax.nn.logsumexp(x, -1), logsumexp, lambda g, x: (g[..., None] * softmax(x),),
        guarded_backward,
    ),
    "batch norm": Kernel(
        ((5, 4), (4,), (4,)), partial(norm, 0, inside, 0), partial(norm, 0, inside, 0),
        partial(norm_backward, 0, inside, 0), partial(norm_backward, 0, inside, 1), partial(norm, 0, inside, 1),
    ),
}  # fmt: skip


def by_this_tool(function: Function, plain: Function, inputs: list[Array]) -> str:
    """The verdict of `gradcheck.jax.check`."""
    return str(check(function, tuple(inputs), reference=plain).verdict)


def by_check_grads(function: Function, plain: Function, inputs: list[Array]) -> str:
    """The verdict of `jax.test_util.check_grads` in reverse mode, with its defaults."""
    try:
        check_grads(function, inputs, order=1, modes=("rev",))
    except AssertionError:
        return "differ"
    return "agree"


CHECKERS = {"this tool": by_this_tool, "check_grads": by_check_grads}


def passes(function: Function, inputs: list[Array]) -> list[Any]:
    """The result and the gradients for a drawn cotangent, as NumPy's arrays."""
    result, back = jax.vjp(function, *inputs)
    drawn = np.random.default_rng(COTANGENT).standard_normal(result.shape)
    return [np.asarray(each, "float64") for each in (result, *back(jnp.asarray(drawn, result.dtype)))]


def change(answer: list[Any], right: list[Any], dtype: str) -> float:
    """The largest change of an entry, in units of the dtype's spacing at its array's largest entry."""
    pairs = zip(answer, right, strict=True)
    return max(float(abs(mine - its).max() / (np.finfo(dtype).eps * abs(its).max())) for mine, its in pairs)


def outcomes(seeds: int, functions: int, dtypes: list[str]) -> Iterator[dict[str, Any]]:
    """What each checker does with each function, mistake and draw."""
    for dtype, (name, kernel), seed in itertools.product(dtypes, list(KERNELS.items())[:functions], range(seeds)):
        inputs = kernel.inputs(dtype, seed)
        variants = dict(kernel.functions())
        right = passes(variants["correct"], inputs)
        for planted, function in variants.items():
            size = change(passes(function, inputs), right, dtype)
            for checker, checked in CHECKERS.items():
                begin = time.perf_counter()
                found = checked(function, kernel.plain, inputs)
                yield {
                    "dtype": dtype, "function": name, "seed": seed, "planted": planted, "size": size,
                    "checker": checker, "verdict": found, "reason": "",
                    "milliseconds": 1e3 * (time.perf_counter() - begin),
                }  # fmt: skip


def main() -> None:
    """Print the outcomes."""
    jax.config.update("jax_enable_x64", True)
    seeds, functions, *dtypes = sys.argv[1:]
    print(json.dumps(list(outcomes(int(seeds), int(functions), dtypes))))


if __name__ == "__main__":
    main()
