"""The equations of a jaxpr that are computed beforehand: they depend on no floating input, and JAX rounds none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_MOVING = """abs argmax argmin bitcast_convert_type broadcast_in_dim ceil clamp concatenate copy cummax cummin
dynamic_slice dynamic_update_slice expand_dims floor gather iota max min neg pad reduce_max reduce_min
reshape rev round scatter select_n sign slice sort split squeeze stop_gradient tile top_k transpose"""
MOVING = frozenset(_MOVING.split())
"""Primitives that round nothing."""
WHOLE = ("cond", "jit", "pjit", "scan", "while")
"""Primitives with jaxprs in them that are computed at once if these have no floating numbers."""


def is_floating(jax: Any, value: Any, dtype_of: Callable[[Mapping[str, int]], Any]) -> bool:
    """Whether a value, known or not, has floating entries."""
    dtype = dtype_of(value) if isinstance(value, dict) else value.dtype
    return bool(jax.numpy.issubdtype(dtype, jax.numpy.floating))


def in_numpy(array: Any) -> Any:
    """An array of JAX as NumPy's, with its dtype; keys of random numbers as they are."""
    import numpy

    return array if "key" in str(array.dtype) else numpy.asarray(array)


def _of_numpy(name: str) -> Callable[..., Any]:
    def computed(aval: Any, *operands: Any, **_: Any) -> Any:
        import numpy

        with numpy.errstate(all="ignore"):
            return numpy.asarray(getattr(numpy, name)(*operands), aval.dtype)

    return computed


def _select(aval: Any, which: Any, *cases: Any, **_: Any) -> Any:
    import numpy

    return numpy.broadcast_to(numpy.choose(which.astype(int), cases), aval.shape).astype(aval.dtype)


def _spread(aval: Any, array: Any, broadcast_dimensions: Sequence[int], **_: Any) -> Any:
    import numpy

    sizes = dict(zip(broadcast_dimensions, array.shape))
    between = array.reshape([sizes.get(axis, 1) for axis in range(len(aval.shape))])
    return numpy.broadcast_to(between, aval.shape)


def _numbered(aval: Any, *_: Any, dimension: int, **__: Any) -> Any:
    import numpy

    shape = [size if axis == dimension else 1 for axis, size in enumerate(aval.shape)]
    return numpy.broadcast_to(numpy.arange(aval.shape[dimension], dtype=aval.dtype).reshape(shape), aval.shape)


_NAMES = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "max": "maximum",
    "min": "minimum",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "not": "invert",
}
IN_NUMPY: dict[str, Callable[..., Any]] = {
    **{primitive: _of_numpy(name) for primitive, name in _NAMES.items()},
    "select_n": _select,
    "broadcast_in_dim": _spread,
    "iota": _numbered,
    "reshape": lambda aval, array, **_: array.reshape(aval.shape),
    "squeeze": lambda aval, array, **_: array.reshape(aval.shape),
    "convert_element_type": lambda aval, array, **_: array.astype(aval.dtype),
}
"""Primitives that NumPy computes, for which JAX would compile a kernel each."""


class Folding:
    """The computation of known equations.

    Args:
        jax: the imported framework.
    """

    def __init__(self, jax: Any) -> None:
        self._jax = jax
        self._computing: dict[int, tuple[Any, bool]] = {}

    def __call__(self, equation: Any, operands: Sequence[Any]) -> list[Any] | None:
        """The results of an equation of known operands; None if JAX may round in it, or it has loops and floats."""
        floats = any(self._is_floating(each.aval) for each in equation.outvars)
        inner = inner_jaxprs(equation)
        if inner and (equation.primitive.name not in WHOLE or any(map(self._has_floats, inner))):
            return None
        if floats and not self._may_be_exact(equation):
            return None
        results = self._computed(equation, operands)
        is_exact = not floats or self._is_exact(equation.primitive.name, operands, results[0])
        return results if is_exact else None

    def _computed(self, equation: Any, operands: Sequence[Any]) -> list[Any]:
        import numpy

        if equation.primitive.name == "platform_index":
            default = len(equation.params["platforms"]) - 1
            return [numpy.asarray(default, "int32")]
        quick = IN_NUMPY.get(equation.primitive.name)
        if quick is not None and all(type(each).__module__ == "numpy" for each in operands):
            return [quick(equation.outvars[0].aval, *operands, **equation.params)]
        found = equation.primitive.bind(*operands, **equation.params)
        return [in_numpy(each) for each in (found if equation.primitive.multiple_results else [found])]

    def _may_be_exact(self, equation: Any) -> bool:
        name = equation.primitive.name
        return name in MOVING or name in ("convert_element_type", "add", "sub", "mul")

    def _is_exact(self, name: str, operands: Sequence[Any], result: Any) -> bool:
        import numpy

        if name in MOVING:
            return True
        if name == "convert_element_type":
            source, target = (numpy.asarray(each) for each in (operands[0], result))
            return bool(numpy.array_equal(source.astype(numpy.float64), target.astype(numpy.float64), equal_nan=True))
        left, right, found = (numpy.asarray(each).astype(numpy.float64) for each in (*operands, result))
        with numpy.errstate(all="ignore"):
            if name == "mul":
                error = of_product(left, right, found)
            else:
                error = of_sum(left, -right if name == "sub" else right, found)
        return bool((error == 0).all())

    def _is_floating(self, aval: Any) -> bool:
        return hasattr(aval, "dtype") and bool(self._jax.numpy.issubdtype(aval.dtype, self._jax.numpy.floating))

    def _has_floats(self, jaxpr: Any) -> bool:
        """Whether a jaxpr computes a floating number somewhere."""
        if id(jaxpr) not in self._computing:
            found = any(
                any(self._is_floating(each.aval) for each in equation.outvars)
                or any(self._has_floats(each) for each in inner_jaxprs(equation))
                for equation in jaxpr.eqns
            )
            self._computing[id(jaxpr)] = jaxpr, found
        return self._computing[id(jaxpr)][1]


def inner_jaxprs(equation: Any) -> list[Any]:
    """The jaxprs among the parameters of an equation."""
    found = []
    for value in equation.params.values():
        for each in value if isinstance(value, (tuple, list)) else (value,):
            body = getattr(each, "jaxpr", each)
            if hasattr(body, "eqns"):
                found.append(body)
    return found


def of_sum(left: Any, right: Any, found: Any) -> Any:
    """The rounding error of a sum in float64 (Knuth's TwoSum); that of a narrower dtype is not zero either."""
    total = left + right
    part = total - left
    return ((left - (total - part)) + (right - part)) + (total - found)


def of_product(left: Any, right: Any, found: Any) -> Any:
    """The rounding error of a product in float64 (Dekker's); NaN of products so small that it may underflow."""
    product = left * right
    high, low = _halves(left)
    other_high, other_low = _halves(right)
    error = low * other_low - (((product - high * other_high) - low * other_high) - high * other_low)
    import numpy

    is_safe = (abs(product) > 1e-280) | (left == 0) | (right == 0)
    return numpy.where(is_safe, error + (product - found), numpy.nan)


def _halves(number: Any) -> tuple[Any, Any]:
    """A float64 as the sum of two with half of the digits (Veltkamp)."""
    scaled = number * 134217729.0
    high = scaled - (scaled - number)
    return high, number - high
