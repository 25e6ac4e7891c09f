"""PyTorch: torch.autograd over torch's own operations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._arguments import of_lapack, of_systems
from gradcheck.backends._engine import SEED, Answer, Engine, Operations, Unavailable, Unsupported, dtype_of
from gradcheck.backends._indexing import axes_of, gathered, piece

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

    from gradcheck.backends._engine import Arrays
    from gradcheck.backends._worker.graph import InterpretedGraph
    from gradcheck.backends._worker.whole_files import WholeFile

    Tensors = Mapping[str, Any]

MODULE = "torch"
DISTRIBUTION = "torch"
RELEASE = "2.13.0"
REQUIREMENTS = ("numpy",)
# "2.3.0 is the first version that supports NumPy 2.0": https://github.com/pytorch/pytorch/issues/132179
OLDER_REQUIREMENTS = {"2.3": ("numpy<2",)}
PYTHON = ((3, 10), None)
# On Linux the registry's build brings several GB of CUDA; PyTorch's own index has one for the CPU.
INSTALL_OPTIONS = {"linux": ("--torch-backend", "cpu")}
DEVICES = {"cuda": {"install_options": {"linux": ("--torch-backend", "auto")}}}
FORMATS = {
    "float64": {},
    "float32": {},
    "float16": {"accumulator": "float32"},
    "bfloat16": {"accumulator": "float32", "flushes": True},
}
LACKS: dict[str, str] = {}


def primitives(torch: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """The vocabulary in PyTorch's own functions, with the signatures that problems use."""
    same = [
        *("matmul", "outer", "where", "sigmoid", "relu"),
        *("reshape", "moveaxis", "broadcast_to"),
    ]
    return {
        **{name: getattr(torch, name) for name in same},
        **entries(torch),
        **copies(torch),
        "vecdot": lambda a, b, axis=-1: torch.linalg.vecdot(a, b, dim=axis),
        "tensordot": lambda a, b, axes=2: torch.tensordot(a, b, dims=axes),
        "einsum": lambda operands, subscripts: torch.einsum(subscripts, *operands),
        "permute_dims": torch.permute,
        "matrix_transpose": lambda a: a.mT,
        "expand_dims": lambda a, axis=0: torch.unsqueeze(a, dim=axis),
        "squeeze": lambda a, axis: torch.squeeze(a, dim=axis),
        "index": lambda a, index: piece(a, index, torch.flip),
        "astype": lambda a: a.to(getattr(torch, dtype)),
        **indexing(torch, dtype),
        "sum": reduction(torch.sum),
        "mean": reduction(torch.mean),
        "max": reduction(torch.amax),
        "any": reduction(torch.any),
        **ordering(torch),
        "all": reduction(torch.all),
        **fused(torch),
        **windows(torch),
        "min": reduction(torch.amin),
        "prod": functools.partial(prod, torch),
        "cumulative_sum": lambda a, axis=0: torch.cumsum(a, dim=axis),
        "cumulative_prod": lambda a, axis=0: torch.cumprod(a, dim=axis),
        "logsumexp": reduction(torch.logsumexp),
        "var": corrected(torch.var),
        "std": corrected(torch.std),
        "vector_norm": norm(torch.linalg.vector_norm),
        "softmax": lambda a, axis=-1: torch.softmax(a, dim=axis),
        "log_softmax": lambda a, axis=-1: torch.log_softmax(a, dim=axis),
        "concat": lambda arrays, axis=0: torch.cat(arrays, dim=axis),
        "stack": lambda arrays, axis=0: torch.stack(arrays, dim=axis),
        "stop_gradient": torch.Tensor.detach,
        "directional_derivative": functools.partial(directional_derivative, torch),
    }


def directional_derivative(torch: Any, function: Any, sources: Tensors, directions: Tensors) -> tuple[Any, Tensors]:
    """The derivative of a function along directions, by reverse mode, which may be differentiated again."""
    value, others = function(sources)
    value = value + torch.zeros_like(value, requires_grad=True)  # so that it has a gradient in any case
    found = torch.autograd.grad(value, list(sources.values()), create_graph=True, materialize_grads=True)
    return sum(torch.sum(along * each) for along, each in zip(directions.values(), found)), others


def copies(torch: Any) -> dict[str, Callable[..., Any]]:
    """Words that reverse, shift, repeat and cut out entries."""

    def pad(a: Any, pad_width: Any, constant_values: float = 0.0) -> Any:
        """PyTorch's widths begin with the last axis."""
        widths = [count for pair in reversed(pad_width) for count in pair]
        return torch.nn.functional.pad(a, widths, value=constant_values)

    def repeat(a: Any, repeats: int, axis: Any = None) -> Any:
        return torch.repeat_interleave(a, repeats, dim=axis)

    return {
        "flip": lambda a, axis=None: torch.flip(a, axes_of(axis, a.ndim)),
        "roll": lambda a, shift, axis=None: torch.roll(a, shift, dims=axis),
        "tile": torch.tile,
        "repeat": repeat,
        "pad": pad,
        "tril": lambda a, k=0: torch.tril(a, diagonal=k),
        "triu": lambda a, k=0: torch.triu(a, diagonal=k),
        "diagonal": lambda a, offset=0: torch.diagonal(a, offset=offset, dim1=-2, dim2=-1),
    }


def entries(torch: Any) -> dict[str, Callable[..., Any]]:
    """Words that work entry by entry."""
    functional = torch.nn.functional
    return {
        **{
            name: getattr(torch, name) for name in ("exp", "log", "log1p", "expm1", "sqrt", "abs", "tanh", "sin", "cos")
        },
        **{name: getattr(torch, name) for name in ("rsqrt", "square", "exp2", "log2", "log10")},
        **{name: getattr(torch, name) for name in ("erf", "erfc", "lgamma", "digamma")},
        **{name: getattr(torch, name) for name in ("tan", "asin", "acos", "atan", "sinh", "cosh")},
        **{name: getattr(torch, name) for name in ("asinh", "acosh", "atanh", "sign", "floor", "ceil", "round")},
        **{name: getattr(functional, name) for name in ("silu", "leaky_relu", "elu")},
        "log_sigmoid": functional.logsigmoid,
        # Above its threshold, by default 20, it returns its argument: off by 2e-9 there, too much in float64.
        "softplus": lambda a: functional.softplus(a, threshold=40.0),
        "gelu": lambda a, approximate=False: functional.gelu(a, approximate="tanh" if approximate else "none"),
        **{name: of_two(torch, name) for name in ("maximum", "minimum", "logaddexp", "hypot", "atan2")},
        "clip": torch.clamp,
    }


def ordering(torch: Any) -> dict[str, Callable[..., Any]]:
    """Words of sorted entries, and of places in their order."""

    def place(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda a, axis=None, keepdims=False: function(a, dim=axis, keepdim=keepdims)

    def argsort(a: Any, axis: int = -1, descending: bool = False) -> Any:
        return torch.argsort(a, dim=axis, descending=descending, stable=True)

    return {
        "sort": lambda a, axis=-1, descending=False: torch.sort(a, dim=axis, descending=descending).values,
        "argsort": argsort,
        **{name: place(getattr(torch, name)) for name in ("argmax", "argmin")},
    }


def indexing(torch: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Words of indices."""
    return {
        "gather": gathered,
        "take": functools.partial(take, torch),
        "take_along_axis": lambda a, indices, axis=-1: torch.take_along_dim(a, indices, dim=axis),
        "one_hot": lambda indices, n: torch.nn.functional.one_hot(indices, n).to(getattr(torch, dtype)),
        "at_add": lambda a, *operands: a.index_put(operands[:-1], operands[-1], accumulate=True),
    }


def take(torch: Any, a: Any, indices: Any, axis: int = 0) -> Any:
    """Entries along an axis; `index_select` takes one axis of indices."""
    axis %= a.ndim
    picked = torch.index_select(a, axis, indices.reshape(-1))
    return picked.reshape(*a.shape[:axis], *indices.shape, *a.shape[axis + 1 :])


def windows(torch: Any) -> dict[str, Callable[..., Any]]:
    """Words of windows."""
    functional = torch.nn.functional

    def conv(x: Any, w: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
        return getattr(functional, f"conv{x.ndim - 2}d")(x, w, None, stride, padding, dilation, groups)

    def max_pool(x: Any, window: Any, stride: Any = None, padding: Any = 0) -> Any:
        return getattr(functional, f"max_pool{x.ndim - 2}d")(x, window, stride, padding)

    def avg_pool(x: Any, window: Any, stride: Any = None) -> Any:
        return getattr(functional, f"avg_pool{x.ndim - 2}d")(x, window, stride)

    return {"conv": conv, "max_pool": max_pool, "avg_pool": avg_pool}


def fused(torch: Any) -> dict[str, Callable[..., Any]]:
    """Words of fused kernels."""
    functional = torch.nn.functional

    def attention(q: Any, k: Any, v: Any, mask: Any = None, is_causal: bool = False, scale: Any = None) -> Any:
        """PyTorch takes a mask, or the causal one."""
        if mask is not None and is_causal:
            causal = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
            mask, is_causal = mask & causal, False
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=is_causal, scale=scale)

    def layer_norm(x: Any, weight: Any = None, bias: Any = None, epsilon: float = 1e-5, axis: int = -1) -> Any:
        """PyTorch's takes the last axes."""
        last = x.movedim(axis, -1)
        return functional.layer_norm(last, last.shape[-1:], weight, bias, epsilon).movedim(-1, axis)

    def rms_norm(x: Any, weight: Any = None, epsilon: float = 1e-5, axis: int = -1) -> Any:
        last = x.movedim(axis, -1)
        return functional.rms_norm(last, last.shape[-1:], weight, epsilon).movedim(-1, axis)

    def batch_norm(x: Any, weight: Any = None, bias: Any = None, epsilon: float = 1e-5) -> Any:
        if x.numel() == x.shape[1]:
            raise Unsupported("ops.batch_norm: PyTorch takes no single value in each channel")
        return functional.batch_norm(x, None, None, weight, bias, training=True, eps=epsilon)

    norms: dict[str, Callable[..., Any]] = {"layer_norm": layer_norm, "rms_norm": rms_norm, "batch_norm": batch_norm}
    return {"scaled_dot_product_attention": attention, **norms}


def algebra(torch: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Linear algebra."""
    linalg = torch.linalg

    def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
        return linalg.solve_triangular(a, b, upper=not lower)

    words = {"cholesky": linalg.cholesky, "solve": of_systems(linalg.solve), "inv": linalg.inv}
    words["slogdet"] = lambda a: linalg.slogdet(a)[1]
    return of_lapack({**words, "solve_triangular": of_systems(solve_triangular)}, "PyTorch", dtype)


def of_two(torch: Any, name: str) -> Callable[..., Any]:
    """A function of two tensors, one of which may be a number."""
    function = getattr(torch, name)
    return lambda a, b: function(torch.as_tensor(a), torch.as_tensor(b))


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """One that takes an axis, several, or None for all, and `keepdims`."""

    def reduced(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return function(a, dim=tuple(range(a.ndim)) if axis is None else axis, keepdim=keepdims)

    return reduced


def prod(torch: Any, a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """PyTorch's multiplies along one axis: several are made one."""
    if isinstance(axis, int):
        return torch.prod(a, dim=axis, keepdim=keepdims)
    axes = axes_of(axis, a.ndim)
    kept = [each for each in range(a.ndim) if each not in axes]
    rows = torch.permute(a, (*kept, *axes)).reshape(*(a.shape[each] for each in kept), -1)
    result = torch.prod(rows, dim=-1)
    return result.reshape([1 if each in axes else a.shape[each] for each in range(a.ndim)]) if keepdims else result


def corrected(function: Callable[..., Any]) -> Callable[..., Any]:
    """A variance or its root, with the correction that the problem asks for, which is 1 unless one is stated."""

    def reduced(a: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
        return function(a, dim=axis, correction=correction, keepdim=keepdims)

    return reduced


def norm(function: Callable[..., Any]) -> Callable[..., Any]:
    """A norm of vectors."""

    def reduced(a: Any, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Any:
        return function(a, ord=ord, dim=axis, keepdim=keepdims)

    return reduced


class Torch(Engine):
    """PyTorch, imported."""

    def __init__(self) -> None:
        import torch

        self.torch: Any = torch
        self.version = torch.__version__
        self.functions = {dtype: {**primitives(torch, dtype), **algebra(torch, dtype)} for dtype in FORMATS}

    def use(self, device: str, tf32: bool) -> None:
        cuda, number = self.torch.cuda, device.partition(":")[2]
        if not cuda.is_available():
            raise Unavailable(f"PyTorch {self.version} sees no CUDA device")
        if int(number or 0) >= cuda.device_count():
            raise Unavailable(f"PyTorch sees no {device}: expected a number below {cuda.device_count()}")
        self.torch.set_default_device(device)
        matmul = self.torch.backends.cuda.matmul
        matmul.allow_tf32 = self.torch.backends.cudnn.allow_tf32 = tf32
        # Otherwise float16 and bfloat16 products may be summed in their own precision.
        matmul.allow_fp16_reduced_precision_reduction = matmul.allow_bf16_reduced_precision_reduction = False

    def threads(self) -> int | None:
        return int(self.torch.get_num_threads())

    def packages(self) -> dict[str, str]:
        return {"torch": self.version}

    def evaluate(self, graph: InterpretedGraph, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        kind = getattr(self.torch, dtype)
        self.torch.set_default_dtype(kind)  # of Python numbers that meet no tensor
        self.primitives = self.functions[dtype]
        leaves = {name: self.array(array, dtype_of(array, dtype)) for name, array in inputs.items()}
        try:
            loss, gradients, values, adjoints = self.differentiate(graph, leaves, wrt)
        except RuntimeError as error:  # a NotImplementedError is one
            if "not implemented" in str(error):  # fused kernels have no second derivative
                raise Unsupported(f"PyTorch has no kernel for it: {' '.join(str(error).split())}") from error
            raise
        return Answer(self.numbers(loss), self._arrays(gradients), self._arrays(values), self._arrays(adjoints))

    def differentiate(
        self, graph: InterpretedGraph, leaves: Tensors, wrt: Sequence[str]
    ) -> tuple[Any, Tensors, Tensors, Tensors]:
        """The loss, the gradients, the watched values and their adjoints."""
        for name in wrt:
            leaves[name].requires_grad_()
        ops = Operations(self.primitives, lambda _, value: self._zeros_like(value))
        loss = graph.loss(ops, **leaves)
        loss = loss + self._zeros_like(loss)  # so that it has a gradient even if only stop_gradient uses it
        sources = [leaves[name] for name in wrt] + list(ops.offsets.values())
        found = self.torch.autograd.grad(loss, sources, materialize_grads=True)
        return loss, dict(zip(wrt, found)), ops.values, dict(zip(ops.offsets, found[len(wrt) :]))

    def _zeros_like(self, value: Any) -> Any:
        return self.torch.zeros_like(value, requires_grad=True)

    def array(self, array: np.ndarray, dtype: str) -> Any:
        return self.torch.tensor(array).to(getattr(self.torch, dtype))

    def numbers(self, tensor: Any) -> np.ndarray:
        converted = tensor.float() if tensor.dtype == self.torch.bfloat16 else tensor
        return converted.numpy(force=True)  # type: ignore[no-any-return]

    def begin_file(self) -> None:
        super().begin_file()
        self.torch.manual_seed(SEED)
        self.torch.set_default_dtype(self.torch.float32)

    def whole_file(self, file: ModuleType, size: tuple[int, ...], dtype: str) -> WholeFile:
        from gradcheck.backends._torch_files import TorchFile

        self.begin_file()
        self.torch.set_default_dtype(getattr(self.torch, dtype))
        return TorchFile(self.torch, file, size)

    def _arrays(self, tensors: Tensors) -> Arrays:
        return {name: self.numbers(tensor) for name, tensor in tensors.items()}


def load() -> Engine:
    """Import PyTorch."""
    return Torch()
