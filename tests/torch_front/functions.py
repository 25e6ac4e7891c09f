"""Functions in PyTorch, right and wrong, for `tests.torch_front.checks`."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

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


class Raising(Cube):
    """Its backward pass raises."""

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.saved_tensors[0]  # two shapes that do not fit


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


class NarrowGradient(Cube):
    """Its gradient has another dtype, which PyTorch casts."""

    @staticmethod
    def backward(ctx, g):
        return Cube.backward(ctx, g).float()


class OtherShape(Cube):
    @staticmethod
    def backward(ctx, g):
        return Cube.backward(ctx, g)[0, :3]


class NoGradient(Cube):
    @staticmethod
    def backward(ctx, g):
        return None


class FlatCotangent(Cube):
    """Its backward pass reads the memory of its cotangent as if it had no gaps."""

    @staticmethod
    def backward(ctx, g):
        return Cube.backward(ctx, torch.as_strided(g, g.shape, (g.shape[-1], 1)))


class FlatInput(Cube):
    """Its backward pass reads the memory of x as if it had no gaps."""

    @staticmethod
    def backward(ctx, g):
        x = ctx.saved_tensors[0]
        return 3 * torch.as_strided(x, x.shape, (x.shape[-1], 1)) ** 2 * g


class TwoResults(torch.autograd.Function):
    """2 x and 3 x, whose backward pass takes each cotangent for a tensor."""

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return 2 * x, 3 * x

    @staticmethod
    def backward(ctx, first, second):
        return 2 * first + 3 * second


class WithoutCotangent(TwoResults):
    """It takes a missing cotangent for ones."""

    @staticmethod
    def backward(ctx, first, second):
        return TwoResults.backward(ctx, *(torch.ones(4, 5) if each is None else each for each in (first, second)))


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


class Scaled(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, x):
        return x * self.weights


class Holder:
    """An object that is no module, has one, and can be called."""

    def __init__(self):
        self.layer = nn.Linear(5, 2, dtype=torch.float64)

    def __call__(self, x):
        return self.layer(x).exp()

    def squared(self, x):
        return self.layer(x).square()


def multiplied(x):
    """A product of matrices that do not fit."""
    return x @ x


def attended(q, mask):
    return functional.scaled_dot_product_attention(q, q, q, attn_mask=mask)
