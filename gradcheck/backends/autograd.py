"""HIPS autograd: reverse mode over autograd.numpy and autograd.scipy, whose arrays are NumPy's."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._arguments import FUSED, of_lapack, of_systems, refused, vector_norm, with_ddof
from gradcheck.backends._engine import Answer, Engine, Unsupported
from gradcheck.backends._functional import FunctionalEngine, Leaves, Loss
from gradcheck.backends._indexing import along_axis, axes_of, gathered, ordered

if TYPE_CHECKING:
    import numpy as np

    from gradcheck.backends._engine import Arrays
    from gradcheck.backends._worker.graph import InterpretedGraph

MODULE = "autograd"
DISTRIBUTION = "autograd"
RELEASE = "1.9.1"
REQUIREMENTS = ("numpy", "scipy")
# Before 1.7 it reads what NumPy 2 has removed: https://github.com/HIPS/autograd/pull/622
OLDER_REQUIREMENTS = {"1.7": ("numpy<2", "scipy")}
PYTHON = ((3, 9), None)
# After mean, max, maximum and where, gradients continue in float64, since autograd computes their factors in it.
FORMATS: dict[str, dict[str, object]] = {
    "float64": {},
    "float32": {"excess_precision": True},
    "float16": {"excess_precision": True},
}
LACKS = {"bfloat16": "autograd has derivatives for NumPy's own dtypes alone"}


def primitives(np: Any, special: Any, getval: Callable[[Any], Any], dtype: str) -> dict[str, Callable[..., Any]]:
    """The vocabulary in autograd's own functions, with the signatures that problems use.

    Args:
        np: autograd.numpy.
        special: autograd.scipy.special.
        getval: takes an array out of the box that records its gradient.
        dtype: in which it computes.
    """
    same = [
        *("matmul", "outer", "sum", "prod", "mean", "max", "min", "maximum"),
        *("reshape", "moveaxis", "expand_dims", "squeeze", "stack"),
        *("exp", "log", "log1p", "expm1", "sqrt", "abs", "tanh", "sin", "cos"),
    ]

    def relu(a: Any) -> Any:
        return np.maximum(a, 0.0)

    def softmax(a: Any, axis: int = -1) -> Any:
        exponentials = np.exp(a - getval(np.max(a, axis=axis, keepdims=True)))
        return exponentials / np.sum(exponentials, axis=axis, keepdims=True)

    def where(condition: Any, a: Any, b: Any) -> Any:
        """Operands of the result's shape: of others autograd forgets to sum the gradient up."""
        zeros = np.zeros_like(getval(np.where(condition, a, b)))
        return np.where(condition, a + zeros, b + zeros)

    return {
        **{name: getattr(np, name) for name in same},
        "astype": lambda a: a.astype(dtype),
        **entries(np, special),
        **algebra(np, dtype),
        **indexing(np, dtype),
        "logsumexp": of_scalars_too(np, special.logsumexp),
        "log_softmax": lambda a, axis=-1: a - special.logsumexp(a, axis=axis, keepdims=True),
        "var": with_ddof(np.var),
        "std": with_ddof(np.std),
        "vector_norm": of_scalars_too(np, vector_norm(np)),
        "cumulative_sum": lambda a, axis=0: np.cumsum(a, axis),
        **refused(("cumulative_prod",), "autograd has no gradient of it"),
        "relu": relu,
        "softplus": lambda a: relu(a) + np.log1p(np.exp(-np.fabs(a))),
        "softmax": softmax,
        **copies(np),
        **arrangements(np),
        **refused(FUSED, "autograd has none; its users write it out"),
        "where": where,
        "any": np.any,
        **ordering(np, getval),
        "all": np.all,
        "stop_gradient": getval,
        "directional_derivative": functools.partial(directional_derivative, np),
    }


def of_scalars_too(np: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction that gets a scalar as an array of one entry: of scalars its value has an axis, or no gradient."""

    def reduced(a: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        if np.ndim(a):
            return function(a, axis=axis, keepdims=keepdims, **options)
        return function(np.reshape(a, (1,)), **options)

    return reduced


def directional_derivative(np: Any, function: Any, sources: Leaves, directions: Leaves) -> tuple[Any, Leaves]:
    """The derivative of a function along directions, by reverse mode, which may be differentiated again."""
    from autograd.differential_operators import grad_and_aux

    found, others = grad_and_aux(function)(sources)
    return sum(np.sum(directions[name] * each) for name, each in found.items()), others


def ordering(np: Any, getval: Callable[[Any], Any]) -> dict[str, Callable[..., Any]]:
    """Words of sorted entries, and of places in their order."""

    def sort(a: Any, axis: int = -1, descending: bool = False) -> Any:
        """By the places of the entries: of more than one axis, autograd's own has no gradient."""
        order = np.argsort(getval(a), axis=axis)
        return along_axis(np, a, np.flip(order, axis) if descending else order, axis)

    return {
        "sort": sort,
        "argsort": lambda a, axis=-1, descending=False: ordered(np, getval(a), axis, descending),
        "argmax": lambda a, axis=None, keepdims=False: np.argmax(getval(a), axis, keepdims=keepdims),
        "argmin": lambda a, axis=None, keepdims=False: np.argmin(getval(a), axis, keepdims=keepdims),
    }


def indexing(np: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Words of indices; autograd's `take` and `take_along_axis` have no gradient."""
    return {
        "gather": gathered,
        "take": lambda a, indices, axis=0: gathered(a, indices, axis=axis % np.ndim(a)),
        "take_along_axis": lambda a, indices, axis=-1: along_axis(np, a, indices, axis),
        "one_hot": lambda indices, num_classes: np.eye(num_classes, dtype=dtype)[indices],
        **refused(("at_add",), "autograd has no addition at indices"),
    }


def entries(np: Any, special: Any) -> dict[str, Callable[..., Any]]:
    """Further words that work entry by entry; autograd lacks those of neural networks, and its users write them out."""

    def of_scipy(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda a: function(a).astype(a.dtype)  # SciPy has no float16

    sigmoid, erf = of_scipy(special.expit), of_scipy(special.erf)

    def gelu(a: Any, approximate: bool = False) -> Any:
        if approximate:
            return 0.5 * a * (1.0 + np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)))
        return 0.5 * a * (1.0 + erf(a / math.sqrt(2)))

    def log_sigmoid(a: Any) -> Any:
        return -(np.maximum(-a, 0.0) + np.log1p(np.exp(-np.fabs(a))))

    def elu(a: Any, alpha: float = 1.0) -> Any:
        return np.where(a > 0, a, alpha * np.expm1(np.where(a > 0, 0.0, a)))

    return {
        **{name: getattr(np, name) for name in ("square", "minimum", "exp2", "log2", "log10")},
        **{name: getattr(np, name) for name in ("tan", "sinh", "cosh", "sign", "floor", "ceil", "round")},
        **{name: getattr(np, f"arc{name[1:]}") for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
        "log_sigmoid": log_sigmoid,
        "leaky_relu": lambda a, negative_slope=0.01: np.where(a > 0, a, negative_slope * a),
        "elu": elu,
        "rsqrt": lambda a: 1.0 / np.sqrt(a),
        "sigmoid": sigmoid,
        "erf": erf,
        "erfc": of_scipy(special.erfc),
        "lgamma": of_scipy(special.gammaln),
        "digamma": of_scipy(special.digamma),
        "silu": lambda a: a * sigmoid(a),
        "gelu": gelu,
        **{name: getattr(np, name) for name in ("logaddexp", "hypot")},
        "atan2": np.arctan2,
        "clip": lambda a, min=None, max=None: np.clip(a, min, max),
    }


def arrangements(np: Any) -> dict[str, Callable[..., Any]]:
    """Words of shapes and axes, and products over axes."""

    def broadcast_to(a: Any, shape: Any) -> Any:
        """With as many axes as the result: of new ones autograd knows no gradient."""
        return np.broadcast_to(np.reshape(a, (1,) * (len(shape) - a.ndim) + a.shape), shape)

    return {
        "vecdot": lambda a, b, axis=-1: np.sum(a * b, axis=axis),  # of NumPy's autograd knows no gradient
        "tensordot": lambda a, b, axes=2: np.tensordot(a, b, axes),
        "einsum": lambda operands, subscripts: np.einsum(subscripts, *operands),
        "broadcast_to": broadcast_to,
        "permute_dims": np.transpose,
        "matrix_transpose": lambda a: np.swapaxes(a, -1, -2),
        "expand_dims": lambda a, axis=0: np.expand_dims(a, axis),
        "concat": np.concatenate,
    }


def copies(np: Any) -> dict[str, Callable[..., Any]]:
    """Words that reverse, shift, repeat and cut out entries."""

    def flip(a: Any, axis: Any = None) -> Any:
        """By an index: of NumPy's flip autograd knows no gradient."""
        axes = axes_of(axis, a.ndim)
        return a[tuple(slice(None, None, -1) if each in axes else slice(None) for each in range(a.ndim))]

    def roll(a: Any, shift: Any, axis: Any = None) -> Any:
        """One axis after the other: of several at once autograd has no gradient."""
        if not isinstance(axis, tuple):
            return np.roll(a, shift, axis)
        for one, each in zip(shift if isinstance(shift, tuple) else (shift,) * len(axis), axis):
            a = np.roll(a, one, each)
        return a

    def diagonal(a: Any, offset: int = 0) -> Any:
        """Of a piece of the matrices: autograd knows the gradient of the main diagonal alone, by these axes."""
        piece = a[..., offset:] if offset >= 0 else a[..., -offset:, :]
        side = min(piece.shape[-2:])
        return np.diagonal(piece[..., :side, :side], 0, -1, -2)

    def pad(a: Any, pad_width: Any, constant_values: float = 0.0) -> Any:
        return np.pad(a, pad_width, "constant", constant_values=constant_values)

    return {
        "flip": flip,
        "roll": roll,
        # For fewer repetitions than axes its gradient is wrong.
        "tile": lambda a, repetitions: np.tile(a, (1,) * (a.ndim - len(repetitions)) + tuple(repetitions)),
        "repeat": lambda a, repeats, axis=None: np.repeat(a, repeats, axis if axis is None else axis % a.ndim),
        "pad": pad,
        "tril": lambda a, k=0: np.tril(a, k=k),
        "triu": lambda a, k=0: np.triu(a, k=k),
        "diagonal": diagonal,
    }


def algebra(np: Any, dtype: str) -> dict[str, Callable[..., Any]]:
    """Linear algebra."""
    import autograd.scipy.linalg

    def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
        if a.ndim > 2 or b.ndim > 2:
            raise Unsupported("ops.solve_triangular: autograd solves one system alone")
        return autograd.scipy.linalg.solve_triangular(a, b, lower=lower)

    words = {name: getattr(np.linalg, name) for name in ("cholesky", "inv")}
    words["slogdet"] = lambda a: np.linalg.slogdet(a)[1]
    words["solve"] = of_systems(np.linalg.solve, np.broadcast_to)
    words["solve_triangular"] = solve_triangular
    return of_lapack(words, "NumPy", dtype)


class Autograd(FunctionalEngine):
    """HIPS autograd, imported."""

    def __init__(self) -> None:
        import autograd
        import autograd.numpy
        import autograd.scipy.special
        import autograd.tracer

        self.autograd: Any = autograd
        self.getval: Callable[[Any], Any] = autograd.tracer.getval
        self.functions = {
            dtype: primitives(autograd.numpy, autograd.scipy.special, self.getval, dtype) for dtype in FORMATS
        }
        self.version = _version("autograd")

    def packages(self) -> dict[str, str]:
        return {"autograd": self.version, "scipy": _version("scipy")}

    def evaluate(self, graph: InterpretedGraph, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        self.primitives = self.functions[dtype]
        return super().evaluate(graph, inputs, wrt, dtype)

    def array(self, array: np.ndarray, dtype: str) -> Any:
        return array.astype(dtype)

    def zeros_like(self, value: Any) -> Any:
        return self.autograd.numpy.zeros_like(value)

    def numbers(self, array: Any) -> np.ndarray:
        return self.autograd.numpy.asarray(array)  # type: ignore[no-any-return]

    def differentiate(
        self, loss: Loss, sources: Leaves, offsets: Leaves, constants: Leaves
    ) -> tuple[Any, Leaves, Leaves, Leaves]:
        watched: dict[str, Any] = {}

        def scalar(sources: Leaves, offsets: Leaves, zero: Any) -> Any:
            value, values = loss(sources, offsets, constants)
            watched.update({name: self.getval(each) for name, each in values.items()})
            return value + zero  # so that it has a gradient even if only stop_gradient uses it

        zero = self.autograd.numpy.zeros((), dtype=next(iter(sources.values())).dtype)
        function = self.autograd.value_and_grad(scalar, argnum=(0, 1, 2))
        value, (gradients, adjoints, _) = function(sources, offsets, zero)
        return value, watched, _like(gradients, sources), _like(adjoints, offsets)


def _like(gradients: Leaves, leaves: Leaves) -> Leaves:
    """Gradients in the dtype of their inputs."""
    return {name: gradient.astype(leaves[name].dtype) for name, gradient in gradients.items()}


def _version(distribution: str) -> str:
    from importlib import metadata

    return metadata.version(distribution)


def load() -> Engine:
    """Import HIPS autograd."""
    return Autograd()
