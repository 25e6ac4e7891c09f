"""JAX: jax.value_and_grad of jax.numpy's functions, compiled with jax.jit."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._arguments import NORMS, each_axis, of_lapack, of_systems, refused, with_ddof
from gradcheck.backends._engine import Answer, Engine, Unavailable, Unsupported
from gradcheck.backends._functional import FunctionalEngine, Leaves, Loss
from gradcheck.backends._indexing import gathered

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

    from gradcheck.backends._engine import Arrays
    from gradcheck.backends._worker.graph import InterpretedGraph
    from gradcheck.backends._worker.whole_files import WholeFile

MODULE = "jax"
DISTRIBUTION = "jax"
RELEASE = "0.10.2"
REQUIREMENTS = ("numpy",)
# Before 0.4.26 it reads what NumPy 2 has removed; before 0.4.30 jaxlib is not among its requirements.
OLDER_REQUIREMENTS = {"0.4.26": ("jax[cpu]", "numpy<2"), "0.4.30": ("jax[cpu]", "numpy")}
PYTHON = ((3, 11), None)
DEVICES = {"cuda": {"requirements": ("jax[cuda12]", "numpy")}}
# XLA's code for the CPU flushes subnormal numbers. Those of float16 are ordinary float32 numbers to it, since a fused
# kernel continues in float32 if the request is for float16.
FORMATS = {
    "float64": {"flushes": True},
    "float32": {"flushes": True},
    "float16": {"accumulator": "float32", "excess_precision": True},
    "bfloat16": {"accumulator": "float32", "flushes": True, "excess_precision": True},
}
LACKS: dict[str, str] = {}


def primitives(jax: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """The vocabulary in JAX's own functions, with the signatures that problems use."""
    same = [
        *("matmul", "outer", "sum", "prod", "mean", "max", "min", "maximum", "any", "all", "argmax", "argmin"),
        *("reshape", "matrix_transpose", "moveaxis", "squeeze", "broadcast_to"),
        *("concat", "stack"),
        *("exp", "log", "log1p", "expm1", "sqrt", "abs", "tanh", "sin", "cos"),
    ]

    def where(condition: Any, a: Any, b: Any) -> Any:
        """Numbers as arrays: the sum of what JAX makes of two numbers is float64."""
        a, b = (jax.numpy.asarray(each, dtype) if isinstance(each, (int, float)) else each for each in (a, b))
        return jax.numpy.where(condition, a, b)

    return {
        **{name: getattr(jax.numpy, name) for name in same},
        "astype": lambda a: jax.numpy.astype(a, dtype),
        "var": with_ddof(jax.numpy.var),
        "std": with_ddof(jax.numpy.std),
        "cumulative_sum": lambda a, axis=0: jax.numpy.cumsum(a, axis),
        "cumulative_prod": lambda a, axis=0: jax.numpy.cumprod(a, axis),
        "vector_norm": jax.numpy.linalg.vector_norm,
        **{name: getattr(jax.numpy, name) for name in ("flip", "roll", "tile", "repeat", "tril", "triu")},
        "pad": lambda a, pad_width, constant_values=0.0: jax.numpy.pad(a, pad_width, constant_values=constant_values),
        "vecdot": lambda a, b, axis=-1: jax.numpy.vecdot(a, b, axis=axis),
        "tensordot": lambda a, b, axes=2: jax.numpy.tensordot(a, b, axes),
        "einsum": lambda operands, subscripts: jax.numpy.einsum(subscripts, *operands),
        "diagonal": lambda a, offset=0: jax.numpy.diagonal(a, offset, -2, -1),
        "permute_dims": jax.numpy.transpose,  # its own permute_dims takes no negative axes
        "expand_dims": lambda a, axis=0: jax.numpy.expand_dims(a, axis),
        **indexing(jax, dtype),
        **windows(jax),
        "where": where,
        "argsort": lambda a, axis=-1, descending=False: jax.numpy.argsort(a, axis, descending=descending),
        "sort": lambda a, axis=-1, descending=False: jax.numpy.sort(a, axis=axis, descending=descending),
        **{
            name: getattr(jax.nn, name)
            for name in ("sigmoid", "relu", "softplus", "softmax", "log_softmax", "logsumexp")
        },
        **entries(jax),
        **fused(jax, dtype),
        **algebra(jax, dtype),
        "stop_gradient": jax.lax.stop_gradient,
        "directional_derivative": functools.partial(directional_derivative, jax),
    }


def directional_derivative(jax: Any, function: Any, sources: Leaves, directions: Leaves) -> tuple[Any, Leaves]:
    """The derivative of a function along directions, by reverse mode, which may be differentiated again."""
    (_, others), found = jax.value_and_grad(function, has_aux=True)(sources)
    return sum(jax.numpy.sum(directions[name] * each) for name, each in found.items()), others


def indexing(jax: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Words of indices."""
    return {
        "gather": gathered,
        "take": lambda a, indices, axis=0: jax.numpy.take(a, indices, axis=axis),
        "take_along_axis": lambda a, indices, axis=-1: jax.numpy.take_along_axis(a, indices, axis=axis),
        "one_hot": lambda indices, num_classes: jax.nn.one_hot(indices, num_classes, dtype=dtype),
        "at_add": lambda a, *operands: a.at[operands[:-1]].add(operands[-1]),
    }


def entries(jax: Any) -> dict[str, Callable[..., Any]]:
    """Further words that work entry by entry."""
    return {
        **{name: getattr(jax.numpy, name) for name in ("square", "minimum", "exp2", "log2", "log10")},
        **{name: getattr(jax.numpy, name) for name in ("tan", "sinh", "cosh", "sign", "floor", "ceil", "round")},
        **{name: getattr(jax.lax, name) for name in ("rsqrt", "erf", "erfc", "lgamma", "digamma")},
        **{name: getattr(jax.lax, name) for name in ("asin", "acos", "atan")},
        **{name: getattr(jax.lax, name) for name in ("asinh", "acosh", "atanh")},
        **{name: getattr(jax.nn, name) for name in ("silu", "log_sigmoid", "leaky_relu", "elu")},
        "gelu": lambda a, approximate=False: jax.nn.gelu(a, approximate=approximate),
        **{name: getattr(jax.numpy, name) for name in ("logaddexp", "hypot")},
        "atan2": jax.numpy.arctan2,
        "clip": lambda a, min=None, max=None: jax.numpy.clip(a, min, max),
    }


def windows(jax: Any) -> dict[str, Callable[..., Any]]:
    """Words of windows."""
    lax = jax.lax

    def conv(x: Any, w: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
        axes = x.ndim - 2
        return lax.conv_general_dilated(
            x,
            w,
            each_axis(stride, axes),
            [(pad, pad) for pad in each_axis(padding, axes)],
            rhs_dilation=each_axis(dilation, axes),
            feature_group_count=groups,
        )

    def pooled(x: Any, first: float, function: Any, window: Any, stride: Any, padding: Any) -> Any:
        lengths = each_axis(window, x.ndim - 2)
        steps = lengths if stride is None else each_axis(stride, x.ndim - 2)
        pads = [(0, 0), (0, 0), *((pad, pad) for pad in each_axis(padding, x.ndim - 2))]
        return lax.reduce_window(x, first, function, (1, 1, *lengths), (1, 1, *steps), pads)

    def max_pool(x: Any, window: Any, stride: Any = None, padding: Any = 0) -> Any:
        return pooled(x, -math.inf, lax.max, window, stride, padding)

    def avg_pool(x: Any, window: Any, stride: Any = None) -> Any:
        return pooled(x, 0.0, lax.add, window, stride, 0) / math.prod(each_axis(window, x.ndim - 2))

    return {"conv": conv, "max_pool": max_pool, "avg_pool": avg_pool}


def fused(jax: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Words of fused kernels."""

    def attention(q: Any, k: Any, v: Any, mask: Any = None, is_causal: bool = False, scale: Any = None) -> Any:
        """JAX's takes (batch, length, heads, features), and a mask (batch, heads, queries, keys)."""
        heads = q.shape[-3] if q.ndim > 3 else 1
        arranged = [each.reshape(-1, heads, *each.shape[-2:]).swapaxes(1, 2) for each in (q, k, v)]
        if mask is not None:
            whole = (*q.shape[:-1], k.shape[-2])
            mask = jax.numpy.broadcast_to(mask, whole).reshape(-1, heads, *whole[-2:])
        result = jax.nn.dot_product_attention(*arranged, mask=mask, is_causal=is_causal, scale=scale)
        return result.swapaxes(1, 2).reshape(*q.shape[:-1], v.shape[-1])

    words = {"scaled_dot_product_attention": attention}
    if dtype == "float64":
        words = refused(words, "JAX computes the softmax of attention in float32")
    return {**words, **refused(NORMS, "jax.nn has none; its users write it out")}


def algebra(jax: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Linear algebra."""
    import jax.scipy.linalg as scipy_linalg

    words = {name: getattr(jax.numpy.linalg, name) for name in ("cholesky", "inv")}
    words["slogdet"] = lambda a: jax.numpy.linalg.slogdet(a)[1]
    words["solve"] = of_systems(jax.numpy.linalg.solve)
    words["solve_triangular"] = of_systems(scipy_linalg.solve_triangular)
    return of_lapack(words, "JAX", dtype)


class Jax(FunctionalEngine):
    """JAX, imported, with float64 switched on.

    Args:
        compiled: whether the loss and its gradients are compiled as a whole.
    """

    def __init__(self, compiled: bool = True) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_platforms", "cpu")
        self.jax: Any = jax
        self.version = jax.__version__
        self.functions = {dtype: primitives(jax, dtype) for dtype in FORMATS}
        self.compiled = compiled
        self.losses = functools.lru_cache(super().loss_of)  # jax.jit knows a function by its identity
        self.gradient_of = functools.lru_cache(self._gradient_of)

    def use(self, device: str, tf32: bool) -> None:
        self.jax.config.update("jax_platforms", "cuda,cpu")
        try:
            known = self.jax.devices("cuda")
        except RuntimeError as error:
            raise Unavailable(f"JAX {self.version} sees no CUDA device: {error}") from error
        number = int(device.partition(":")[2] or 0)
        if number >= len(known):
            raise Unavailable(f"JAX sees no {device}: expected a number below {len(known)}")
        self.jax.config.update("jax_default_device", known[number])
        # Otherwise a float32 product may use TF32 without a request.
        self.jax.config.update("jax_default_matmul_precision", "tensorfloat32" if tf32 else "highest")

    def packages(self) -> dict[str, str]:
        import jaxlib

        return {"jax": self.version, "jaxlib": jaxlib.__version__}

    def evaluate(self, graph: InterpretedGraph, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        self.primitives = self.functions[dtype]
        try:
            return super().evaluate(graph, inputs, wrt, dtype)
        except (ValueError, self.jax.errors.JaxRuntimeError) as error:
            if "not supported" in str(error):
                raise Unsupported(f"XLA has no kernel for it: {error}".splitlines()[0]) from error
            raise

    def loss_of(self, graph: InterpretedGraph) -> Loss:
        return self.losses(graph)

    def array(self, array: np.ndarray, dtype: str) -> Any:
        return self.jax.numpy.asarray(array, dtype=dtype)

    def zeros_like(self, value: Any) -> Any:
        return self.jax.numpy.zeros_like(value)

    def numbers(self, array: Any) -> np.ndarray:
        import numpy

        return numpy.asarray(array.astype("float32") if array.dtype.name == "bfloat16" else array)

    def whole_file(self, file: ModuleType, size: tuple[int, ...], dtype: str) -> WholeFile:
        from gradcheck.backends._jax_files import JaxFile

        self.begin_file()
        return JaxFile(self.jax, file, size)

    def offsets(self, graph: InterpretedGraph, leaves: Leaves) -> Leaves:
        shapes = self.jax.eval_shape(functools.partial(super().offsets, graph), leaves)
        return {name: self.zeros_like(shape) for name, shape in shapes.items()}

    def differentiate(
        self, loss: Loss, sources: Leaves, offsets: Leaves, constants: Leaves
    ) -> tuple[Any, Leaves, Leaves, Leaves]:
        (value, watched), (gradients, adjoints) = self.gradient_of(loss)(sources, offsets, constants)
        return value, watched, gradients, adjoints

    def _gradient_of(self, loss: Loss) -> Callable[..., Any]:
        function = self.jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        compiled: Callable[..., Any] = self.jax.jit(function) if self.compiled else function
        return compiled


def load() -> Engine:
    """Import JAX."""
    return Jax()
