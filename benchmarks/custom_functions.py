"""Functions with a backward pass by hand, as kernels have one, and mistakes to plant in them; it needs PyTorch.

Each computes as a kernel does: in float32 or wider, with the result rounded to the dtype of its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional

Tensor = Any
Gradients = tuple[Tensor, ...]

EPS = 1e-5
LABELS = torch.tensor([2, 0, -100, 5, 3])
"""The row of the label -100 does not count, as in `torch.nn.functional.cross_entropy`."""
NARROWER = {torch.float64: torch.float32, torch.float32: torch.bfloat16, torch.bfloat16: torch.float8_e5m2}


@dataclass(frozen=True)
class Kernel:
    """A function, its gradients by hand, and a mistake of its own; all of them receive the same inputs.

    Attributes:
        shapes: of its inputs.
        plain: the same function in PyTorch's operators.
        backward: cotangent, inputs -> the gradient of each input.
        mistake: what is wrong in `wrong`.
        wrong: the functions that the mistake replaces, `forward` or `backward`, by name.
    """

    shapes: tuple[tuple[int, ...], ...]
    plain: Callable[..., Tensor]
    forward: Callable[..., Tensor]
    backward: Callable[..., Gradients]
    mistake: str
    wrong: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def inputs(self, dtype: Any, seed: int) -> list[Tensor]:
        """Standard normal inputs that require a gradient."""
        stream = torch.Generator().manual_seed(seed)
        drawn = (torch.randn(shape, generator=stream, dtype=torch.float64) for shape in self.shapes)
        return [each.to(dtype).requires_grad_() for each in drawn]

    def functions(self) -> Iterator[tuple[str, Callable[..., Tensor]]]:
        """The correct function and those with a mistake, by what is wrong."""
        right = {"forward": self.forward, "backward": self.backward}
        yield "correct", applied(**right)
        yield "gradients rounded to 4 decimals", applied(**right, finish=rounded)
        yield "cotangent in a narrower dtype", applied(**right, start=narrowed)
        yield "one entry off by 1e-6 of the largest", applied(**right, finish=one_entry_off)
        yield "a wrong formula", applied(**{**right, **self.wrong})


def applied(
    forward: Callable[..., Tensor],
    backward: Callable[..., Gradients],
    start: Callable[[Tensor], Tensor] = lambda cotangent: cotangent,
    finish: Callable[[Tensor], Tensor] = lambda gradient: gradient,
) -> Callable[..., Tensor]:
    """The `apply` of an autograd.Function; `start` changes its cotangent, `finish` its gradients."""

    class Custom(torch.autograd.Function):  # type: ignore[misc]
        """The function with its gradients by hand."""

        @staticmethod
        def forward(context: Any, *inputs: Tensor) -> Tensor:
            context.save_for_backward(*inputs)
            return forward(*map(widened, inputs)).to(inputs[0].dtype)

        @staticmethod
        def backward(context: Any, cotangent: Tensor) -> Gradients:
            gradients = backward(widened(start(cotangent)), *map(widened, context.saved_tensors))
            return tuple(finish(each).to(cotangent.dtype) for each in gradients)

    return Custom.apply  # type: ignore[no-any-return]


def widened(tensor: Tensor) -> Tensor:
    """The dtype in which a kernel computes."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def rounded(gradient: Tensor) -> Tensor:
    """To four decimals."""
    return (gradient * 1e4).round() / 1e4


def narrowed(cotangent: Tensor) -> Tensor:
    """Its digits in the next narrower dtype."""
    return cotangent.to(NARROWER[cotangent.dtype]).to(cotangent.dtype)


def one_entry_off(gradient: Tensor) -> Tensor:
    """The second entry is wrong; a gradient of zeros stays one, as PyTorch's gradcheck asks."""
    changed = gradient.clone(memory_format=torch.contiguous_format)
    changed.view(-1)[1] += 1e-6 * gradient.abs().max()
    return changed


def softmax(x: Tensor) -> Tensor:
    """Along the last axis."""
    powers = (x - x.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


def softmax_backward(g: Tensor, x: Tensor) -> Gradients:
    """The gradient of x."""
    y = softmax(x)
    return (y * (g - (g * y).sum(-1, keepdim=True)),)


def log_softmax(x: Tensor) -> Tensor:
    """Along the last axis."""
    return x - logsumexp(x).unsqueeze(-1)


def logsumexp(x: Tensor) -> Tensor:
    """Along the last axis."""
    largest = x.amax(-1, keepdim=True)
    return ((x - largest).exp().sum(-1, keepdim=True).log() + largest).squeeze(-1)


def guarded_backward(g: Tensor, x: Tensor) -> Gradients:
    """The gradient of logsumexp, with 1e-6 added to its denominator."""
    powers = (x - x.amax(-1, keepdim=True)).exp()
    return (g.unsqueeze(-1) * powers / (powers.sum(-1, keepdim=True) + 1e-6),)


def inside(variance: Tensor) -> Tensor:
    """The factor of a norm."""
    return (variance + EPS).rsqrt()


def outside(variance: Tensor) -> Tensor:
    """The factor of a norm, with ε outside the root."""
    return 1 / (variance.sqrt() + EPS)


def norm(axis: int, factor: Callable[[Tensor], Tensor] = inside, correction: int = 0) -> Callable[..., Tensor]:
    """Layer norm (axis -1) or batch norm (axis 0) of a matrix."""

    def forward(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, axis, keepdim=True, correction=correction)
        return (x - mean) * factor(variance) * w + b

    return forward


def norm_backward(axis: int, factor: Callable[[Tensor], Tensor] = inside, correction: int = 0) -> Callable[..., Any]:
    """The gradients of `norm`."""

    def backward(g: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Gradients:
        variance, mean = torch.var_mean(x, axis, keepdim=True, correction=correction)
        r, centred, h = factor(variance), x - mean, g * w
        # The derivative of the factor by the variance, times the variance's by x.
        slope = -(r**3) if factor is inside else -(r**2) / variance.sqrt()
        through = slope * (h * centred).sum(axis, keepdim=True) / (x.shape[axis] - correction)
        return (h - h.mean(axis, keepdim=True)) * r + through * centred, (g * centred * r).sum(0), g.sum(0)

    return backward


def rms_norm(x: Tensor, w: Tensor) -> Tensor:
    """x / √(mean x² + ε) · w."""
    return x * inside(x.square().mean(-1, keepdim=True)) * w


def rms_norm_backward(g: Tensor, x: Tensor, w: Tensor) -> Gradients:
    """The gradients of x and w."""
    r, h = inside(x.square().mean(-1, keepdim=True)), g * w
    return h * r - x * r**3 * (h * x).mean(-1, keepdim=True), (g * x * r).sum(0)


def without_mean_path(g: Tensor, x: Tensor, w: Tensor) -> Gradients:
    """The gradients of RMS norm as if its factor were constant."""
    r = inside(x.square().mean(-1, keepdim=True))
    return g * w * r, (g * x * r).sum(0)


def gelu(x: Tensor) -> Tensor:
    """x · Φ(x)."""
    return x * 0.5 * (1 + (x * math.sqrt(0.5)).erf())


def gelu_backward(g: Tensor, x: Tensor) -> Gradients:
    """The gradient of x."""
    density = (-0.5 * x * x).exp() / math.sqrt(2 * math.pi)
    return (g * (0.5 * (1 + (x * math.sqrt(0.5)).erf()) + x * density),)


def gelu_backward_by_tanh(g: Tensor, x: Tensor) -> Gradients:
    """The gradient of the approximation by tanh."""
    scale = math.sqrt(2 / math.pi)
    t = (scale * (x + 0.044715 * x**3)).tanh()
    return (g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * scale * (1 + 3 * 0.044715 * x * x)),)


def swiglu(a: Tensor, b: Tensor) -> Tensor:
    """a · σ(a) · b."""
    return a * a.sigmoid() * b


def swiglu_backward(g: Tensor, a: Tensor, b: Tensor) -> Gradients:
    """The gradients of a and b."""
    s = a.sigmoid()
    return g * b * s * (1 + a * (1 - s)), g * a * s


def misplaced_parenthesis(g: Tensor, a: Tensor, b: Tensor) -> Gradients:
    """The gradients of SwiGLU, with σ(1 + a)(1 − σ) for σ(1 + a(1 − σ))."""
    s = a.sigmoid()
    return g * b * s * (1 + a) * (1 - s), g * a * s


def linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """x wᵀ + b."""
    return x @ w.T + b


def linear_backward(g: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Gradients:
    """The gradients of x, w and b."""
    return g @ w, g.T @ x, g.sum(0)


def mean_for_bias(g: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Gradients:
    """The gradients of `linear`, with a mean for the sum of b."""
    return g @ w, g.T @ x, g.mean(0)


def weights_of(q: Tensor, k: Tensor) -> Tensor:
    """The weights of causal attention."""
    later = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).triu(1)
    return softmax((q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(later, -math.inf))


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention."""
    return weights_of(q, k) @ v


def attention_backward(g: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Gradients:
    """The gradients of q, k and v."""
    p, dp, scale = weights_of(q, k), g @ v.mT, 1 / math.sqrt(q.shape[-1])
    ds = p * (dp - (p * dp).sum(-1, keepdim=True))
    return ds @ k * scale, ds.mT @ q * scale, p.mT @ g


def scaled_twice(g: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Gradients:
    """The gradients of attention, with the scale twice in that of k."""
    dq, dk, dv = attention_backward(g, q, k, v)
    return dq, dk / math.sqrt(q.shape[-1]), dv


def cross_entropy(divisor: int) -> Callable[[Tensor], Tensor]:
    """The sum over the rows that count, divided."""
    counted = LABELS >= 0
    return lambda x: -log_softmax(x)[counted, LABELS[counted]].sum() / divisor


def cross_entropy_backward(divisor: int) -> Callable[[Tensor, Tensor], Gradients]:
    """The gradient of `cross_entropy`."""
    counted = LABELS >= 0
    ones = functional.one_hot(LABELS.clamp(0), 7)
    return lambda g, x: (g * (softmax(x) - ones) * counted.unsqueeze(1) / divisor,)


def conv1d(x: Tensor, w: Tensor) -> Tensor:
    """Windows of x times w."""
    return torch.einsum("nclk,ock->nol", x.unfold(-1, w.shape[-1], 1), w)


def conv1d_backward(g: Tensor, x: Tensor, w: Tensor) -> Gradients:
    """The gradients of x and w."""
    width = w.shape[-1]
    padded = functional.pad(g, (width - 1, width - 1)).unfold(-1, width, 1)
    dx = torch.einsum("nolk,ock->ncl", padded, w.flip(-1))
    return dx, torch.einsum("nol,nclk->ock", g, x.unfold(-1, width, 1))


def without_flip(g: Tensor, x: Tensor, w: Tensor) -> Gradients:
    """The gradients of conv1d, with that of x by the weights in their own order."""
    return conv1d_backward(g, x, w.flip(-1))[0], conv1d_backward(g, x, w)[1]


KERNELS = {
    "softmax": Kernel(
        ((4, 7),), lambda x: torch.softmax(x, -1), softmax, softmax_backward,
        "its sum is missing", {"backward": lambda g, x: (g * softmax(x),)},
    ),
    "log_softmax": Kernel(
        ((4, 7),), lambda x: torch.log_softmax(x, -1), log_softmax,
        lambda g, x: (g - softmax(x) * g.sum(-1, keepdim=True),),
        "its sum is missing", {"backward": lambda g, x: (g - softmax(x) * g,)},
    ),
    "layer norm": Kernel(
        ((4, 6), (6,), (6,)), lambda x, w, b: functional.layer_norm(x, (6,), w, b, EPS), norm(-1), norm_backward(-1),
        "ε outside the root, in both passes", {"forward": norm(-1, outside), "backward": norm_backward(-1, outside)},
    ),
    "RMS norm": Kernel(
        ((4, 6), (6,)), lambda x, w: functional.rms_norm(x, (6,), w, EPS), rms_norm, rms_norm_backward,
        "the path through the mean is missing", {"backward": without_mean_path},
    ),
    "gelu": Kernel(
        ((4, 7),), functional.gelu, gelu, gelu_backward,
        "the backward pass of the approximation by tanh", {"backward": gelu_backward_by_tanh},
    ),
    "SwiGLU": Kernel(
        ((4, 6), (4, 6)), lambda a, b: functional.silu(a) * b, swiglu, swiglu_backward,
        "a misplaced parenthesis", {"backward": misplaced_parenthesis},
    ),
    "linear": Kernel(
        ((5, 6), (4, 6), (4,)), functional.linear, linear, linear_backward,
        "a mean for the sum of the bias", {"backward": mean_for_bias},
    ),
    "attention": Kernel(
        ((1, 2, 5, 4),) * 3, lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=True),
        attention, attention_backward, "the scale twice in the gradient of k", {"backward": scaled_twice},
    ),
    "cross-entropy": Kernel(
        ((5, 7),), lambda x: functional.cross_entropy(x, LABELS), cross_entropy(4), cross_entropy_backward(4),
        "divided by all rows, in both passes", {"forward": cross_entropy(5), "backward": cross_entropy_backward(5)},
    ),
    "conv1d": Kernel(
        ((2, 3, 8), (4, 3, 3)), functional.conv1d, conv1d, conv1d_backward,
        "the weights are not flipped", {"backward": without_flip},
    ),
    "logsumexp": Kernel(
        ((4, 7),), lambda x: torch.logsumexp(x, -1), logsumexp, lambda g, x: (g.unsqueeze(-1) * softmax(x),),
        "1e-6 in the denominator", {"backward": guarded_backward},
    ),
    "batch norm": Kernel(
        ((5, 4), (4,), (4,)), lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        norm(0), norm_backward(0), "the variance divided by n − 1, in both passes",
        {"forward": norm(0, correction=1), "backward": norm_backward(0, correction=1)},
    ),
}  # fmt: skip
