"""Comparisons, and words that select values."""

from __future__ import annotations

import numpy as np

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.instead import described
from gradcheck.graphs.shapes import Axes, normalise_axes, reduced_shape
from gradcheck.graphs.values import Operand, Value
from gradcheck.graphs.vocabulary import VOCABULARY
from gradcheck.graphs.words.declaration import Word, operation, word
from gradcheck.graphs.words.entries import is_number, shape_of, together

Condition = Value
"""A comparison, or booleans that ``sample`` gives."""
Comparable = Operand
"""Integers that are compared as such if both sides are; else they become floats."""


@operation(">", makes="boolean")
def gt(a: Comparable, b: Comparable) -> Shape:
    """The comparison a > b, as a condition for ``where``."""
    return together(a, b)


@operation(">=", makes="boolean")
def ge(a: Comparable, b: Comparable) -> Shape:
    """The comparison a ≥ b, as a condition for ``where``."""
    return together(a, b)


@operation("==", makes="boolean")
def eq(a: Comparable, b: Comparable) -> Shape:
    """Whether integers of ``sample`` are equal to others, as a condition for ``where``.

    Raises:
        TypeError: neither operand is made of integers that ``sample`` gives.
    """
    return _with_integers(a, b)


@operation("!=", makes="boolean")
def ne(a: Comparable, b: Comparable) -> Shape:
    """Whether they differ, as a condition for ``where``.

    Raises:
        TypeError: neither operand is made of integers that ``sample`` gives.
    """
    return _with_integers(a, b)


def _with_integers(a: Value, b: Value) -> Shape:
    if a.kind != "integer":
        raise TypeError("expected integers that sample gives on one side; write > or >= inside ops.where")
    return together(a, b)


@operation("&", makes="boolean")
def and_(a: Condition, b: Condition) -> Shape:
    """Where both conditions hold."""
    return together(a, b)


@operation("|", makes="boolean")
def or_(a: Condition, b: Condition) -> Shape:
    """Where one of the conditions holds, or both."""
    return together(a, b)


@operation("~", makes="boolean")
def invert(a: Condition) -> Shape:
    """Where the condition does not hold."""
    return a.shape


def any_(a: Condition, axis: Axes = None, keepdims: bool = False) -> Shape:
    """Where the condition holds somewhere along an axis, several, or all."""
    return reduced_shape(a.shape, normalise_axes(axis, a.ndim), keepdims)


def all_(a: Condition, axis: Axes = None, keepdims: bool = False) -> Shape:
    """Where the condition holds everywhere along an axis, several, or all."""
    return reduced_shape(a.shape, normalise_axes(axis, a.ndim), keepdims)


for _rule in (any_, all_):
    _name = _rule.__name__.rstrip("_")
    VOCABULARY[_name] = Word(_name, f"ops.{_name}", _rule, "boolean")


@word
def where(condition: Condition, a: Operand, b: Operand) -> Shape:
    """``a`` where the condition holds, else ``b``."""
    return np.broadcast_shapes(condition.shape, together(a, b))


@word
def maximum(a: Operand, b: Operand) -> Shape:
    """The larger of both, entry by entry."""
    return together(a, b)


@word
def minimum(a: Operand, b: Operand) -> Shape:
    """The smaller of both, entry by entry."""
    return together(a, b)


@word
def clip(a: Operand, min: float | None = None, max: float | None = None) -> Shape:
    """The nearest number of the interval from ``min`` to ``max``, entry by entry; without one of them it has no end.

    Raises:
        TypeError: an end is not a Python number, or there is none.
        ValueError: an end is not finite, or ``min`` is larger than ``max``.
    """
    ends = {name: end for name, end in (("min", min), ("max", max)) if end is not None}
    if not ends:
        raise TypeError("neither min nor max is given: expected one of them, or both")
    for name, end in ends.items():
        if not is_number(end):
            write = {"min": "ops.maximum(a, b)", "max": "ops.minimum(a, b)"}[name]
            raise TypeError(f"{name} is {described(end)}: expected a number; write {write}")
        if not abs(end) < float("inf"):
            raise ValueError(f"{name} is {described(end)}: expected a finite number; leave it out for no end")
    if len(ends) == 2 and ends["min"] > ends["max"]:
        raise ValueError(f"min is {described(min)}, max is {described(max)}: expected a min below max")
    return shape_of(a)


@word
def relu(a: Operand) -> Shape:
    """max(a, 0)."""
    return shape_of(a)


@word
def abs_(a: Operand) -> Shape:
    """The magnitude |a|."""
    return shape_of(a)


@word
def max_(a: Value, axis: Axes = None, keepdims: bool = False) -> Shape:
    """The largest entry along an axis, several, or all."""
    return reduced_shape(a.shape, normalise_axes(axis, a.ndim), keepdims)


@word
def sign(a: Operand) -> Shape:
    """−1, 0 or 1, as a is below, at or above zero; its gradient is zero."""
    return shape_of(a)


@word
def floor(a: Operand) -> Shape:
    """The largest integer that is not larger than a; its gradient is zero."""
    return shape_of(a)


@word
def ceil(a: Operand) -> Shape:
    """The smallest integer that is not smaller than a; its gradient is zero."""
    return shape_of(a)


@word
def round_(a: Operand) -> Shape:
    """The integer nearest to a, of two the even one; its gradient is zero."""
    return shape_of(a)
