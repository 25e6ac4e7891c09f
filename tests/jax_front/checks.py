"""Checks in a process with JAX, which prints their findings as JSON: `python -m tests.jax_front.checks`."""

from __future__ import annotations

import doctest
import functools
import json

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

import gradcheck.jax
from examples.rms_norm_jax import EPSILON, inverse_root, plain, right, rms_norm, rms_norm_without_mean
from gradcheck.errors import RequestError
from gradcheck.jax import check
from tests.jax_front import models


def with_rule(backward):
    """RMSNorm with another gradient by hand."""

    @jax.custom_vjp
    def fused(x, w):
        return x * inverse_root(x) * w

    fused.defvjp(lambda x, w: (fused(x, w), (x, w)), backward)
    return fused


def rounded(saved, g):
    dx, dw = right(saved, g)
    return dx, jnp.round(dw * 1e4) / 1e4


def narrow_cotangent(saved, g):
    return right(saved, g.astype("float32").astype("float64"))


def raising(saved, g):
    return g @ saved[0], saved[1]  # two shapes that do not fit


def one_entry(saved, g):
    dx, dw = right(saved, g)
    return dx.at[1, 2].add(1e-9), dw


@jax.custom_vjp
def squares(x):
    """A sum whose rule takes its cotangent for 1."""
    return jnp.square(x).sum()


squares.defvjp(lambda x: (squares(x), x), lambda x, _g: (2 * x,))


def cubes(rule):
    """x³ with a rule that JAX differentiates."""

    @jax.custom_vjp
    def cubed(x):
        return x**3

    cubed.defvjp(lambda x: (cubed(x), x), rule)
    return cubed


def wrong_in_float32(x, g):
    return ((2 if g.dtype == jnp.float32 else 3) * x**2 * g,)


def attended(a, mask):
    return jax.nn.softmax(a @ a.T + mask) @ a


def in_float64(args):
    with jax.enable_x64(False):
        return check(rms_norm, args, dtypes=["float64"])


def epsilon_outside(x, w):
    return x / (jnp.sqrt(jnp.square(x).mean(-1, keepdims=True)) + EPSILON) * w


@jax.custom_jvp
def cube(x):
    return x**3


@cube.defjvp
def _cube_rule(primals, tangents):
    return cube(primals[0]), 2 * primals[0] ** 2 * tangents[0]


@jax.custom_batching.custom_vmap
def tripled(x):
    return 3 * x


@tripled.def_vmap
def _doubled_in_batches(_, batched, x):
    return 2 * x, batched[0]


class Scaled:
    """A function with a method, as layers have."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, x):
        return jnp.tanh(x) * self.scale

    def loss(self, batch):
        return (self(batch["x"]) ** 2).mean() + batch["places"].sum()


def mlp(params, x):
    """Layers of `jax.nn` over a tree of parameters, as Flax has them."""
    hidden = jax.nn.gelu(x @ params["first"]["kernel"] + params["first"]["bias"])
    hidden = jax.nn.standardize(hidden, epsilon=0.1)
    return jax.nn.log_softmax(jax.nn.silu(hidden) @ params["second"]["kernel"])[:, 0].mean()


class Counting:
    calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * (1.0 if self.calls == 1 else float(self.calls))


def callback(x):
    return jax.pure_callback(lambda a: np.asarray(a) * 2, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


def loops(x, w, h):
    last, sums = lax.scan(lambda state, row: (jnp.tanh(row @ w + state), state.sum()), h, x)
    return lax.fori_loop(0, 3, lambda i, a: a * x[i % 2] + i, last) * sums[1]


def until(x):
    return lax.while_loop(lambda a: a.sum() < 100, lambda a: a * 2, x**2)


def cases():
    """Name -> what is checked."""
    random = np.random.default_rng(0)

    def drawn(*shape, dtype="float64"):
        return jnp.asarray(random.standard_normal(shape), dtype)

    norms = {dtype: (drawn(4, 5, dtype=dtype), drawn(5, dtype=dtype)) for dtype in gradcheck.jax.DTYPES}
    x = norms["float64"]
    params = {
        dtype: {
            "first": {"kernel": drawn(5, 4, dtype=dtype), "bias": drawn(4, dtype=dtype)},
            "second": {"kernel": drawn(4, 3, dtype=dtype)},
        }
        for dtype in ("float64", "float32")
    }
    scaled = Scaled(2.0)
    yield from ((f"right {dtype}", functools.partial(check, rms_norm, args)) for dtype, args in norms.items())
    for wrong in (rounded, narrow_cotangent, one_entry):
        yield wrong.__name__, functools.partial(check, with_rule(wrong), x, reference=plain)
    yield "ignored cotangent", lambda: check(squares, x[:1])
    yield "missing mean path", lambda: check(rms_norm_without_mean, x, reference=plain)
    yield "missing mean path float32", lambda: check(rms_norm_without_mean, norms["float32"])
    yield "missing mean path bfloat16", lambda: check(rms_norm_without_mean, norms["bfloat16"])
    yield "another function", lambda: check(epsilon_outside, x, reference=plain)
    for dtype, tree in params.items():
        yield f"layers {dtype}", functools.partial(check, mlp, (tree, norms[dtype][0]))
    yield "block", lambda: check(models.gpt_block, (models.parameters(drawn, 8), drawn(3, 8)))
    yield "loops", lambda: check(loops, (drawn(3, 2), drawn(2, 2), drawn(2)), forward=True)
    yield "compiled", lambda: check(jax.jit(mlp), (params["float64"], x[0]), argnums=0, forward=True)
    yield "second derivatives", lambda: check(rms_norm, x, order=2)
    yield "second derivatives in bfloat16", lambda: check(rms_norm, norms["bfloat16"], order=2)
    yield "second derivatives in float32", lambda: check(Scaled(2.0), {"x": norms["float32"][0]}, order=2)
    detached = {
        "detached input": lambda x, g: (3 * lax.stop_gradient(x) ** 2 * g,),
        "detached cotangent": lambda x, g: (3 * x**2 * lax.stop_gradient(g),),
    }
    for name, rule in detached.items():
        yield name, functools.partial(check, cubes(rule), x[0], order=2)
    yield "second derivatives in forward mode", lambda: check(jnp.tanh, x[:1], order=2, forward=True)
    mask = jnp.where(jnp.tri(4) > 0, drawn(4, 4), -jnp.inf)
    yield "mask of numbers", lambda: check(attended, (x[0], mask), argnums=0)
    yield "every dtype", lambda: check(rms_norm, x, dtypes="all")
    yield "float64 where JAX has none", lambda: in_float64(norms["float32"])
    yield "wrong in one dtype", lambda: check(cubes(wrong_in_float32), x[0], dtypes=[jnp.float64, jnp.float32])
    yield "mistake in a rule", lambda: check(with_rule(raising), x)
    yield "unknown dtype", lambda: check(jnp.tanh, x[:1], dtypes=["float8"])
    yield "closure", lambda: check(lambda a: mlp(params["float64"], a), x[:1])
    yield "method", lambda: check(scaled.loss, ({"x": x[0], "places": np.arange(3)},))
    yield "callable", lambda: check(scaled, x[0])
    yield "partial", lambda: check(functools.partial(jnp.var, ddof=1), x[:1])
    yield "outputs", lambda: check(models.several, {"x": x[0], "w": drawn(5, 2)})
    yield "batched", lambda: check(jax.vmap(jnp.linalg.inv), drawn(2, 3, 3))
    modes = {"forward": True, "check_batched": True}
    yield "modes", lambda: check(lambda a, b: {"y": jnp.tanh(a * b), "z": b.sum()}, (x[0], 2 * x[0]), **modes)
    yield "modes in bfloat16", lambda: check(lambda a: jnp.tanh(a) * a, norms["bfloat16"][:1], **modes)
    yield "wrong in batches", lambda: check(cubes(lambda x, g: (x**2 * tripled(g),)), x[0], check_batched=True)
    yield "no batches", lambda: check(cubes(lambda x, g: (3 * x**2 * np.asarray(g),)), x[0], check_batched=True)
    yield "second derivatives of a batch", lambda: check(jnp.tanh, x[:1], order=2, check_batched=True)
    yield "wrong rule in both modes", lambda: check(cube, x[:1], forward=True)
    yield "reference", lambda: check(jax.checkpoint(jnp.tanh), x[:1], reference=jnp.tanh)
    yield "varying", lambda: check(Counting(), x[:1])
    yield "docstring", lambda: doctest.testmod(gradcheck.jax) == (0, 4)
    yield "forward mode of custom_vjp", lambda: check(rms_norm, x, forward=True)
    yield "forward mode in float16", lambda: check(jnp.tanh, norms["float16"][:1], forward=True)
    yield "callback", lambda: check(callback, x[:1])
    yield "until", lambda: check(until, x[:1])
    yield "NumPy", lambda: check(lambda a: np.sin(a), x[:1])
    yield "name of an argument", lambda: check(jnp.tanh, x[:1], argnums="x")
    yield "branch", lambda: check(models.python_branch, x[:1])
    yield "integers", lambda: check(jnp.sum, np.arange(3))
    yield "two dtypes", lambda: check(jnp.multiply, (x[0], norms["float32"][0]))
    yield "other outputs", lambda: check(lambda a: a.sum(0), x[:1], reference=lambda a: a)
    yield "no such argument", lambda: check(jnp.tanh, x[:1], argnums=1)
    yield "gate", lambda: check(jnp.tanh, x[:1], gate="all")


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_disable_most_optimizations", True)  # compiling takes most of the time
    found = {}
    for name, run in cases():
        try:
            result = run()
        except RequestError as error:
            found[name] = {"refused": str(error)}
            continue
        if isinstance(result, bool):
            found[name] = {"holds": result}
            continue
        reports = result if isinstance(result, dict) else {"": result}
        first = next(iter(reports.values()))
        found[name] = {
            "verdict": "differ" if result.exit_code else "agree",
            "verdicts": {dtype: each.verdict for dtype, each in reports.items()},
            "finding": result.finding(),
            "checked": sorted(first.backends[0].errors),
            "rows": [each.name for each in first.backends],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
