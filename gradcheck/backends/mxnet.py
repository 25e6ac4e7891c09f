"""Apache MXNet: mxnet.autograd over the operations of mx.np and mx.npx, on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._arguments import FUSED, each_axis, of_systems, refused, vector_norm, with_ddof
from gradcheck.backends._engine import Answer, Engine, Operations, Unsupported, dtype_of
from gradcheck.backends._indexing import along_axis, axes_of, gathered

if TYPE_CHECKING:
    import numpy as np

    from gradcheck.backends._engine import Arrays
    from gradcheck.backends._worker.graph import InterpretedGraph

MODULE = "mxnet"
DISTRIBUTION = "mxnet"
RELEASE = "1.9.1"
# The last release: it reads np.bool, which NumPy 1.24 removed, and imports distutils, which Python 3.12 removed.
REQUIREMENTS = ("numpy==1.23.5",)
PYTHON = ((3, 9), (3, 12))
FORMATS: dict[str, dict[str, object]] = {"float64": {}, "float32": {}}
LACKS = {
    "float16": "MXNet has no float16 matrix product on the CPU",
    "bfloat16": "MXNet has no bfloat16 arrays in mx.np",
}


def primitives(mxnet: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """The vocabulary in MXNet's own functions, with the signatures that problems use."""
    np, npx = mxnet.np, mxnet.npx
    same = [
        *("matmul", "outer", "sum", "prod", "mean", "max", "min", "maximum", "reshape"),
        *("exp", "log", "log1p", "expm1", "sqrt", "abs", "tanh", "sin", "cos"),
    ]

    def logsumexp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """MXNet has none."""
        largest = np.max(a, axis=axis, keepdims=True).detach()
        result = largest + np.log(np.sum(np.exp(a - largest), axis=axis, keepdims=True))
        return result if keepdims else np.squeeze(result, axis=axis)

    def where(condition: Any, a: Any, b: Any) -> Any:
        """Numbers as arrays: of two numbers MXNet makes float32, and beside one the array's gradient is wrong.

        The number's place gets it: https://github.com/apache/mxnet/issues/17893, fixed only in 2.0.
        """
        a, b = (np.array(each, dtype=dtype) if isinstance(each, (int, float)) else each for each in (a, b))
        return np.where(condition, a, b)

    return {
        **{name: getattr(np, name) for name in same},
        "astype": lambda a: a.astype(dtype),
        **indexing(np, npx, dtype),
        **entries(np, npx),
        **algebra(mxnet),
        "var": with_ddof(np.var, whole=True),
        "std": with_ddof(np.std, whole=True),
        "vector_norm": vector_norm(np),
        **windows(npx),
        "cumulative_sum": lambda a, axis=0: np.cumsum(a, axis % a.ndim),
        **refused(("cumulative_prod",), "MXNet has no cumulative products"),
        "sigmoid": npx.sigmoid,
        "relu": npx.relu,
        "any": np.any,
        **ordering(np),
        "all": np.all,
        "softmax": lambda a, axis=-1: npx.softmax(a, axis=axis),
        "log_softmax": lambda a, axis=-1: npx.log_softmax(a, axis=axis),
        "softplus": lambda a: npx.activation(a, act_type="softrelu"),
        "logsumexp": logsumexp,
        "where": where,
        "concat": lambda arrays, axis=0: np.concatenate(arrays, axis=axis),
        "stack": lambda arrays, axis=0: np.stack(arrays, axis=axis),
        **moves(np),
        **refused(FUSED, "MXNet 1.9.1 has none; its users write it out"),
        **norms(np, npx, dtype),
        "stop_gradient": lambda a: a.detach(),
    }


def norms(np: Any, npx: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Words of normalisation."""

    def affine(x: Any, weight: Any, bias: Any, axis: int) -> tuple[Any, Any]:
        """MXNet requires both."""
        length = x.shape[axis]
        weight = np.ones(length, dtype=dtype) if weight is None else weight
        return weight, np.zeros(length, dtype=dtype) if bias is None else bias

    def batch_norm(x: Any, weight: Any = None, bias: Any = None, epsilon: float = 1e-5) -> Any:
        statistics = [np.zeros(x.shape[1], dtype=dtype) for _ in range(2)]
        return npx.batch_norm(x, *affine(x, weight, bias, 1), *statistics, eps=epsilon, fix_gamma=False)

    def layer_norm(x: Any, weight: Any = None, bias: Any = None, epsilon: float = 1e-5, axis: int = -1) -> Any:
        return npx.layer_norm(x, *affine(x, weight, bias, axis), axis, epsilon)

    return {"layer_norm": layer_norm, "batch_norm": batch_norm}


def ordering(np: Any) -> dict[str, Callable[..., Any]]:
    """Words of sorted entries, and of places in their order; MXNet has the ascending order alone."""

    def sort(a: Any, axis: int = -1, descending: bool = False) -> Any:
        ascending = np.sort(a, axis=axis)
        return np.flip(ascending, axis) if descending else ascending

    def argsort(a: Any, axis: int = -1, descending: bool = False) -> Any:
        constant = a.detach()
        ascending = np.moveaxis(np.sort(constant, axis=axis), axis, -1)
        if (ascending[..., 1:] == ascending[..., :-1]).any():
            raise Unsupported("ops.argsort: MXNet's does not keep the order of equal entries")
        return np.argsort(-constant if descending else constant, axis=axis)

    def place(function: Callable[..., Any]) -> Callable[..., Any]:
        """MXNet's keeps no axes."""

        def placed(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
            found = function(a.detach(), axis)
            if not keepdims:
                return found
            return found.reshape((1,) * a.ndim) if axis is None else np.expand_dims(found, axis)

        return placed

    return {"sort": sort, "argsort": argsort, "argmax": place(np.argmax), "argmin": place(np.argmin)}


def indexing(np: Any, npx: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Words of indices; MXNet has no `take_along_axis`."""
    return {
        "gather": gathered,
        "take": lambda a, indices, axis=0: np.take(a, indices, axis=axis),
        "take_along_axis": lambda a, indices, axis=-1: along_axis(np, a, indices, axis),
        "one_hot": lambda indices, num_classes: npx.one_hot(indices, num_classes, dtype=dtype),
        **refused(("at_add",), "MXNet 1.9.1 has no addition at indices"),
    }


def entries(np: Any, npx: Any) -> dict[str, Callable[..., Any]]:
    """Further words that work entry by entry."""

    def rectified(a: Any, **form: Any) -> Any:
        """MXNet fails with an array without axes."""
        return npx.leaky_relu(a, **form) if a.ndim else npx.leaky_relu(a.reshape(1), **form).reshape(())

    def gelu(a: Any, approximate: bool = False) -> Any:
        """MXNet has the exact form alone; its users write the other one."""
        if approximate:
            return 0.5 * a * (1.0 + np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)))
        return rectified(a, act_type="gelu")

    return {
        **{name: getattr(np, name) for name in ("square", "minimum", "log2", "log10", "tan", "sinh", "cosh")},
        **{name: getattr(np, name) for name in ("sign", "floor", "ceil")},
        **{name: getattr(np, f"arc{name[1:]}") for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
        "round": np.rint,
        "exp2": lambda a: np.power(2.0, a),  # mx.np has none
        "log_sigmoid": lambda a: -npx.activation(-a, act_type="softrelu"),
        "leaky_relu": lambda a, negative_slope=0.01: rectified(a, act_type="leaky", slope=negative_slope),
        "elu": lambda a, alpha=1.0: rectified(a, act_type="elu", slope=alpha),
        "rsqrt": lambda a: 1.0 / np.sqrt(a),  # mx.np has none
        "erf": npx.erf,
        "lgamma": npx.gammaln,
        "silu": lambda a: a * npx.sigmoid(a),  # as its own gluon.nn.Swish has it
        "gelu": gelu,
        "hypot": np.hypot,
        "atan2": np.arctan2,
        "clip": lambda a, min=None, max=None: np.clip(a, min, max),
    }


def windows(npx: Any) -> dict[str, Callable[..., Any]]:
    """Words of windows."""

    def conv(x: Any, w: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
        steps, pads, gaps = (each_axis(each, x.ndim - 2) for each in (stride, padding, dilation))
        return npx.convolution(
            x, w, kernel=w.shape[2:], num_filter=w.shape[0], num_group=groups, no_bias=True,
            stride=steps, pad=pads, dilate=gaps,
        )  # fmt: skip

    def max_pool(x: Any, window: Any, stride: Any = None, padding: Any = 0) -> Any:
        lengths, pads = (each_axis(each, x.ndim - 2) for each in (window, padding))
        steps = lengths if stride is None else each_axis(stride, x.ndim - 2)
        return npx.pooling(x, kernel=lengths, stride=steps, pad=pads, pool_type="max")

    def avg_pool(x: Any, window: Any, stride: Any = None) -> Any:
        lengths = each_axis(window, x.ndim - 2)
        steps = lengths if stride is None else each_axis(stride, x.ndim - 2)
        return npx.pooling(x, kernel=lengths, stride=steps, pool_type="avg")

    return {"conv": conv, "max_pool": max_pool, "avg_pool": avg_pool}


def moves(np: Any) -> dict[str, Callable[..., Any]]:
    """Words that move entries, and products over several axes."""

    def moving(function: Callable[..., Any]) -> Callable[..., Any]:
        """One that moves booleans too, which MXNet's own does not."""

        def moved(a: Any, *places: Any, **axes: Any) -> Any:
            if a.dtype == bool:
                return function(a.astype("uint8"), *places, **axes).astype(bool)
            return function(a, *places, **axes)

        return moved

    def pad(a: Any, pad_width: Any, constant_values: float = 0.0) -> Any:
        if a.ndim == 1:  # its gradient fails: a vector is a row
            return pad(a[None], ((0, 0), *pad_width), constant_values)[0]
        return np.pad(a, pad_width, "constant", constant_values=constant_values)

    return {
        **{name: moving(getattr(np, name)) for name in ("moveaxis", "squeeze", "broadcast_to")},
        **{name: moving(getattr(np, name)) for name in ("roll", "tile", "repeat", "tril")},
        "flip": moving(lambda a, axis=None: np.flip(a, axes_of(axis, a.ndim))),
        "pad": pad,
        "vecdot": lambda a, b, axis=-1: np.sum(a * b, axis=axis),  # MXNet has none
        "tensordot": lambda a, b, axes=2: np.tensordot(a, b, axes),
        "einsum": lambda operands, subscripts: np.einsum(subscripts, *operands),
        "diagonal": moving(lambda a, offset=0: np.diagonal(a, offset, -2, -1)),
        "permute_dims": moving(np.transpose),
        "matrix_transpose": moving(lambda a: np.swapaxes(a, -1, -2)),
        "expand_dims": moving(lambda a, axis=0: np.expand_dims(a, axis)),
    }


def algebra(mxnet: Any) -> dict[str, Callable[..., Any]]:
    """Linear algebra; triangular systems only MXNet's older namespace has."""
    linalg = mxnet.np.linalg

    def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
        return mxnet.nd.linalg.trsm(a.as_nd_ndarray(), b.as_nd_ndarray(), lower=lower).as_np_ndarray()

    # The gradient of its own solve fails for vectors.
    broadcast_to = mxnet.np.broadcast_to
    words = {"cholesky": linalg.cholesky, "solve": of_systems(linalg.solve, broadcast_to), "inv": linalg.inv}
    words["slogdet"] = lambda a: linalg.slogdet(a)[1]
    return {**words, "solve_triangular": of_systems(solve_triangular, broadcast_to)}


class MXNet(Engine):
    """MXNet, imported, with NumPy semantics (zero-dimensional arrays) switched on."""

    def __init__(self) -> None:
        import mxnet

        mxnet.npx.set_np()
        # MXNet's own & and | do not broadcast booleans.
        mxnet.np.ndarray.__and__ = lambda a, b: (a.astype("uint8") * b.astype("uint8")).astype(bool)
        mxnet.np.ndarray.__or__ = lambda a, b: (a.astype("uint8") + b.astype("uint8")).astype(bool)
        self.mxnet: Any = mxnet
        self.version = mxnet.__version__

    def packages(self) -> dict[str, str]:
        return {"mxnet": self.version}

    def evaluate(self, graph: InterpretedGraph, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        leaves = {name: self.array(array, dtype_of(array, dtype)) for name, array in inputs.items()}
        for name in wrt:
            leaves[name].attach_grad()
        ops = Operations(primitives(self.mxnet, dtype), lambda _, value: self._zeros_like(value))
        with self.mxnet.autograd.record():
            loss = graph.loss(ops, **leaves)
            loss = loss + self._zeros_like(loss)  # so that it has a gradient even if only stop_gradient uses it
        loss.backward()
        return Answer(
            loss=self.numbers(loss),
            gradients={name: self.numbers(leaves[name].grad) for name in wrt},
            values={name: self.numbers(value) for name, value in ops.values.items()},
            adjoints={name: self.numbers(offset.grad) for name, offset in ops.offsets.items()},
        )

    def array(self, array: np.ndarray, dtype: str) -> Any:
        return self.mxnet.np.array(array, dtype=dtype)

    def numbers(self, array: Any) -> np.ndarray:
        return array.asnumpy()  # type: ignore[no-any-return]

    def _zeros_like(self, value: Any) -> Any:
        zeros = self.mxnet.np.zeros(value.shape, dtype=value.dtype)
        zeros.attach_grad()
        return zeros


def load() -> Engine:
    """Import MXNet."""
    return MXNet()
