"""MLX: mx.value_and_grad over MLX's own operations, on the CPU."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._accuracy import Function, complaints
from gradcheck.backends._arguments import each_axis, last_channels, refused, vector_norm, with_ddof
from gradcheck.backends._engine import Answer, Engine
from gradcheck.backends._functional import FunctionalEngine, Leaves, Loss
from gradcheck.backends._indexing import gathered

if TYPE_CHECKING:
    import numpy as np

    from gradcheck.backends._engine import Arrays
    from gradcheck.backends._worker.graph import InterpretedGraph

MODULE = "mlx"
DISTRIBUTION = "mlx"
RELEASE = "0.32.4"
REQUIREMENTS = ("mlx[cpu]", "numpy")
PYTHON = ((3, 10), None)
FORMATS: dict[str, dict[str, object]] = {"float64": {}, "float32": {}, "float16": {}, "bfloat16": {}}
LACKS: dict[str, str] = {}

ALGEBRA = ("cholesky", "inv", "slogdet", "solve", "solve_triangular")
NARROW = 1e-11
"""Relative error far beyond float64's (2e-16, and some ulps for conditioning) and far below float32's (6e-8)."""


def primitives(mx: Any, nn: Any, dtype: str) -> dict[str, Function]:
    """The vocabulary in MLX's own functions, with the signatures that problems use."""
    same = [
        *("matmul", "outer", "sum", "mean", "max", "min", "maximum"),
        *("reshape", "squeeze", "broadcast_to", "stack"),
        *("exp", "log", "log1p", "expm1", "sqrt", "abs", "tanh", "sin", "cos"),
        *("sigmoid", "logsumexp", "stop_gradient"),
    ]

    def where(condition: Any, a: Any, b: Any) -> Any:
        """Numbers as arrays: of two numbers MLX makes float32."""
        a, b = (mx.array(each, getattr(mx, dtype)) if isinstance(each, (int, float)) else each for each in (a, b))
        return mx.where(condition, a, b)

    return {
        **{name: getattr(mx, name) for name in same},
        "astype": lambda a: a.astype(getattr(mx, dtype)),
        "var": with_ddof(mx.var, whole=True),
        "std": with_ddof(mx.std, whole=True),
        "vector_norm": vector_norm(mx),
        **windows(mx, nn),
        **arrangements(mx),
        "prod": mx.prod,
        "cumulative_sum": lambda a, axis=0: mx.cumsum(a, axis),
        "cumulative_prod": lambda a, axis=0: mx.cumprod(a, axis),
        **indexing(mx, dtype),
        **fused(mx, dtype),
        "where": where,
        "any": mx.any,
        **ordering(mx),
        "all": mx.all,
        "relu": nn.relu,
        "softplus": nn.softplus,
        **entries(mx, nn),
        **refused(
            ("cholesky", "inv", "slogdet", "solve", "solve_triangular"), "MLX has no derivatives of linear algebra"
        ),
        "softmax": lambda a, axis=-1: mx.softmax(a, axis=axis),
        "log_softmax": lambda a, axis=-1: nn.log_softmax(a, axis=axis),
        "directional_derivative": functools.partial(directional_derivative, mx),
    }


def directional_derivative(mx: Any, function: Any, sources: Leaves, directions: Leaves) -> tuple[Any, Leaves]:
    """The derivative of a function along directions, by reverse mode, which may be differentiated again."""
    (_, others), found = mx.value_and_grad(function)(dict(sources))
    return sum(mx.sum(directions[name] * each) for name, each in found.items()), others


def ordering(mx: Any) -> dict[str, Function]:
    """Words of sorted entries, and of places in their order; MLX has the ascending order alone."""

    def sort(a: Any, axis: int = -1, descending: bool = False) -> Any:
        ascending = mx.sort(a, axis=axis)
        return mx.take(ascending, mx.arange(a.shape[axis] - 1, -1, -1), axis=axis) if descending else ascending

    def argsort(a: Any, axis: int = -1, descending: bool = False) -> Any:
        constant = mx.stop_gradient(a)
        return mx.argsort(-constant if descending else constant, axis=axis).astype(mx.int64)

    def place(function: Function) -> Function:
        return lambda a, axis=None, keepdims=False: function(mx.stop_gradient(a), axis, keepdims).astype(mx.int64)

    return {"sort": sort, "argsort": argsort, "argmax": place(mx.argmax), "argmin": place(mx.argmin)}


def indexing(mx: Any, dtype: str) -> dict[str, Function]:
    """Words of indices."""

    def take_along_axis(a: Any, indices: Any, axis: int = -1) -> Any:
        """MLX broadcasts no indices."""
        shape = list(a.shape)
        shape[axis] = indices.shape[axis]
        return mx.take_along_axis(a, mx.broadcast_to(indices, shape), axis)

    return {
        "gather": gathered,
        "take": lambda a, indices, axis=0: mx.take(a, indices, axis=axis),
        "take_along_axis": take_along_axis,
        "one_hot": lambda indices, num_classes: mx.eye(num_classes, dtype=getattr(mx, dtype))[indices],
        "at_add": lambda a, *operands: a.at[operands[:-1]].add(operands[-1]),
    }


def fused(mx: Any, dtype: str) -> dict[str, Function]:
    """Words of fused kernels."""

    def attention(q: Any, k: Any, v: Any, mask: Any = None, is_causal: bool = False, scale: Any = None) -> Any:
        """MLX's takes (batch, heads, length, features), and its causal mask ends where the keys end."""
        heads = q.shape[-3] if q.ndim > 3 else 1
        arranged = [mx.reshape(each, (-1, heads, *each.shape[-2:])) for each in (q, k, v)]
        whole = (*q.shape[:-1], k.shape[-2])
        if is_causal:
            causal = mx.tri(*whole[-2:], dtype=mx.bool_)
            mask = causal if mask is None else mx.logical_and(mask, causal)
        if mask is not None:
            mask = mx.reshape(mx.broadcast_to(mask, whole), (-1, heads, *whole[-2:]))
        scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
        result = mx.fast.scaled_dot_product_attention(*arranged, scale=scale, mask=mask)
        return mx.reshape(result, (*whole[:-1], v.shape[-1]))

    def layer_norm(x: Any, weight: Any = None, bias: Any = None, epsilon: float = 1e-5, axis: int = -1) -> Any:
        """MLX's takes the last axis."""
        return mx.moveaxis(mx.fast.layer_norm(mx.moveaxis(x, axis, -1), weight, bias, epsilon), -1, axis)

    def rms_norm(x: Any, weight: Any = None, epsilon: float = 1e-5, axis: int = -1) -> Any:
        return mx.moveaxis(mx.fast.rms_norm(mx.moveaxis(x, axis, -1), weight, epsilon), -1, axis)

    words: dict[str, Function] = {"layer_norm": layer_norm, "rms_norm": rms_norm}
    words["scaled_dot_product_attention"] = attention
    if dtype == "float64":
        words = refused(words, "MLX computes fused words in float32")
    return {**words, **refused(("batch_norm",), "mlx.core has none; mlx.nn writes it out")}


def arrangements(mx: Any) -> dict[str, Function]:
    """Words that move entries, and products over axes."""

    def vecdot(a: Any, b: Any, axis: int = -1) -> Any:
        """MLX's takes arrays with equally many axes."""
        longest = max(a.ndim, b.ndim)
        a, b = (mx.reshape(each, (1,) * (longest - each.ndim) + each.shape) for each in (a, b))
        return mx.vecdot(a, b, axis=axis)

    def moveaxis(a: Any, source: Any, destination: Any) -> Any:
        """MLX moves one axis at a time; several axes are an order of all."""
        if isinstance(source, int):
            return mx.moveaxis(a, source, destination)
        places = {place % a.ndim: axis % a.ndim for axis, place in zip(source, destination)}
        others = iter([axis for axis in range(a.ndim) if axis not in places.values()])
        return mx.transpose(a, [places[place] if place in places else next(others) for place in range(a.ndim)])

    return {
        "vecdot": vecdot,
        "tensordot": lambda a, b, axes=2: mx.tensordot(a, b, axes),
        "einsum": lambda operands, subscripts: mx.einsum(subscripts, *operands),
        "flip": mx.flip,
        "roll": lambda a, shift, axis=None: mx.roll(a, shift, axis),
        **{name: getattr(mx, name) for name in ("tile", "repeat", "tril", "triu")},
        "pad": lambda a, pad_width, constant_values=0.0: mx.pad(a, list(pad_width), constant_values=constant_values),
        "diagonal": lambda a, offset=0: mx.diagonal(a, offset, -2, -1),
        "moveaxis": moveaxis,
        "permute_dims": mx.transpose,
        "matrix_transpose": lambda a: mx.swapaxes(a, -1, -2),
        "expand_dims": lambda a, axis=0: mx.expand_dims(a, axis),
        "concat": mx.concatenate,
    }


def entries(mx: Any, nn: Any) -> dict[str, Function]:
    """Further words that work entry by entry."""
    return {
        **{name: getattr(mx, name) for name in ("rsqrt", "square", "erf", "minimum", "log2", "log10")},
        **{name: getattr(mx, name) for name in ("tan", "sinh", "cosh", "sign", "floor", "ceil", "round")},
        **{name: getattr(mx, f"arc{name[1:]}") for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
        **{name: getattr(nn, name) for name in ("silu", "log_sigmoid", "leaky_relu", "elu")},
        "exp2": lambda a: mx.power(2.0, a),  # it has none
        "gelu": lambda a, approximate=False: (nn.gelu_approx if approximate else nn.gelu)(a),
        "logaddexp": mx.logaddexp,
        "hypot": lambda a, b: mx.sqrt(mx.square(a) + mx.square(b)),  # it has none
        "atan2": mx.arctan2,
        "clip": lambda a, min=None, max=None: mx.clip(a, min, max),
    }


def windows(mx: Any, nn: Any) -> dict[str, Function]:
    """Words of windows; channels are last."""

    def conv(x: Any, w: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
        filters = mx.transpose(w, (0, *range(2, w.ndim), 1))
        steps, pads, gaps = (list(each_axis(each, x.ndim - 2)) for each in (stride, padding, dilation))
        return mx.conv_general(x, filters, steps, pads, gaps, groups=groups)

    def max_pool(x: Any, window: Any, stride: Any = None, padding: Any = 0) -> Any:
        return getattr(nn, f"MaxPool{x.ndim - 2}d")(window, stride, padding)(x)

    def avg_pool(x: Any, window: Any, stride: Any = None) -> Any:
        return getattr(nn, f"AvgPool{x.ndim - 2}d")(window, stride)(x)

    words: dict[str, Function] = {"conv": conv, "max_pool": max_pool, "avg_pool": avg_pool}
    return {name: last_channels(each, mx.transpose) for name, each in words.items()}


class MLX(FunctionalEngine):
    """MLX, imported, with its functions measured in float64: several of them compute in float32."""

    def __init__(self) -> None:
        import mlx.core as mx
        import mlx.nn as nn
        import numpy

        mx.set_default_device(mx.cpu)
        self.mx: Any = mx
        self.numpy: Any = numpy
        self.version = mx.__version__
        self.functions = {dtype: primitives(mx, nn, dtype) for dtype in FORMATS}
        self.functions["float64"].update(self._refusals())

    def packages(self) -> dict[str, str]:
        return {"mlx": self.version}

    def evaluate(self, graph: InterpretedGraph, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        self.primitives = self.functions[dtype]
        return super().evaluate(graph, inputs, wrt, dtype)

    def array(self, array: np.ndarray, dtype: str) -> Any:
        # left out, float64 becomes float32
        return self.mx.array(array, dtype=self.mx.bool_ if dtype == "bool" else getattr(self.mx, dtype))

    def zeros_like(self, value: Any) -> Any:
        return self.mx.zeros_like(value)

    def numbers(self, array: Any) -> np.ndarray:
        array = array.astype(self.mx.float32) if array.dtype == self.mx.bfloat16 else array
        return self.numpy.array(array)  # type: ignore[no-any-return]

    def differentiate(
        self, loss: Loss, sources: Leaves, offsets: Leaves, constants: Leaves
    ) -> tuple[Any, Leaves, Leaves, Leaves]:
        function = self.mx.value_and_grad(lambda sources, offsets: loss(sources, offsets, constants), argnums=(0, 1))
        (value, watched), (gradients, adjoints) = function(sources, offsets)
        return value, watched, gradients, adjoints

    def _refusals(self) -> dict[str, Function]:
        """A function that raises Unsupported, for each function that is no better than float32 in float64."""
        mx = self.mx
        found = complaints(
            self.functions["float64"], lambda a: mx.stack([a, mx.zeros_like(a)], axis=1), self._measured, NARROW
        )
        reason = f"MLX {self.version} computes it in float32, not in the requested float64"
        return {word: refuse for name in found for word, refuse in refused((name,), f"{reason}: {found[name]}").items()}

    def _measured(self, function: Function, points: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
        a = self.mx.array(points, dtype=self.mx.float64)
        return function(a).tolist(), self.mx.grad(lambda a: self.mx.sum(function(a)))(a).tolist()


def load() -> Engine:
    """Import MLX."""
    return MLX()
