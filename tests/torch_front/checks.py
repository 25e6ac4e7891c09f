"""Checks in a process with PyTorch, which prints their findings as JSON: `python -m tests.torch_front.checks`."""

from __future__ import annotations

import doctest
import functools
import inspect
import json
import re
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

import gradcheck.torch
from gradcheck.errors import RequestError
from gradcheck.torch import check
from tests.torch_front.functions import (
    EPS,
    Counting,
    Cube,
    DetachedCotangent,
    DetachedInput,
    FlatCotangent,
    FlatInput,
    Holder,
    IgnoredCotangent,
    MissingMeanPath,
    NarrowCotangent,
    NarrowGradient,
    NoBatches,
    NoGradient,
    Norm,
    OnceDifferentiable,
    OneEntry,
    OtherShape,
    Raising,
    RmsNorm,
    Rounded,
    Scaled,
    Tagged,
    TwoResults,
    WithoutCotangent,
    WrongInBatches,
    WrongInFloat32,
    WrongTangent,
    attended,
    branching,
    changing,
    group_norm,
    multiplied,
    rms_norm,
    running,
    twice,
)


def parameters_in_docs():
    """The names in the first column of the table in docs/torch.md."""
    lines = (
        Path("docs/torch.md")
        .read_text()
        .partition("## What torch.autograd.gradcheck has")[2]
        .partition("## ")[0]
        .splitlines()
    )
    cells = [line.split("|")[1] for line in lines if line.startswith("| `")]
    return {name for cell in cells for name in re.findall("`([a-z_]+)`", cell)}


def parameters_of_gradcheck():
    functions = (torch.autograd.gradcheck, torch.autograd.gradgradcheck)
    return {name for function in functions for name in inspect.signature(function).parameters}


def cases():
    """Name -> what is checked."""
    torch.manual_seed(0)

    def drawn(*shape, dtype=torch.float64):
        return torch.randn(*shape, dtype=dtype, requires_grad=True)

    norms = {dtype: (drawn(4, 5, dtype=dtype), drawn(5, dtype=dtype)) for dtype in (torch.float64, torch.float32)}
    half = {dtype: (drawn(4, 5, dtype=dtype), drawn(5, dtype=dtype)) for dtype in (torch.bfloat16, torch.float16)}
    x = norms[torch.float64]
    encoder = {
        dtype: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).to(dtype).eval()
        for dtype in (torch.float64, torch.float32)
    }
    tagged = Tagged().double()
    batch = {"x": drawn(4, 3), "places": torch.arange(3)}
    before = tagged.norm.running_mean.clone()
    weights, outside = nn.Parameter(torch.ones(5, dtype=torch.float64)), drawn(5)
    yield from ((f"right {dtype}", functools.partial(check, RmsNorm.apply, args)) for dtype, args in norms.items())
    yield from ((f"right {dtype}", functools.partial(check, RmsNorm.apply, args)) for dtype, args in half.items())
    for wrong in (MissingMeanPath, Rounded, NarrowCotangent, OneEntry):
        yield wrong.__name__, functools.partial(check, wrong.apply, x, reference=rms_norm)
    squares = {"reference": lambda x: x.square().sum()}
    yield "ignored cotangent", functools.partial(check, IgnoredCotangent.apply, x[:1], **squares)
    yield "wrong in float32", functools.partial(check, MissingMeanPath.apply, norms[torch.float32])
    for dtype, layer in encoder.items():
        yield f"encoder {dtype}", functools.partial(check, layer, torch.randn(2, 3, 8, dtype=dtype))
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), Norm(), nn.Linear(5, 2)).double()
    yield "wrong inside a model", lambda: check(model, x[:1])
    yield "second derivatives", lambda: check(RmsNorm.apply, x, order=2)
    yield "second derivatives in bfloat16", lambda: check(RmsNorm.apply, half[torch.bfloat16], order=2)
    yield "second derivatives of a model", lambda: check(tagged, (batch,), order=2)
    yield "second derivatives of a sum", lambda: check(torch.sum, x[:1], order=2)
    for wrong in (DetachedInput, DetachedCotangent, OnceDifferentiable):
        yield wrong.__name__, functools.partial(check, wrong.apply, x[0], order=2)
    heads = [drawn(1, 1, 2, 4) for _ in range(3)]
    yield "every dtype", lambda: check(RmsNorm.apply, x, dtypes="all")
    yield "a model in another dtype", lambda: check(tagged, (batch,), dtypes=[torch.bfloat16])
    yield "parameters stay", lambda: tagged.layer.weight.dtype == batch["x"].dtype == torch.float64
    yield "wrong in one dtype", lambda: check(WrongInFloat32.apply, x[:1], dtypes=["float64", "float32"])
    yield "two dtypes in one", lambda: check(torch.mul, (x[0], norms[torch.float32][0]), dtypes=["float32"])
    yield "unknown dtype", lambda: check(torch.tanh, x[:1], dtypes=["float8"])
    yield "no dtype", lambda: check(torch.tanh, x[:1], dtypes=[])
    yield "overflow", lambda: check(torch.tanh, x[0].detach().mul(1e5).requires_grad_(), dtypes=["float16"])
    for wrong in (NarrowGradient, OtherShape, NoGradient, FlatCotangent, TwoResults, WithoutCotangent):
        yield wrong.__name__, functools.partial(check, wrong.apply, x[:1])
    wide = drawn(5, 4).detach()
    cubes = {"reference": lambda x: x**3}
    yield "FlatInput", lambda: check(FlatInput.apply, (wide.mT.requires_grad_(),), **cubes)
    views = (wide.mT.requires_grad_(), wide[:1, :1].expand(4, 5).requires_grad_(), drawn(4, 10).detach()[:, ::2])
    yield "views", lambda: check(lambda a, b, c: Cube.apply(a) * b + c, (*views[:2], views[2].requires_grad_()))
    table = nn.Embedding(7, 3, sparse=True).double()
    yield "sparse gradient", lambda: check(table, torch.tensor([1, 1, 4]))
    yield "parameters of gradcheck", lambda: parameters_in_docs() == parameters_of_gradcheck()
    modes = {"forward": True, "check_batched": True}
    yield "modes", lambda: check(lambda a, b: {"y": torch.tanh(a * b), "z": b.sum()}, x, **modes)
    lstm = nn.LSTM(2, 2).double()
    yield "modes of a module", lambda: check(lambda a: lstm(a)[0], x[0].detach()[:1, None, :2], **modes)
    yield "modes in bfloat16", lambda: check(rms_norm, half[torch.bfloat16], **modes)
    yield "WrongTangent", lambda: check(WrongTangent.apply, x[:1], forward=True)
    yield "WrongInBatches", lambda: check(WrongInBatches.apply, x[:1], check_batched=True)
    yield "mistake in a shape", lambda: check(multiplied, x[:1])
    mask = torch.randn(4, 4, dtype=torch.float64).masked_fill(torch.ones(4, 4).triu(1) > 0, -torch.inf)
    yield "mask of numbers", lambda: check(attended, (x[0], mask), dtypes=["float64", "float32"])
    yield "NoBatches", lambda: check(NoBatches.apply, x[:1], check_batched=True)
    yield "no forward mode", lambda: check(Cube.apply, x[:1], forward=True)
    yield "forward mode in float16", lambda: check(torch.tanh, half[torch.float16][:1], forward=True)
    yield "forward mode of a batch", lambda: check(WrongTangent.apply, x[:1], **modes)
    yield "second derivatives in forward mode", lambda: check(torch.tanh, x[:1], order=2, forward=True)
    yield "fused attention", lambda: check(functional.scaled_dot_product_attention, heads, order=2)
    yield "lambda", lambda: check(lambda a, b: torch.tanh(a) @ b, x)
    yield "closure", lambda: check(lambda a: tagged.layer(a[:, :3]).sum(), x[:1])
    yield "method", lambda: check(tagged.loss, (batch,))
    yield "callable object", lambda: check(Holder(), x[:1])
    yield "method of an object", lambda: check(Holder().squared, x[:1])
    yield "buffers", lambda: bool(torch.equal(before, tagged.norm.running_mean))
    yield "outputs", lambda: check(tagged, {"batch": batch, "scale": 0.5})
    yield "partial", lambda: check(functools.partial(torch.addcmul, value=0.3), (*x, x[1]))
    yield "partial of a module", lambda: check(functools.partial(tagged, scale=0.5), (batch,))
    yield "empty memory", lambda: check(nn.CircularPad2d(1), x[0].detach()[None].requires_grad_())
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
    yield "permuted memory", lambda: check(lambda a: functional.hinge_embedding_loss(a, signs), x[:1])
    yield "compiled", lambda: check(torch.compile(rms_norm, backend="eager"), x)
    yield "running", lambda: check(running, (x[0], torch.zeros_like(x[1]).detach(), torch.ones_like(x[1]).detach()))
    yield "zeros", lambda: check(lambda a: a.sgn().sum() + a.sum(), x[:1])
    yield "custom operator", lambda: check(lambda a: twice(a).sum(), x[:1])
    yield "custom operator beside a reference", lambda: check(twice, x[:1], reference=lambda a: a * 2)
    yield "branch", lambda: check(branching, x[:1])
    yield "mask", lambda: check(lambda a: a[a > 0].sum(), x[:1])
    yield "any entry that is not a number", lambda: check(lambda a: a * ~torch.isnan(a).any(), x[:1])
    yield "splits at a tensor", lambda: check(torch.tensor_split, (x[0], torch.tensor([1, 3])))
    yield "dropout", lambda: check(nn.Dropout(0.5), x[:1])
    yield "detached result", lambda: check(lambda a: a.detach() ** 3, x[:1], **cubes)
    yield "inference mode", torch.inference_mode()(lambda: check(lambda a: a**3, x[:1]))
    yield "changed input", lambda: check(changing, x[:1], reference=lambda a: a * 6)
    yield "varying", lambda: check(Counting(), x[:1])
    yield "hardsigmoid float64", lambda: check(functional.hardsigmoid, x[:1])
    for dtype, (given, _) in norms.items():
        mean = functools.partial(check, lambda a: group_norm(a)[1], given)
        yield f"native_group_norm {str(dtype)[6:]}", mean
    yield "group norm and its statistics", lambda: check(group_norm, x[:1])
    yield "mean of a layer norm", lambda: check(lambda a: torch.native_layer_norm(a, (5,), None, None, EPS)[:2], x[:1])
    yield "docstring", lambda: doctest.testmod(gradcheck.torch) == (0, 4)
    yield "Function by itself", lambda: check(RmsNorm, x)
    yield "no function", lambda: check(3, x)
    yield "array of NumPy", lambda: check(torch.mul, (x[0], x[0].detach().numpy()))
    yield "mistake in a backward pass", lambda: check(Raising.apply, x[:1], reference=lambda x: x**3)
    yield "no gradient", lambda: check(rms_norm, (x[0].detach(), x[1].detach()))
    yield "two dtypes", lambda: check(torch.mul, (x[0], norms[torch.float32][0]))
    yield "tensor from outside", lambda: check(lambda a: a * outside, x[:1])
    yield "other outputs", lambda: check(lambda a: a.sum(0), x[:1], reference=lambda a: a)
    yield "parameter of the function alone", lambda: check(Scaled(weights), x[:1], reference=lambda a: a * 1.0)


def main() -> None:
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
        verdicts, first = {dtype: each.verdict for dtype, each in reports.items()}, next(iter(reports.values()))
        backend = first.backends[0]
        found[name] = {
            "name": backend.name,
            "verdict": "differ" if result.exit_code else "agree",
            "verdicts": verdicts,
            "finding": result.finding(),
            "checked": sorted(backend.errors),
            "notes": backend.notes,
            "rows": [each.name for each in first.backends],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
