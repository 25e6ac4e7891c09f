"""Functions of a problem's file in an engine's own arrays: implementations of the loss, and gradients by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcheck as api
from gradcheck.errors import RequestError
from tests.conftest import Command

NORM = """
import numpy as np

def inputs(k): return {"x": (4, k), "w": (k,)}

def loss(ops, x, w):
    r = ops.watch("r", ops.rsqrt(ops.mean(x * x, axis=-1, keepdims=True) + 1e-6))
    y = x * r * w
    return y

def made(backward):
    import torch

    class RMSNorm(torch.autograd.Function):
        @staticmethod
        def forward(context, x, w):
            r = torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)
            context.save_for_backward(x, w, r)
            return x * r * w

        @staticmethod
        def backward(context, g):
            return backward(g, *context.saved_tensors)

    return RMSNorm.apply

def right(g, x, w, r):
    gw = g * w
    return r * gw - x * r**3 * (gw * x).mean(-1, keepdim=True), (g * x * r).sum(0)

def fused(x, w): return made(right)(x, w)

def without_mean(x, w): return made(lambda g, x, w, r: (r * g * w, (g * x * r).sum(0)))(x, w)

def in_jax(ops, x, w):
    import jax.numpy as jnp

    r = ops.watch("r", 1 / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6))
    return x * r * w

def in_tensorflow(x, w):
    import tensorflow as tf

    return x * tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True) + 1e-6) * w

def kernel(x, w, cotangent):
    import torch

    r = torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)
    dx, dw = right(cotangent, x, w, r)
    return x * r * w, {"x": dx, "w": dw}, {"r": r}

def another_shape(x, w): return x

def other_arguments(x): return x

def a_number(x, w): return 1.0

def a_sum(x, w): return x.sum()

implementations = {
    **{each.__name__: ("torch", each) for each in (fused, without_mean, another_shape, other_arguments)},
    **{each.__name__: ("torch", each) for each in (a_number, a_sum)},
    "in_jax": ("jax", in_jax),
    "in_tensorflow": ("tensorflow", in_tensorflow),
}
gradients = {"kernel": ("torch", kernel)}
"""


@pytest.fixture
def norm(tmp_path: Path) -> str:
    path = tmp_path / "norm.py"
    path.write_text(NORM)
    return str(path)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_custom_function_and_a_kernel_are_judged(norm: str, dtype: str) -> None:
    report = api.check(norm, dtype=dtype, backends=["fused", "without_mean", "kernel"])
    assert [backend.verdict for backend in report.backends] == ["agrees", "differs", "agrees"]
    wrong = report.backends[1]
    assert wrong.first_wrong is not None
    assert (wrong.first_wrong.kind, wrong.first_wrong.name) == ("gradient", "x")
    assert "      loss at: norm.py:" in wrong.first_wrong.lines("first")[1]
    assert wrong.cause is not None
    assert wrong.cause.kind == "wrong formula"


def test_each_engine_differentiates_its_own_implementation(gradcheck: Command, norm: str) -> None:
    done = gradcheck("run", norm, "-b", "in_jax", "-b", "in_tensorflow", "-b", "jax", "--format", "json")
    assert done.returncode == 0, done.stdout
    found = {backend["spec"]: backend for backend in json.loads(done.stdout)["backends"]}
    assert found["in_jax"]["version"] == found["jax"]["version"]


def test_an_implementation_runs_in_a_release_of_its_engine(norm: str) -> None:
    (backend,) = api.check(norm, backends=["fused==2.13.0"]).backends
    assert (backend.verdict, str(backend.version).partition("+")[0]) == ("agrees", "2.13.0")


def test_an_implementation_is_differentiated_twice(norm: str) -> None:
    """What a custom function saves from inside of its forward pass is a constant of the second derivative."""
    report = api.check(norm, order=2, backends=["in_jax", "fused"])
    assert [backend.verdict for backend in report.backends] == ["agrees", "differs"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("another_shape", None),
        ("other_arguments", "takes (x): expected (x, w), perhaps with ops first"),
        ("a_sum", "returned an array of shape () as output: expected shape (4, 3), as the loss has it"),
        ("a_number", "returned 1.0 as output: expected shape (4, 3), as the loss has it"),
    ],
)
def test_a_malformed_implementation_is_explained(norm: str, name: str, expected: str | None) -> None:
    (backend,) = api.check(norm, backends=[name]).backends
    assert backend.verdict == ("differs" if expected is None else "crashed")
    assert expected is None or expected in str(backend.reason)


def test_a_function_takes_its_implementations_by_keyword() -> None:
    def loss(a):
        return np.sum(np.tanh(a))

    def in_torch(a):
        import torch

        return torch.sum(torch.tanh(a))

    report = api.check(loss, inputs={"a": (3,)}, implementations={"mine": ("torch", in_torch)})
    assert [backend.verdict for backend in report.backends] == ["agrees"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "implementations = {'fused': loss}",
            "expected a mapping of names to functions, such as {'fused': ('torch', fused)}",
        ),
        ("implementations = {'a': ('torch', loss)}\ngradients = {'a': loss}", "expected another name"),
        ("implementations = {'a': ('torhc', loss)}", "a: no engine 'torhc': did you mean 'torch'? expected one"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(f"def inputs(k): return {{'a': (k,)}}\ndef loss(ops, a): return ops.sum(a)\n{text}\n")
    with pytest.raises(RequestError) as refused:
        api.check(str(path))
    assert expected in str(refused.value)


def test_a_kernel_is_asked_in_no_other_engine(norm: str) -> None:
    with pytest.raises(RequestError, match="it computes in the arrays of torch: expected kernel, kernel==VERSION"):
        api.check(norm, backends=["kernel@jax"])


def test_the_page_has_an_example_that_runs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "problems.md").read_text()
    example: Any = (
        page.partition("## Code in an engine's own arrays")[2].partition("```python\n")[2].partition("```")[0]
    )
    path = tmp_path / "page.py"
    path.write_text(example)
    report = api.check(str(path), dtype="float32")
    assert {backend.spec: backend.verdict for backend in report.backends} == {"fused": "agrees", "kernel": "agrees"}
