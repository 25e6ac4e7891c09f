"""MLX: mx.value_and_grad over MLX's own operations, on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Answer, Engine, Unsupported
from gradcheck.backends._functional import FunctionalEngine, Leaves, Loss

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

    from gradcheck.backends._engine import Arrays

    Function = Callable[..., Any]

MODULE = "mlx"
DISTRIBUTION = "mlx"
RELEASE = "0.32.4"
REQUIREMENTS = ("mlx[cpu]", "numpy")
PYTHON = ((3, 10), None)
FORMATS: dict[str, dict[str, object]] = {"float64": {}, "float32": {}, "float16": {}, "bfloat16": {}}
LACKS: dict[str, str] = {}

POINTS = (-2.3, -0.9, 0.7, 1.9, 3.1)
NARROW = 1e-11
"""Relative error far beyond float64's (2e-16, and some ulps for conditioning) and far below float32's (6e-8)."""


def primitives(mx: Any, nn: Any, dtype: str) -> dict[str, Function]:
    """The vocabulary in MLX's own functions, with the signatures that problems use."""
    same = [
        *("matmul", "transpose", "outer", "sum", "mean", "max", "maximum", "reshape", "concatenate"),
        *("exp", "log", "log1p", "expm1", "sqrt", "abs", "tanh", "sin", "cos"),
        *("sigmoid", "logsumexp", "stop_gradient"),
    ]

    def where(condition: Any, a: Any, b: Any) -> Any:
        """Numbers as arrays: of two numbers MLX makes float32."""
        a, b = (mx.array(each, getattr(mx, dtype)) if isinstance(each, (int, float)) else each for each in (a, b))
        return mx.where(condition, a, b)

    return {
        **{name: getattr(mx, name) for name in same},
        "where": where,
        "relu": nn.relu,
        "softplus": nn.softplus,
        "softmax": lambda a, axis=-1: mx.softmax(a, axis=axis),
    }


def _sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def _softplus(a: float) -> float:
    return math.log1p(math.exp(a))


def _bell(a: float) -> float:
    return _sigmoid(a) * _sigmoid(-a)


TRUTH: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "exp": (math.exp, math.exp),
    "log": (math.log, lambda a: 1 / a),
    "log1p": (math.log1p, lambda a: 1 / (1 + a)),
    "expm1": (math.expm1, math.exp),
    "sqrt": (math.sqrt, lambda a: 0.5 / math.sqrt(a)),
    "tanh": (math.tanh, lambda a: 1 / math.cosh(a) ** 2),
    "sin": (math.sin, math.cos),
    "cos": (math.cos, lambda a: -math.sin(a)),
    "sigmoid": (_sigmoid, _bell),
    "softplus": (_softplus, _sigmoid),
    "softmax": (_sigmoid, _bell),
    "logsumexp": (_softplus, _sigmoid),
}
"""Each function that may be computed in too narrow a dtype, and its derivative; those of rows are taken of (a, 0)."""

OF_ROWS: dict[str, Callable[[Function], Function]] = {
    "softmax": lambda function: lambda rows: function(rows, axis=1)[:, 0],
    "logsumexp": lambda function: lambda rows: function(rows, axis=1),
}


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

    def evaluate(self, problem: ModuleType, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        self.primitives = self.functions[dtype]
        return super().evaluate(problem, inputs, wrt, dtype)

    def array(self, array: np.ndarray, dtype: str) -> Any:
        return self.mx.array(array, dtype=getattr(self.mx, dtype))  # left out, float64 becomes float32

    def zeros_like(self, value: Any) -> Any:
        return self.mx.zeros_like(value)

    def numbers(self, array: Any) -> np.ndarray:
        array = array.astype(self.mx.float32) if array.dtype == self.mx.bfloat16 else array
        return self.numpy.array(array)  # type: ignore[no-any-return]

    def differentiate(
        self, loss: Loss, sources: Leaves, offsets: Leaves, constants: Leaves
    ) -> tuple[Any, Leaves, Leaves, Leaves]:
        function = self.mx.value_and_grad(lambda *leaves: loss(*leaves, constants), argnums=(0, 1))
        (value, watched), (gradients, adjoints) = function(sources, offsets)
        return value, watched, gradients, adjoints

    def _refusals(self) -> dict[str, Function]:
        """Of each function that is no better than float32 in float64, one that says so."""
        found = {name: self._narrowness(name) for name in TRUTH}
        return {name: _refusing(f"MLX {self.version} computes {said}") for name, said in found.items() if said}

    def _narrowness(self, name: str) -> str | None:
        """How far off a function or its derivative is at its worst, where that is too far for float64."""
        value, derivative = TRUTH[name]
        points = [point for point in POINTS if point > 0 or name not in ("log", "log1p", "sqrt")]
        for title, results, true in zip(
            (name, f"the derivative of {name}"), self._measured(name, points), (value, derivative)
        ):
            errors = [abs(result / true(point) - 1) for result, point in zip(results, points)]
            if not max(errors) <= NARROW:
                at = points[errors.index(max(errors))]
                return f"{title} in float32 where float64 is asked for: off by {max(errors):.1e} at {at}"
        return None

    def _measured(self, name: str, points: Sequence[float]) -> tuple[list[float], list[float]]:
        """A function's values and derivatives in float64."""
        mx, function = self.mx, self.functions["float64"][name]
        a = mx.array(points, dtype=mx.float64)
        if name in OF_ROWS:
            function = _of_rows(mx, OF_ROWS[name](function))
        return function(a).tolist(), mx.grad(lambda a: mx.sum(function(a)))(a).tolist()


def _of_rows(mx: Any, function: Function) -> Function:
    return lambda a: function(mx.stack([a, mx.zeros_like(a)], axis=1))


def _refusing(reason: str) -> Function:
    def refuse(*_: Any, **__: Any) -> Any:
        raise Unsupported(reason)

    return refuse


def load() -> Engine:
    """Import MLX."""
    return MLX()
