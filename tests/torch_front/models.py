"""Functions in PyTorch whose dumps lie in tests/data/torch; a subprocess with PyTorch imports this file."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Text(nn.Module):
    """Tokens to a loss: an embedding with padding, an LSTM over time, layer norm, and cross-entropy by labels."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3, padding_idx=0)
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 5)

    def forward(self, tokens, labels):
        hidden, _ = self.lstm(self.embedding(tokens))
        logits = self.head(self.norm(hidden))
        return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)


class Image(nn.Module):
    """Pictures to numbers of classes: convolutions, batch norm in training, pooling, group norm."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(2, 4, 3, padding="same"), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(4, 4, 3, groups=2, bias=False), nn.GroupNorm(2, 4, eps=0.1), nn.SiLU()),
            *(nn.AvgPool2d(2, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
        )

    def forward(self, x):
        return self.layers(x).square().sum()


def in_place(x, y):
    """Views, updates in place, and pieces."""
    a = x.clone()
    a[0] = y
    a[:, 1:3] *= 2.0
    a.view(-1)[3:5].add_(y[:2])
    b = a.t().contiguous()
    b.relu_()
    return (b.flip(0).roll(1, 1).tril() * b[..., [2, 0, 1]]).sum()


def indices(x, places):
    """Entries at integers, and sums there."""
    picked = torch.gather(x, 1, places)
    summed = torch.zeros(3, 4, dtype=x.dtype).scatter_add(1, places, picked)
    put = x.index_put((torch.tensor([0, 2]), torch.tensor([1, 3])), picked[0, :2] ** 2)
    written = put.scatter(1, torch.tensor([[3], [0], [1]]), summed[:, :1])
    kept = x[torch.tensor([0, -1]), 1:3]
    largest = x.topk(2, 1)[0].sum()
    return (written.index_select(0, torch.tensor([2, 0])) * largest).sum() + kept.square().sum()


def ordering(x, w):
    """Rows that take their largest products, and entries in the order of others."""
    scores = x @ w
    values, places = scores.topk(2, 1)
    rising = x.gather(1, scores.argsort(1)) + x.gather(0, x.sort(0, descending=True)[1])
    largest = x[torch.arange(3), scores.argmax(1)] * w[scores.min(0)[1], 0].sum() + values.sum(1) * places[:, 0]
    return largest.sum() + (rising * w[0]).sum() + w.flatten().index_select(0, scores.argmin().reshape(1)).sum()


def attention(q, k, v):
    """Causal attention whose queries share keys in groups, and attention with a mask."""
    causal = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    mask = torch.tensor([[True, False, True], [True, True, False], [False, True, True]])
    masked = functional.scaled_dot_product_attention(q[:, :1], k, v, attn_mask=mask, scale=0.3)
    return torch.einsum("bhij,bhij->", causal, causal) + masked.exp().sum()


def entries(x):
    """Functions of single entries."""
    a = x.sigmoid() + functional.gelu(x, approximate="tanh") + functional.softplus(x, beta=2) + functional.selu(x)
    b = torch.atan2(a, x) + torch.remainder(x, 0.75) + torch.where(x > 0, (x * x + 1).sqrt(), x.expm1()).nan_to_num()
    c = functional.mish(b).clamp(-1, 1.5) + torch.logaddexp(a, b) + 2.0**x + functional.hardswish(x * 3)
    return c.std(0).sum() + functional.huber_loss(a, b.detach(), delta=0.3)


def several(x, w):
    """A tuple with a dictionary in it."""
    return x @ w, {"mean": x.mean(0), "places": x.argmax(0)}


def dropped(x):
    return functional.dropout(x, 0.5, training=True).sum()


def noisy(x):
    return (x + torch.randn_like(x)).sum()


def transformed(x):
    return torch.fft.rfft(x).abs().sum()


def narrowed(x):
    return x.half().sum()


def resized(x, w, b):
    """Transposed convolutions, pooling with windows that stick out, and interpolation."""
    wide = functional.conv_transpose2d(x, w, b, stride=(2, 3), padding=(1, 0), output_padding=(1, 2), groups=2)
    narrow = functional.conv_transpose1d(x[:, :, 0], w[:, :, 0], padding=2, dilation=2)
    pooled = functional.max_pool2d(wide, 3, 2, 1, ceil_mode=True) * functional.avg_pool2d(wide, 3, 2, 1, ceil_mode=True)
    means = functional.avg_pool2d(wide, 3, 2, 1, count_include_pad=False)
    sums = functional.avg_pool2d(wide, (2, 3), divisor_override=5)
    near = functional.interpolate(wide, (7, 20)) + functional.interpolate(wide[:, :, :4, :10], (7, 20), mode="nearest")
    smooth = functional.interpolate(means, scale_factor=2, mode="bilinear").square()
    corners = functional.interpolate(x, (5, 5), mode="bilinear", align_corners=True)
    return (
        pooled.sum()
        + means.exp().sum()
        + sums.sin().sum()
        + near.sum()
        + smooth.sum()
        + (corners * x.sum()).sum()
        + (narrow.square().sum())
    )


def rescaled(x):
    return functional.interpolate(x[None, None], (4, 7), mode="bilinear").sum()


def reduced(x, src, places):
    """Sums and means of entries at integers, with those that are there, and without."""
    ways = [(reduce, own) for reduce in ("sum", "mean") for own in (True, False)]
    found = [x.scatter_reduce(1, places, src, reduce, include_self=own) for reduce, own in ways]
    return torch.stack(found).square().sum()


def extremes(x):
    """The largest entries at integers."""
    return x.scatter_reduce(1, torch.zeros(3, 4, dtype=torch.int64), x, "amax").sum()


def cases() -> dict[str, tuple]:
    """Name -> a function or a module, and its arguments."""
    torch.manual_seed(0)
    double = {"dtype": torch.float64}
    x = torch.randn(3, 4, **double)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).double().eval()
    q, k, v = torch.randn(2, 4, 3, 2, **double), torch.randn(2, 2, 3, 2, **double), torch.randn(2, 2, 3, 2, **double)
    return {
        "text": (Text().double(), (torch.tensor([[1, 2, 0], [3, 4, 1]]), torch.tensor([[2, 0, -100], [4, 1, 3]]))),
        "image": (Image().double(), (torch.randn(2, 2, 7, 7, **double),)),
        "encoder_layer": (layer, (torch.randn(2, 3, 8, **double),)),
        "in_place": (in_place, (torch.randn(3, 3, **double), torch.randn(3, **double))),
        "indices": (indices, (x, torch.tensor([[0, 0, 3], [1, 2, 1], [3, 3, 3]]))),
        "reduced": (reduced, (x, 2 * x[:, :3], torch.tensor([[0, 0, 3], [1, 2, 1], [3, 3, 3]]))),
        "ordering": (ordering, (x, torch.randn(4, 4, **double))),
        "attention": (attention, (q, k, v)),
        "entries": (entries, (torch.randn(4, 3, **double),)),
        "several": (several, (x, torch.randn(4, 2, **double))),
        **{each.__name__: (each, (x,)) for each in (dropped, noisy, transformed, narrowed, rescaled, extremes)},
        "resized": (resized, tuple(torch.randn(*each, **double) for each in ((2, 4, 3, 3), (4, 3, 2, 3), (6,)))),
    }
