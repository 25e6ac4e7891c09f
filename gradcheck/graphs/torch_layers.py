"""ATen operators that reduce axes, multiply matrices, normalise, attend, slide windows, and solve linear systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcheck.graphs.rows import broadcast, refuse_unless, word
from gradcheck.graphs.subscripts import parsed
from gradcheck.graphs.torch_entries import dropout
from gradcheck.graphs.torch_rows import axes_of, row

Dim = int | Sequence[int] | None


@row("sum", "sum.dim_IntList")
def sum_(self: Any, dim: Dim = None, keepdim: bool = False, **_: Any) -> Any:
    """The sum over axes."""
    return word("sum")(self, axes_of(dim), keepdim)


@row("mean", "mean.dim")
def mean(self: Any, dim: Dim = None, keepdim: bool = False, **_: Any) -> Any:
    """The mean over axes."""
    return word("mean")(self, axes_of(dim), keepdim)


@row("amax", "max")
def amax(self: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """The largest entry along axes."""
    return word("max")(self, axes_of(dim), keepdim)


@row("amin", "min")
def amin(self: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """The smallest entry along axes."""
    return word("min")(self, axes_of(dim), keepdim)


@row("any", "any.dim", "any.dims")
def any_(self: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Where the condition holds somewhere along axes."""
    if isinstance(self, np.ndarray):
        return self.any(axes_of(dim), keepdims=keepdim)
    return word("any")(self, axes_of(dim), keepdim)


@row("var.correction", "var.dim")
def var(
    self: Any, dim: Dim = None, correction: float | None = None, unbiased: bool = True, keepdim: bool = False
) -> Any:
    """The variance along axes."""
    return word("var")(self, axes_of(dim), int(unbiased) if correction is None else correction, keepdim)


@row("std.correction")
def std(self: Any, dim: Dim = None, correction: float | None = None, keepdim: bool = False) -> Any:
    """The standard deviation along axes."""
    return word("std")(self, axes_of(dim), 1 if correction is None else correction, keepdim)


@row("var_mean.correction")
def var_mean(self: Any, dim: Dim = None, correction: float | None = None, keepdim: bool = False) -> Any:
    """The variance and the mean along axes."""
    return var(self, dim, correction, keepdim=keepdim), mean(self, dim, keepdim)


@row("linalg_vector_norm")
def vector_norm(self: Any, ord: float = 2, dim: Dim = None, keepdim: bool = False, **_: Any) -> Any:
    """The norm along axes."""
    if ord == math.inf:
        return amax(word("abs")(self), dim, keepdim)
    return word("vector_norm")(self, axes_of(dim), keepdim, ord)


@row("logsumexp")
def logsumexp(self: Any, dim: Dim, keepdim: bool = False) -> Any:
    """The logarithm of a sum of eᵃ."""
    return word("logsumexp")(self, axes_of(dim), keepdim)


@row("softmax.int", "_softmax")
def softmax(self: Any, dim: int, **_: Any) -> Any:
    """The shares of eᵃ along an axis."""
    return word("softmax")(self, dim)


@row("log_softmax.int", "_log_softmax")
def log_softmax(self: Any, dim: int, **_: Any) -> Any:
    """The logarithms of the shares of eᵃ along an axis."""
    return word("log_softmax")(self, dim)


@row("prod", "prod.dim_int")
def prod(self: Any, dim: Dim = None, keepdim: bool = False, **_: Any) -> Any:
    """The product along an axis, or of all entries."""
    return word("prod")(self, axes_of(dim), keepdim)


@row("cumprod")
def cumprod(self: Any, dim: int, **_: Any) -> Any:
    """The products up to each entry along an axis."""
    return word("cumulative_prod")(self, dim)


@row("cumsum")
def cumsum(self: Any, dim: int, **_: Any) -> Any:
    """The sums up to each entry along an axis."""
    return word("cumulative_sum")(self, dim)


@row("mm", "bmm", "matmul")
def matmul(self: Any, other: Any = None, mat2: Any = None) -> Any:
    """The product of matrices."""
    return self @ (mat2 if other is None else other)


@row("linear")
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """x Wᵀ + b."""
    product = input @ (weight.mT if weight.ndim > 1 else weight)
    return product if bias is None else product + bias


@row("addmm")
def addmm(self: Any, mat1: Any, mat2: Any, beta: float = 1, alpha: float = 1) -> Any:
    """A multiple of a matrix, plus a multiple of a product."""
    product = mat1 @ mat2
    return (self if beta == 1 else self * beta) + (product if alpha == 1 else product * alpha)


@row("baddbmm")
def baddbmm(self: Any, batch1: Any, batch2: Any, beta: float = 1, alpha: float = 1) -> Any:
    """The same of each matrix in a batch."""
    return addmm(self, batch1, batch2, beta, alpha)


@row("addmv")
def addmv(self: Any, mat: Any, vec: Any, beta: float = 1, alpha: float = 1) -> Any:
    """The same of a matrix and a vector."""
    return addmm(self, mat, vec, beta, alpha)


@row("einsum")
def einsum(equation: str, tensors: Sequence[Any], path: Any = None) -> Any:
    """Sums of products over labels of axes."""
    if len(tensors) > 1:
        return word("einsum")(equation, *tensors)
    (labels,), out = parsed(equation, [tensors[0].shape])
    kept = [label for label in labels if label in out]
    summed = word("sum")(tensors[0], tuple(at for at, label in enumerate(labels) if label not in out))
    return word("permute_dims")(summed if len(kept) < len(labels) else tensors[0], tuple(map(kept.index, out)))


@row("scaled_dot_product_attention")
def attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(s Q Kᵀ + mask) V; a mask of numbers is added, for which the word has none.

    PyTorch then multiplies Q and K by √s each, or Q Kᵀ by s: the former rounds more.
    """
    dropout(query, dropout_p, train=True)
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = (word("repeat")(each, times, each.ndim - 3) for each in (key, value))
    if attn_mask is None or getattr(attn_mask, "kind", "boolean") == "boolean":
        batch = np.broadcast_shapes(*(each.shape[:-2] for each in (query, key, value)))
        q, k, v = (broadcast(each, (*batch, *each.shape[-2:])) for each in (query, key, value))
        return word("scaled_dot_product_attention")(q, k, v, attn_mask, is_causal, scale)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    root = math.sqrt(abs(factor))
    scores = (query * root) @ (key * math.copysign(root, factor)).mT
    return word("softmax")(scores + attn_mask, -1) @ value


@row("native_layer_norm")
def native_layer_norm(input: Any, normalized_shape: Sequence[int], weight: Any, bias: Any, eps: float) -> Any:
    """The entries less their mean, divided by their standard deviation, along the last axes."""
    statistics = _statistics(input, tuple(range(-len(normalized_shape), 0)), eps)
    # PyTorch marks these as not differentiable.
    return layer_norm(input, normalized_shape, weight, bias, eps), *map(word("stop_gradient"), statistics)


@row("layer_norm")
def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, **_: Any
) -> Any:
    """The same, without the mean and the standard deviation."""
    flat = word("reshape")(input, (*input.shape[: -len(normalized_shape)], -1))
    vectors = [each if each is None else word("reshape")(each, (-1,)) for each in (weight, bias)]
    if weight is None:
        result = _affine(word("layer_norm")(flat, epsilon=eps), *vectors)
    else:
        result = word("layer_norm")(flat, *vectors, eps)
    return word("reshape")(result, input.shape)


def _statistics(a: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """The mean and 1/√(var + ε)."""
    return word("mean")(a, axes, True), word("rsqrt")(word("var")(a, axes, 0, True) + eps)


def _affine(a: Any, weight: Any, bias: Any) -> Any:
    scaled = a if weight is None else a * weight
    return scaled if bias is None else scaled + bias


@row("native_group_norm")
def native_group_norm(input: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, group: int, eps: float) -> Any:
    """The same within groups of channels."""
    grouped = word("reshape")(input, (N, group, -1))
    normal = word("reshape")(word("layer_norm")(grouped, epsilon=eps), input.shape)
    statistics = (word("squeeze")(each, -1) for each in _statistics(grouped, (-1,), eps))
    return _affine(normal, *by_channel(input, weight, bias)), *statistics


@row("_native_batch_norm_legit_no_training")
def batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float, eps: float
) -> Any:
    """The entries less the running mean, divided by the running standard deviation, of each channel."""
    centre, spread = by_channel(input, running_mean, running_var)
    normal = (input - centre) * word("rsqrt")(spread + eps)
    return _affine(normal, *by_channel(input, weight, bias)), None, None


@row("_native_batch_norm_legit", "_native_batch_norm_legit.no_stats", "_native_batch_norm_legit_functional")
def batch_norm_in_training(
    input: Any, weight: Any, bias: Any, training: bool, momentum: float, eps: float, **running: Any
) -> Any:
    """The same with the mean and the standard deviation of the batch, or the running ones."""
    if not training:
        return batch_norm(input, weight, bias, running["running_mean"], running["running_var"], momentum, eps)
    if weight is None:
        result = _affine(word("batch_norm")(input, epsilon=eps), *by_channel(input, weight, bias))
    else:
        result = word("batch_norm")(input, weight, bias, eps)
    return result, None, None, None, None


def by_channel(input: Any, *vectors: Any) -> list[Any]:
    """Vectors with an entry for each channel, which broadcast over a batch (batch, channels, …)."""
    shape = (-1, *(1,) * (input.ndim - 2))
    return [each if each is None else word("reshape")(each, shape) for each in vectors]


@row("linalg_cholesky_ex")
def cholesky(self: Any, upper: bool = False, **_: Any) -> Any:
    """The lower triangular factor, or its transpose."""
    factor = word("cholesky")(self)
    return factor.mT if upper else factor, None


@row("_linalg_solve_ex")
def solve(A: Any, B: Any, left: bool = True, **_: Any) -> Any:
    """The solution of a linear system."""
    refuse_unless(left, "left=False: expected True")
    return word("solve")(A, B), None, None, None


@row("linalg_solve_triangular")
def solve_triangular(self: Any, B: Any, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """The solution of a triangular system."""
    refuse_unless(left and not unitriangular, "expected left=True and unitriangular=False")
    return word("solve_triangular")(self, B, not upper)


@row("linalg_inv_ex")
def inverse(A: Any, **_: Any) -> Any:
    """The inverse of a matrix."""
    return word("inv")(A), None


@row("_linalg_slogdet")
def slogdet(A: Any) -> Any:
    """The logarithm of the magnitude of a determinant, without its sign."""
    return None, word("slogdet")(A), None, None
