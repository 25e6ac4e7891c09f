"""TensorFlow: tf.GradientTape over the functions of tf, tf.math and tf.nn, run one by one, on the CPU."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._arguments import FUSED, each_axis, last_channels, of_lapack, of_systems, refused
from gradcheck.backends._engine import Answer, Engine, Operations, Unsupported, dtype_of
from gradcheck.backends._indexing import axes_of

if TYPE_CHECKING:
    import numpy as np

    from gradcheck.backends._engine import Arrays
    from gradcheck.backends._worker.graph import InterpretedGraph

MODULE = "tensorflow"
# On Linux the distribution of that name computes on NVIDIA's GPUs too, and is three times as large.
DISTRIBUTION = "tensorflow-cpu" if sys.platform == "linux" else "tensorflow"
RELEASE = "2.21.0"
REQUIREMENTS = ("numpy",)
# Its wheels before 2.18 are built for NumPy 1, and those before 2.15 do not say so.
OLDER_REQUIREMENTS = {"2.18": ("numpy<2",)}
PYTHON = ((3, 10), (3, 14))
# Its threads read and write subnormal numbers as zero; those of float16 are ordinary float32 numbers to its kernels.
# oneDNN rounds a product in bfloat16, but TensorFlow asks it where the processor has AVX512F or AVX-NE-CONVERT alone
# (`IsBF16SupportedByOneDNNOnThisCPU` in core/util/util.cc). Elsewhere, and with TF_ENABLE_ONEDNN_OPTS=0, the product is
# a float32 one of which the upper half is kept (`FloatToBFloat16` in core/framework/bfloat16.cc).
FORMATS = {
    "float64": {"flushes": True},
    "float32": {"flushes": True},
    "float16": {"accumulator": "float32"},
    "bfloat16": {"accumulator": "float32", "flushes": True, "truncates_products": True},
}
LACKS: dict[str, str] = {}

LACKING = (
    "Could not find device for node",
    "has DataType",
    "is not in the list of allowed values",
    "No OpKernel was registered",
)
"""TensorFlow's words where an operation, or one of its gradient, has no kernel in a dtype."""

Differentiated = Callable[[Mapping[str, Any]], "tuple[Any, ...]"]
"""Inputs by name -> the loss, gradients, watched values, adjoints."""


def primitives(tf: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """The vocabulary in TensorFlow's own functions, with the signatures that problems use."""
    same = [
        *("reshape", "squeeze", "broadcast_to", "stack"),
        *("exp", "sqrt", "abs", "tanh", "sin", "cos", "sigmoid", "stop_gradient"),
    ]
    number = functools.partial(tf.convert_to_tensor, dtype=dtype)  # of two numbers TensorFlow makes float32
    return {
        **{name: getattr(tf, name) for name in same},
        **{name: getattr(tf.math, name) for name in ("log", "log1p", "expm1")},
        **{name: getattr(tf.nn, name) for name in ("relu", "softplus", "softmax", "log_softmax")},
        **entries(tf, dtype),
        **{name: getattr(tf, f"reduce_{name}") for name in ("sum", "prod", "mean", "max", "min", "logsumexp")},
        **{name: getattr(tf, f"reduce_{name}") for name in ("any", "all")},
        **algebra(tf, dtype),
        "astype": lambda a: tf.cast(a, dtype),
        **ordering(tf),
        **indexing(tf, dtype),
        "matmul": functools.partial(product, tf),
        "outer": functools.partial(tf.tensordot, axes=0),
        "var": functools.partial(variance, tf),
        "std": lambda *arguments, **options: tf.sqrt(variance(tf, *arguments, **options)),
        "cumulative_sum": tf.cumsum,
        "cumulative_prod": tf.math.cumprod,
        "vector_norm": functools.partial(vector_norm, tf),
        **windows(tf),
        "maximum": lambda a, b: tf.maximum(number(a), number(b)),
        "where": lambda condition, a, b: tf.where(condition, number(a), number(b)),
        **copies(tf),
        **refused(FUSED, "TensorFlow has none; Keras writes it out"),
        "vecdot": lambda a, b, axis=-1: tf.reduce_sum(a * b, axis),  # TensorFlow has none
        "tensordot": lambda a, b, axes=2: tf.tensordot(a, b, axes),
        "einsum": lambda operands, subscripts: tf.einsum(subscripts, *operands),
        "permute_dims": lambda a, axes: tf.transpose(a, [axis % a.ndim for axis in axes]),
        "matrix_transpose": tf.linalg.matrix_transpose,
        "moveaxis": tf.experimental.numpy.moveaxis,
        "expand_dims": lambda a, axis=0: tf.expand_dims(a, axis),
        "concat": lambda arrays, axis=0: tf.concat(arrays, axis),
        "directional_derivative": functools.partial(directional_derivative, tf),
    }


def directional_derivative(
    tf: Any, function: Any, sources: Mapping[str, Any], directions: Mapping[str, Any]
) -> tuple[Any, Mapping[str, Any]]:
    """The derivative of a function along directions, by reverse mode, which may be differentiated again."""
    with tf.GradientTape() as tape:
        tape.watch(sources)
        value, others = function(sources)
    found = tape.gradient(value, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    slopes = [tf.reduce_sum(directions[name] * tf.convert_to_tensor(each)) for name, each in found.items()]
    return tf.add_n(slopes), others


def ordering(tf: Any) -> dict[str, Callable[..., Any]]:
    """Words of sorted entries, and of places in their order."""

    def place(function: Callable[..., Any]) -> Callable[..., Any]:
        """TensorFlow's takes one axis, and drops it."""

        def placed(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
            if axis is None:
                return tf.reshape(function(tf.reshape(a, [-1]), 0), [1] * (a.ndim if keepdims else 0))
            found = function(a, axis)
            return tf.expand_dims(found, axis) if keepdims else found

        return placed

    def argsort(a: Any, axis: int = -1, descending: bool = False) -> Any:
        return tf.cast(tf.argsort(a, axis, direction(descending), stable=True), tf.int64)

    def direction(descending: bool) -> str:
        return "DESCENDING" if descending else "ASCENDING"

    return {
        "sort": lambda a, axis=-1, descending=False: tf.sort(a, axis, direction(descending)),
        "argsort": argsort,
        **{name: place(getattr(tf, name)) for name in ("argmax", "argmin")},
    }


def entries(tf: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Further words that work entry by entry."""
    number = functools.partial(tf.convert_to_tensor, dtype=dtype)

    def elu(a: Any, alpha: float = 1.0) -> Any:
        """TensorFlow's has α = 1; Keras has other ones so."""
        result = tf.nn.elu(a)
        return result if alpha == 1 else tf.where(a > 0, result, alpha * result)

    return {
        **{name: getattr(tf.math, name) for name in ("square", "rsqrt", "erf", "tan", "asin", "acos", "atan")},
        **{name: getattr(tf.math, name) for name in ("sinh", "cosh", "asinh", "acosh", "atanh")},
        **{name: getattr(tf.math, name) for name in ("erfc", "lgamma", "digamma")},
        **{name: getattr(tf.math, name) for name in ("sign", "floor", "ceil", "round", "log_sigmoid")},
        **{name: getattr(tf.nn, name) for name in ("silu", "gelu")},
        "leaky_relu": lambda a, negative_slope=0.01: tf.nn.leaky_relu(a, negative_slope),
        "elu": elu,
        # It has neither of these; its users write them out.
        "exp2": lambda a: tf.pow(number(2.0), a),
        "log2": lambda a: tf.math.log(a) / math.log(2),
        "log10": lambda a: tf.math.log(a) / math.log(10),
        "minimum": lambda a, b: tf.minimum(number(a), number(b)),
        "clip": functools.partial(clipped, tf),
        "atan2": lambda a, b: tf.atan2(number(a), number(b)),
        # It has neither of these; its users write them out.
        "hypot": lambda a, b: tf.sqrt(tf.square(number(a)) + tf.square(number(b))),
        "logaddexp": lambda a, b: tf.reduce_logsumexp(tf.stack(tf.experimental.numpy.broadcast_arrays(a, b), -1), -1),
    }


def windows(tf: Any) -> dict[str, Callable[..., Any]]:
    """Words of windows; on the CPU channels are last."""

    def padded(x: Any, padding: Any, value: float) -> Any:
        pads = [(pad, pad) for pad in each_axis(padding, x.ndim - 2)]
        return tf.pad(x, [(0, 0), *pads, (0, 0)], constant_values=value) if any(map(any, pads)) else x

    def conv(x: Any, w: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
        filters = tf.transpose(w, (*range(2, w.ndim), 1, 0))
        steps, gaps = (each_axis(each, x.ndim - 2) for each in (stride, dilation))
        if groups > 1 and x.ndim != 4:
            raise Unsupported("ops.conv: TensorFlow has convolutions of groups along two axes alone")
        layout = ("NWC", "NHWC", "NDHWC")[x.ndim - 3]  # left out, its second derivative fails
        return tf.nn.convolution(padded(x, padding, 0.0), filters, steps, "VALID", layout, gaps)

    def pooled(x: Any, kind: str, window: Any, stride: Any, padding: Any) -> Any:
        if x.ndim - 2 > 2 and kind == "AVG":
            return tf.nn.avg_pool3d(x, window, window if stride is None else stride, "VALID")
        values = padded(x, padding, -math.inf)
        return tf.nn.pool(values, each_axis(window, x.ndim - 2), kind, each_axis(stride or window, x.ndim - 2))

    def max_pool(x: Any, window: Any, stride: Any = None, padding: Any = 0) -> Any:
        return pooled(x, "MAX", window, stride, padding)

    def avg_pool(x: Any, window: Any, stride: Any = None) -> Any:
        return pooled(x, "AVG", window, stride, 0)

    words: dict[str, Callable[..., Any]] = {"conv": conv, "max_pool": max_pool, "avg_pool": avg_pool}
    return {name: last_channels(each, tf.transpose) for name, each in words.items()}


def copies(tf: Any) -> dict[str, Callable[..., Any]]:
    """Words that reverse, shift, repeat and cut out entries."""
    numpy = tf.experimental.numpy

    def roll(a: Any, shift: Any, axis: Any = None) -> Any:
        """TensorFlow's takes axes alone, and a shift for each."""
        if axis is None:
            return tf.reshape(tf.roll(tf.reshape(a, [-1]), shift, 0), a.shape)
        return tf.roll(a, [shift] * len(axis) if isinstance(axis, tuple) and isinstance(shift, int) else shift, axis)

    return {
        "flip": lambda a, axis=None: tf.reverse(a, axes_of(axis, a.ndim)),
        "roll": roll,
        "tile": numpy.tile,
        "repeat": lambda a, repeats, axis=None: tf.repeat(a, repeats, axis=axis),
        "pad": lambda a, pad_width, constant_values=0.0: tf.pad(a, pad_width, constant_values=constant_values),
        "tril": numpy.tril,
        "triu": numpy.triu,
        "diagonal": lambda a, offset=0: tf.linalg.diag_part(a, k=offset),
    }


def algebra(tf: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Linear algebra."""
    linalg = tf.linalg

    def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
        return linalg.triangular_solve(a, b, lower=lower)

    words = {"cholesky": linalg.cholesky, "solve": of_systems(linalg.solve, tf.broadcast_to), "inv": linalg.inv}
    words["slogdet"] = lambda a: linalg.slogdet(a)[1]
    words["solve_triangular"] = of_systems(solve_triangular)
    return of_lapack(words, "TensorFlow", dtype)


def product(tf: Any, a: Any, b: Any) -> Any:
    """A product of vectors and matrices; TensorFlow's `matmul` takes matrices alone."""
    if a.ndim == 1 and b.ndim > 2:
        return tf.squeeze(tf.matmul(a[tf.newaxis], b), -2)
    return tf.tensordot(a, b, axes=1) if 1 in (a.ndim, b.ndim) else tf.matmul(a, b)


def clipped(tf: Any, a: Any, min: float | None = None, max: float | None = None) -> Any:
    """The nearest number of an interval; TensorFlow's `clip_by_value` wants both of its ends."""
    if min is None or max is None:
        return tf.minimum(a, max) if min is None else tf.maximum(a, min)
    return tf.clip_by_value(a, min, max)


def variance(tf: Any, a: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """TensorFlow's, which divides by the number n of terms, times n/(n − c)."""
    biased = tf.math.reduce_variance(a, axis=axis, keepdims=keepdims)
    count = math.prod(a.shape) // math.prod(biased.shape)
    return biased * (count / (count - correction)) if correction else biased


def vector_norm(tf: Any, a: Any, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Any:
    """TensorFlow's; along two axes it has that of a matrix, which is the Euclidean one alone."""
    several = ord == 1 and isinstance(axis, tuple)
    return (
        tf.reduce_sum(tf.abs(a), axis, keepdims)
        if several
        else tf.norm(a, ord if ord == 1 else "euclidean", axis, keepdims)
    )


def indexing(tf: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Words of indices."""
    return {
        "gather": functools.partial(gather, tf),
        "take": lambda a, indices, axis=0: tf.gather(a, indices, axis=axis),
        "take_along_axis": functools.partial(take_along_axis, tf),
        "one_hot": lambda indices, num_classes: tf.one_hot(indices, num_classes, dtype=dtype),
        "at_add": functools.partial(at_add, tf),
    }


def gather(tf: Any, a: Any, *indices: Any, axis: int = 0) -> Any:
    """a[i, j]; TensorFlow's tensors take no index arrays."""
    if len(indices) == 1:
        return tf.gather(a, indices[0], axis=axis)
    if axis == 0:
        return tf.gather_nd(a, places(tf, indices))
    order = [*range(axis, axis + len(indices)), *range(axis), *range(axis + len(indices), a.ndim)]
    picked = tf.gather_nd(tf.transpose(a, order), places(tf, indices))
    new = picked.ndim - a.ndim + len(indices)
    return tf.transpose(picked, [*range(new, new + axis), *range(new), *range(new + axis, picked.ndim)])


def places(tf: Any, indices: Sequence[Any]) -> Any:
    """Integers for several axes as `gather_nd` has them, along a last axis."""
    shape = functools.reduce(tf.broadcast_static_shape, (each.shape for each in indices))
    return tf.stack([tf.broadcast_to(each, shape) for each in indices], axis=-1)


def take_along_axis(tf: Any, a: Any, indices: Any, axis: int = -1) -> Any:
    """Entries along an axis, of each row at its own."""
    axis %= a.ndim
    shape = [a.shape[each] if each != axis else indices.shape[each] for each in range(a.ndim)]
    return tf.experimental.numpy.take_along_axis(a, tf.broadcast_to(indices, shape), axis)


def at_add(tf: Any, a: Any, *operands: Any) -> Any:
    """a, to which the last operand is added at integers."""
    *indices, b = operands
    where = places(tf, indices)
    return tf.tensor_scatter_nd_add(a, where, tf.broadcast_to(b, [*where.shape[:-1], *a.shape[len(indices) :]]))


class TensorFlow(Engine):
    """TensorFlow, imported.

    Args:
        compiled: whether the loss and its gradients become a graph, by tf.function.
    """

    def __init__(self, compiled: bool = False) -> None:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # it would greet every user with its CPU's instructions
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        tf.config.set_visible_devices([], "GPU")
        # Problems write Aᵀ as A.T and products as A @ x. TensorFlow's own switch for that, its NumPy behaviour, changes
        # the dtypes of results too, or leaves vectors out.
        tf.Tensor.T = property(tf.transpose)
        tf.Tensor.__matmul__ = lambda a, b: product(tf, a, b)
        self.tf: Any = tf
        self.version = tf.__version__
        self.compiled = compiled
        self.differentiated = functools.lru_cache(self._differentiated)  # tf.function knows a function by its identity

    def threads(self) -> int | None:
        return self.tf.config.threading.get_intra_op_parallelism_threads() or None

    def packages(self) -> dict[str, str]:
        return {"tensorflow": self.version}

    def evaluate(self, graph: InterpretedGraph, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        leaves = {name: self.array(array, dtype_of(array, dtype)) for name, array in inputs.items()}
        try:
            loss, gradients, values, adjoints = self.differentiated(graph, tuple(wrt), dtype)(leaves)
        except (self.tf.errors.OpError, TypeError) as error:
            if any(lack in str(error) for lack in LACKING):
                raise Unsupported(f"TensorFlow has no kernel for it: {_first_line(error)}") from error
            raise
        return Answer(self.numbers(loss), self._arrays(gradients), self._arrays(values), self._arrays(adjoints))

    def _differentiated(self, graph: InterpretedGraph, wrt: Sequence[str], dtype: str) -> Differentiated:
        tf = self.tf

        def differentiated(leaves: Mapping[str, Any]) -> tuple[Any, ...]:
            sources = {name: leaves[name] for name in wrt}
            with tf.GradientTape() as tape:
                tape.watch(sources)
                ops = Operations(primitives(tf, dtype), lambda _, value: self._zeros_like(value, tape))
                loss = graph.loss(ops, **leaves)
            gradients, adjoints = tape.gradient(
                loss, (sources, ops.offsets), unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            return loss, gradients, ops.values, adjoints

        return tf.function(differentiated, jit_compile=False) if self.compiled else differentiated

    def _zeros_like(self, value: Any, tape: Any) -> Any:
        zeros = self.tf.zeros_like(value)
        tape.watch(zeros)
        return zeros

    def array(self, array: np.ndarray, dtype: str) -> Any:
        return self.tf.cast(array, dtype)

    def _arrays(self, tensors: Mapping[str, Any]) -> Arrays:
        return {name: self.numbers(tensor) for name, tensor in tensors.items()}

    def numbers(self, tensor: Any) -> np.ndarray:
        tensor = self.tf.convert_to_tensor(tensor)  # the gradient of `gather` is a tf.IndexedSlices
        return (self.tf.cast(tensor, "float32") if tensor.dtype == "bfloat16" else tensor).numpy()  # type: ignore[no-any-return]


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if any(lack in line for lack in LACKING)), str(error))


def load() -> Engine:
    """Import TensorFlow."""
    return TensorFlow()
