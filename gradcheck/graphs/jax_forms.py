"""Functions of `jax.nn` that a jaxpr has as several steps, and that have a word: its bounds are those of any program.

A form is found by its steps, down to the constants, and not by a name: then it is the same function.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcheck.dtypes import LAYOUTS
from gradcheck.graphs.graph import Shape
from gradcheck.graphs.rows import word

Operand = Mapping[str, int]
Nodes = Sequence[Mapping[str, Any]]
MOVES = ("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "convert_element_type", "copy")


@dataclass(frozen=True)
class Form:
    """A word in place of a step.

    Attributes:
        record: makes it.
        operand: that it is made of.
    """

    record: Callable[[Any], Any]
    operand: Operand


def form_of(nodes: Nodes, arrays: Mapping[str, Any], place: int) -> Form | None:
    """The word of a step that is the last one of a function, or None."""
    steps = _Steps(nodes, arrays)
    find = {"div": steps.softmax, "add": steps.logsumexp, "mul": steps.gelu}.get(nodes[place]["operator"])
    return find({"node": place}) if find else None


class _Steps:
    """The steps of a dump, as patterns see them."""

    def __init__(self, nodes: Nodes, arrays: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self._arrays = arrays

    def softmax(self, last: Operand) -> Form | None:
        """e/Σe with e = exp(a − max a), the maximum a constant of the gradient."""
        node = self._at(last)
        shares, total = node["operands"]
        summed = self._behind(total, MOVES)
        found = self._is_sum_of(summed, shares)
        operand = self._shifted(shares, found)
        if operand is None or found is None or len(found) != 1 or node["shape"] != self._at(shares)["shape"]:
            return None
        if not self._restores(total, found, tuple(node["shape"])):
            return None
        return Form(functools.partial(_softmax, axes=found), operand)

    def logsumexp(self, last: Operand) -> Form | None:
        """log Σe + max a, with e = exp(a − max a)."""
        node = self._at(last)
        for logarithm, shift in (node["operands"], node["operands"][::-1]):
            steps = self._at(self._behind(logarithm, MOVES))
            if steps["operator"] != "log":
                continue
            summed = self._behind(steps["operands"][0], (*MOVES, "abs"))
            if self._at(summed)["operator"] != "reduce_sum":
                continue
            shares = self._behind(self._at(summed)["operands"][0], MOVES)
            axes = self._is_sum_of(summed, shares)
            operand = self._shifted(shares, axes)
            if operand is None or axes is None or not self._is_maximum(shift, operand, axes, seen=False):
                continue
            shape = tuple(node["shape"])
            if self._restores(logarithm, (), shape) and self._restores(shift, (), shape):
                return Form(functools.partial(_logsumexp, axes=axes, shape=shape), operand)
        return None

    def gelu(self, last: Operand) -> Form | None:
        """a·Φ(a), or its form with tanh."""
        for pattern, is_approximate in FORMS_OF_GELU:
            found: dict[str, Operand] = {}
            if self._fits(last, pattern, found):
                return Form(functools.partial(_gelu, is_approximate=is_approximate), found["a"])
        return None

    def _at(self, operand: Operand) -> Mapping[str, Any]:
        return self._nodes[operand["node"]]

    def _behind(self, operand: Operand, operators: Sequence[str]) -> Operand:
        """What some steps with one operand are made of."""
        while self._at(operand)["operator"] in operators:
            (operand,) = self._at(operand)["operands"]
        return operand

    def _is_sum_of(self, summed: Operand, shares: Operand) -> tuple[int, ...] | None:
        """The axes along which one is the sum of the other, which is an exponential, or None."""
        node = self._at(summed)
        if node["operator"] != "reduce_sum" or self._at(shares)["operator"] != "exp":
            return None
        is_same = self._behind(node["operands"][0], ("convert_element_type",)) == shares
        return tuple(node["options"]["axes"]) if is_same else None

    def _shifted(self, shares: Operand, axes: tuple[int, ...] | None) -> Operand | None:
        """What an exponential is of, if its maximum along axes is taken from it."""
        if axes is None or self._at(shares)["operator"] != "exp":
            return None
        difference = self._at(self._at(shares)["operands"][0])
        if difference["operator"] != "sub":
            return None
        operand, shift = difference["operands"]
        shape = tuple(difference["shape"])
        is_whole = shape == tuple(self._at(operand)["shape"])
        if not is_whole or not self._is_maximum(shift, operand, axes, seen=False):
            return None
        return operand if self._restores(shift, axes, shape) else None

    def _is_maximum(self, shift: Operand, operand: Operand, axes: tuple[int, ...], seen: bool) -> bool:
        """Whether it is the maximum along axes, as a constant of the gradient."""
        node = self._at(shift)
        name = node["operator"]
        if name == "reduce_max":
            return seen and node["operands"] == [operand] and tuple(node["options"]["axes"]) == axes
        if name in MOVES or name == "stop_gradient":
            return self._is_maximum(node["operands"][0], operand, axes, seen or name == "stop_gradient")
        if name == "max":
            first, second = node["operands"]
            return self._number(first) == -math.inf and self._is_maximum(second, operand, axes, seen)
        if name == "select_n" and self._at(node["operands"][0])["operator"] == "is_finite":
            return self._is_maximum(node["operands"][2], operand, axes, seen)
        return False

    def _restores(self, operand: Operand, axes: tuple[int, ...], shape: Shape) -> bool:
        """Whether a reduction of an array with a shape stands along its axes again; without axes, in its order."""
        found = self._places(operand)
        if found is None:
            return False
        if not axes:
            return found.shape == shape and bool((found.reshape(-1) == np.arange(found.size)).all())
        reduced = tuple(size for axis, size in enumerate(shape) if axis not in axes)
        expected = np.expand_dims(np.arange(math.prod(reduced)).reshape(reduced), axes)
        spread = np.broadcast_to(found, shape) if found.ndim == len(shape) else found
        return spread.shape == shape and bool((spread == expected).all())

    def _places(self, operand: Operand) -> Any:
        """The place in the last reduction that each entry of a value comes from; None if steps between do more."""
        node = self._at(operand)
        name, shape = node["operator"], tuple(node["shape"])
        if name in ("reduce_sum", "reduce_max"):
            return np.arange(math.prod(shape)).reshape(shape)
        inner = self._places(node["operands"][{"max": 1, "select_n": 2}.get(name, 0)])
        if inner is None or name != "broadcast_in_dim":
            return None if inner is None or inner.size != math.prod(shape) else inner.reshape(shape)
        between = [1] * len(shape)
        for axis, size in zip(node["options"].get("broadcast_dimensions", ()), inner.shape, strict=True):
            between[axis] = size
        return np.broadcast_to(inner.reshape(between), shape)

    def _number(self, operand: Operand) -> float | None:
        """The number that each entry of a constant is."""
        node = self._at(self._behind(operand, MOVES))
        array = self._arrays[node["name"]] if node["operator"] == "constant" else np.zeros(0)
        is_one = array.size > 0 and array.dtype.kind == "f" and bool((array == array.flat[0]).all())
        return float(array.flat[0]) if is_one else None

    def _fits(self, operand: Operand, pattern: Any, found: dict[str, Operand]) -> bool:
        """Whether a value is made like a pattern; the operands of sums and products may be in any order."""
        operand = self._behind(operand, ("copy",))
        if isinstance(pattern, str):
            return found.setdefault(pattern, operand) == operand
        if isinstance(pattern, float):
            number, dtype = self._number(operand), self._at(operand)["dtype"]
            return number is not None and dtype in LAYOUTS and _is_rounded(number, pattern, dtype)
        node, (name, *parts) = self._at(operand), pattern
        if node["operator"] != name or node.get("options", {}).get("y", 3) != 3:
            return False
        orders = [parts, parts[::-1]] if name in ("add", "mul") else [parts]
        for order in orders:
            trial = dict(found)
            if all(self._fits(each, part, trial) for each, part in zip(node["operands"], order, strict=True)):
                found.update(trial)
                return True
        return False


CUBE = ("integer_pow", "a")
TANH = ("tanh", ("mul", math.sqrt(2 / math.pi), ("add", "a", ("mul", 0.044715, CUBE))))
FORMS_OF_GELU = (
    (("mul", "a", ("mul", 0.5, ("add", 1.0, TANH))), True),
    (("mul", ("mul", 0.5, "a"), ("erfc", ("mul", ("neg", "a"), math.sqrt(0.5)))), False),
)


def _is_rounded(number: float, exact: float, dtype: str) -> bool:
    """Whether a number is a real one in a dtype."""
    return abs(number - exact) <= 2.0 ** -LAYOUTS[dtype].bits * abs(exact)


def _softmax(a: Any, axes: tuple[int, ...]) -> Any:
    return word("softmax")(a, axes[0])


def _gelu(a: Any, is_approximate: bool) -> Any:
    return word("gelu")(a, is_approximate)


def _logsumexp(a: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """The word, in a shape that may keep the axes."""
    result = word("logsumexp")(a, axes)
    return result if result.shape == shape else word("reshape")(result, shape)
