"""Checks in a process with PyTorch, which prints their findings as JSON: `python -m tests.torch_front.checks`."""

from __future__ import annotations

import doctest
import functools
import json

import torch
from torch import nn
from torch.nn import functional

import gradcheck.torch
from gradcheck.errors import RequestError
from gradcheck.torch import check

EPS = 1e-5


class RmsNorm(torch.autograd.Function):
    """x / √(mean x² + ε) · w, with its gradients by hand."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * w

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        r = torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS)
        h = g * w
        return h * r - x * r**3 * (h * x).mean(-1, keepdim=True), (g * x * r).sum(0)


class MissingMeanPath(RmsNorm):
    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        r = torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS)
        return g * w * r, (g * x * r).sum(0)


class Rounded(RmsNorm):
    @staticmethod
    def backward(ctx, g):
        dx, dw = RmsNorm.backward(ctx, g)
        return dx, (dw * 1e4).round() / 1e4


class NarrowCotangent(RmsNorm):
    @staticmethod
    def backward(ctx, g):
        return RmsNorm.backward(ctx, g.float().double())


class Cube(torch.autograd.Function):
    """x³, whose backward pass torch differentiates."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        return 3 * ctx.saved_tensors[0] ** 2 * g


class DetachedInput(Cube):
    """Its gradient is right, and not a function of x."""

    @staticmethod
    def backward(ctx, g):
        return 3 * ctx.saved_tensors[0].detach() ** 2 * g


class DetachedCotangent(Cube):
    """Its gradient is right, and not a function of the cotangent."""

    @staticmethod
    def backward(ctx, g):
        return 3 * ctx.saved_tensors[0] ** 2 * g.detach()


class OnceDifferentiable(Cube):
    backward = staticmethod(torch.autograd.function.once_differentiable(Cube.backward))


class WrongTangent(Cube):
    """Its gradient is right in reverse mode."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_forward(x)
        return Cube.forward(ctx, x)

    @staticmethod
    def jvp(ctx, tangent):
        return 2 * ctx.saved_tensors[0] ** 2 * tangent


class MixedBatch(torch.autograd.Function):
    """x, whose rule for a batch takes the first entry for all."""

    @staticmethod
    def forward(x):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return g

    @staticmethod
    def vmap(info, dims, x):
        return x[:1].expand_as(x).clone(), 0


class WrongInBatches(Cube):
    @staticmethod
    def backward(ctx, g):
        return 3 * ctx.saved_tensors[0] ** 2 * MixedBatch.apply(g)


class NoBatches(Cube):
    @staticmethod
    def backward(ctx, g):
        return 3 * ctx.saved_tensors[0] ** 2 * g if g.sum().item() else torch.zeros_like(g)


class WrongInFloat32(Cube):
    @staticmethod
    def backward(ctx, g):
        return (2 if g.dtype == torch.float32 else 3) * ctx.saved_tensors[0] ** 2 * g


class IgnoredCotangent(torch.autograd.Function):
    """A sum of squares that takes its cotangent for 1."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square().sum()

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0]


class OneEntry(RmsNorm):
    @staticmethod
    def backward(ctx, g):
        dx, dw = RmsNorm.backward(ctx, g)
        dx[1, 2] += 1e-9
        return dx, dw


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 5, dtype=torch.float64))

    def forward(self, x):
        return MissingMeanPath.apply(x, self.weight)


def rms_norm(x, w):
    return functional.rms_norm(x, (x.shape[-1],), w, EPS)


@torch.library.custom_op("gradcheck_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


twice.register_fake(torch.empty_like)
twice.register_autograd(lambda ctx, g: g * 2)


class Tagged(nn.Module):
    """A module with a method of its own, and a dictionary as result."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)

    def loss(self, batch):
        return self.norm(self.layer(batch["x"])).exp().sum()

    def forward(self, batch, scale=1.0):
        y = self.layer(batch["x"])
        return {"y": y * scale, "pair": (y.sum(), batch["places"] + 1)}


def group_norm(x):
    return torch.native_group_norm(x, None, None, 4, 5, 1, 1, EPS)


def running(x, mean, variance):
    """Batch norm, which changes the running statistics."""
    return functional.batch_norm(x, mean, variance, training=True)


def branching(x):
    return x * 2 if x.sum() > 0 else x


def changing(x):
    with torch.no_grad():
        x.mul_(2.0)
    return x * 3


class Counting(nn.Module):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return x * (1.0 if torch.compiler.is_exporting() else float(self.calls))


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
    yield "a model in two dtypes", lambda: check(tagged, (batch,), dtypes=[torch.float32, torch.bfloat16])
    yield "parameters stay", lambda: tagged.layer.weight.dtype == batch["x"].dtype == torch.float64
    yield "wrong in one dtype", lambda: check(WrongInFloat32.apply, x[:1], dtypes=["float64", "float32"])
    yield "two dtypes in one", lambda: check(torch.mul, (x[0], norms[torch.float32][0]), dtypes=["float32"])
    yield "unknown dtype", lambda: check(torch.tanh, x[:1], dtypes=["float8"])
    yield "no dtype", lambda: check(torch.tanh, x[:1], dtypes=[])
    yield "overflow", lambda: check(torch.tanh, x[0].detach().mul(1e5).requires_grad_(), dtypes=["float32", "float16"])
    modes = {"forward": True, "check_batched": True}
    yield "modes", lambda: check(lambda a, b: {"y": torch.tanh(a * b), "z": b.sum()}, x, **modes)
    lstm = nn.LSTM(2, 2).double()
    yield "modes of a module", lambda: check(lambda a: lstm(a)[0], x[0].detach()[:1, None, :2], **modes)
    yield "modes in bfloat16", lambda: check(rms_norm, half[torch.bfloat16], **modes)
    yield "WrongTangent", lambda: check(WrongTangent.apply, x[:1], forward=True)
    yield "WrongInBatches", lambda: check(WrongInBatches.apply, x[:1], check_batched=True)
    yield "NoBatches", lambda: check(NoBatches.apply, x[:1], check_batched=True)
    yield "no forward mode", lambda: check(Cube.apply, x[:1], forward=True)
    yield "forward mode in float16", lambda: check(torch.tanh, half[torch.float16][:1], forward=True)
    yield "forward mode of a batch", lambda: check(WrongTangent.apply, x[:1], **modes)
    yield "second derivatives in forward mode", lambda: check(torch.tanh, x[:1], order=2, forward=True)
    yield "fused attention", lambda: check(functional.scaled_dot_product_attention, heads, order=2)
    yield "lambda", lambda: check(lambda a, b: torch.tanh(a) @ b, x)
    yield "closure", lambda: check(lambda a: tagged.layer(a[:, :3]).sum(), x[:1])
    yield "method", lambda: check(tagged.loss, (batch,))
    yield "buffers", lambda: bool(torch.equal(before, tagged.norm.running_mean))
    yield "outputs", lambda: check(tagged, {"batch": batch, "scale": 0.5})
    yield "partial", lambda: check(functools.partial(torch.addcmul, value=0.3), (*x, x[1]))
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
    yield "changed input", lambda: check(changing, x[:1], reference=lambda a: a * 6)
    yield "varying", lambda: check(Counting(), x[:1])
    yield "hardsigmoid float64", lambda: check(functional.hardsigmoid, x[:1])
    for dtype, (given, _) in norms.items():
        mean = functools.partial(check, lambda a: group_norm(a)[1], given)
        yield f"native_group_norm {str(dtype)[6:]}", mean
    yield "group norm and its statistics", lambda: check(group_norm, x[:1])
    yield "mean of a layer norm", lambda: check(lambda a: torch.native_layer_norm(a, (5,), None, None, EPS)[:2], x[:1])
    yield "docstring", lambda: doctest.testmod(gradcheck.torch) == (0, 4)
    yield "no gradient", lambda: check(rms_norm, (x[0].detach(), x[1].detach()))
    yield "two dtypes", lambda: check(torch.mul, (x[0], norms[torch.float32][0]))
    yield "tensor from outside", lambda: check(lambda a: a * outside, x[:1])
    yield "other outputs", lambda: check(lambda a: a.sum(0), x[:1], reference=lambda a: a)
    yield "parameter of the function alone", lambda: check(Scaled(weights), x[:1], reference=lambda a: a * 1.0)


class Scaled(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, x):
        return x * self.weights


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
            "rows": [each.name for each in first.backends],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
