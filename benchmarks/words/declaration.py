"""What a random loss must know about a word, and what the tables of words have in common.

The same functions work on NumPy arrays, where they are a correct hand-written backend, and on object arrays of Arb
balls, where they are the truth: NumPy calls the methods of the entries of an object array.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb

Array = np.ndarray[Any, Any]
Parts = Sequence[Array | None]
FLOATS, INTEGERS, BOOLEANS = "fib"
"""The kinds of operands, as in NumPy's dtypes."""
# Numbers that no binary fraction holds are among them: an engine rounds these to its dtype.
NUMBERS = (0.5, -2.0, 0.1, 1.7, 3.0)
AXES = (None, -1, 0)


@dataclass(frozen=True)
class Word:
    """One word of the vocabulary.

    Operands whose shapes do not fit are those for which `value` raises an error, or `fits` is false.

    Attributes:
        text: how a problem's file spells it, with the operands as {0}, {1}, … and the attribute as {n}.
        value: (attribute, *operands) -> result.
        gradients: (attribute, gradient, result, *operands) -> the operands' gradients, which may have the result's
            shape; None for those that are no floats.
        attributes: the possible attributes.
        before: the word that usually precedes it, so that the operand is in the domain.
        kinds: of the operands, if not all are floats.
        fits: (attribute, *operands) -> whether they fit, where `value` takes more than the word.
    """

    text: str
    value: Callable[..., Array]
    gradients: Callable[..., Parts]
    attributes: Sequence[Any] = (None,)
    before: str | None = None
    kinds: str = ""
    fits: Callable[..., bool] = lambda *_: True

    @property
    def operands(self) -> str:
        """The kinds of the operands."""
        fields = {field for _, field, _, _ in string.Formatter().parse(self.text) if field and field[0].isdigit()}
        return self.kinds or FLOATS * len({field[0] for field in fields})


Words = Mapping[str, Word]


class Tie(Exception):
    """Two branches are equally right."""


def chosen(a: Array, b: Any, yes: Array, no: Array) -> Array:
    """`yes` where a > b, else `no`.

    Raises:
        Tie: balls leave it open: then more than one gradient is right.
    """
    return np.where(greater(a, b), yes, no)


def greater(a: Array, b: Any) -> Array:
    """Where a > b.

    Raises:
        Tie: balls leave it open.
    """
    found = np.asarray(a > b, bool)
    if is_exact(a) and not np.all(found | np.asarray(a < b, bool)):
        raise Tie
    return found


def is_exact(a: Array) -> bool:
    """Whether an array is of balls."""
    return np.asarray(a).dtype == object


def in_balls(a: Array) -> Array:
    """An array with Arb balls as entries; those that are numbers are exact."""
    return np.asarray(np.frompyfunc(lambda x: x if isinstance(x, arb) else arb(float(x)), 1, 1)(a), object)


def numbers(like: Array, values: Any) -> Array:
    """Numbers in the arithmetic of another array."""
    return in_balls(np.asarray(values)) if is_exact(like) else np.asarray(values).astype(like.dtype)


def nothing(like: Array) -> Array:
    """The gradient of an unselected branch: 0, and in floats 0 times its gradient, as in engines."""
    return np.full(like.shape, arb(0)) if is_exact(like) else np.asarray(0 * like)


def has_axis(axis: Any, a: Array) -> bool:
    """Whether an array has an axis, or whether `axis` is none, for all."""
    return axis is None or a.ndim > 0


def along(g: Array, a: Array, axis: int | None) -> Array:
    """A gradient of a reduction, or its result, with the axis of its operand again."""
    return g if axis is None else np.expand_dims(g, axis)


def exponentials(a: Array, axis: int | None) -> tuple[Array, Array]:
    """The largest entry, and e to the power of the distances from it."""
    largest = np.max(a, axis=axis, keepdims=True)
    return largest, np.exp(a - largest)


def log_sum_exp(a: Array, axis: int | None) -> Array:
    """With the axes of the operand."""
    largest, terms = exponentials(a, axis)
    return np.asarray(largest + np.log(np.sum(terms, axis=axis, keepdims=True)))


def shares(a: Array, axis: int | None) -> Array:
    """Softmax."""
    _, terms = exponentials(a, axis)
    return np.asarray(terms / np.sum(terms, axis=axis, keepdims=True))
