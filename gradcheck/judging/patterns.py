"""Patterns: the relation of a wrong array to the true one, if one sentence describes every entry.

Pure; docs/math.md, D2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Transform = Callable[[Array], Array]

ROUNDINGS = 16
"""How many roundings a pattern may cost in addition to the errors of its operands."""
LONGEST_SHIFT = 2


@dataclass(frozen=True)
class Wrong:
    """A wrong array and the true one.

    Attributes:
        got: the backend's array, float64.
        true: the right array, of the same shape.
        allowed: the largest error of a correct backend, entry by entry.
        roundoff: the unit roundoff of the backend's dtype.
        terms: the contributions to `true`, where it is a sum of several.
        sizes: lengths of axes in the problem: the possible factors of a forgotten mean or scale.
        assigned: `true` where it is a sum at indices, with the last one only of the terms of each place.
    """

    got: Array
    true: Array
    allowed: Array
    roundoff: float
    terms: Sequence[Array] = ()
    sizes: Iterable[int] = ()
    assigned: Array | None = None

    def fits(self, expected: Array, allowed: Array) -> bool:
        """Whether every entry fits a pattern of the truth, within rounding."""
        tolerance = allowed + ROUNDINGS * self.roundoff * np.abs(expected)
        return bool(np.all(np.abs(self.got - expected) <= tolerance))

    def is_image(self, transform: Transform) -> bool:
        """Whether it is the truth after a linear map that adds no terms of different signs."""
        return self.fits(transform(self.true), np.abs(transform(self.allowed)))


class Pattern(NamedTuple):
    """A wrong array in words that follow "it is"; `exact` means that no lost digits can look like it."""

    text: str
    exact: bool = True


def pattern(wrong: Wrong) -> Pattern | None:
    """The pattern of the array; None if no pattern fits every entry.

    An entry that is not finite fits no pattern.
    """
    with np.errstate(all="ignore"):
        if not (wrong.got.size and np.all(np.isfinite(wrong.got)) and np.all(np.isfinite(wrong.allowed))):
            return None
        return next(found(wrong), None)


def found(wrong: Wrong) -> Iterator[Pattern]:
    """Every pattern that fits, the most informative one first.

    Lost digits may leave zero, and lost digits in a common factor may change all entries in the same way.
    """
    if not np.any(wrong.got):
        yield Pattern("zero", exact=False)
        return
    yield from map(Pattern, exact_patterns(wrong))
    factor = measured_factor(wrong)
    if factor is not None and wrong.is_image(lambda array: factor * array):
        yield Pattern(f"{factor_in_words(factor)} × the truth", exact=False)


def exact_patterns(wrong: Wrong) -> Iterator[str]:
    """The patterns that only a wrong formula makes."""
    for sentence, number in named_factors(wrong.sizes):
        if wrong.is_image(lambda array, number=number: number * array):  # type: ignore[misc]
            yield sentence
    yield from (name for name, transform in moved(wrong.true.shape) if wrong.is_image(transform))
    if wrong.assigned is not None and wrong.fits(wrong.assigned, wrong.allowed):
        yield "the last term of each index alone (np.add.at(d, i, g) is meant where d[i] = g or d[i] += g is written?)"
    yield from of_terms(wrong)
    yield from summed_over_axes(wrong)
    yield from off_by_constants(wrong)


def is_off_by_a_constant(wrong: Wrong, axis: int) -> bool:
    """Whether the error is the same along an axis, by the most accurate entry, and visible in most entries."""
    best = np.argmin(wrong.allowed, axis, keepdims=True)
    constant = np.take_along_axis(wrong.got - wrong.true, best, axis)
    seen = np.abs(constant) > 4 * wrong.allowed
    known = np.take_along_axis(wrong.allowed, best, axis)
    return bool(2 * np.count_nonzero(seen) >= seen.size) and wrong.fits(wrong.true + constant, wrong.allowed + known)


def named_factors(sizes: Iterable[int]) -> Iterator[tuple[str, float]]:
    """The factors that people forget or write twice, each with its sentence."""
    for name, factor in (("−1", -1.0), ("2", 2.0), ("1/2", 0.5), ("−2", -2.0)):
        yield f"{name} × the truth", factor
    for size in dict.fromkeys(size for size in sizes if size > 2):
        root = math.sqrt(size)
        for name, factor in ((f"{size}", size), (f"1/{size}", 1 / size), (f"√{size}", root), (f"1/√{size}", 1 / root)):
            yield f"{name} × the truth ({size} is the length of an axis)", float(factor)


def measured_factor(wrong: Wrong) -> float | None:
    """The factor at the most accurate entry; None if it is visible in fewer than half of the entries."""
    telling = np.flatnonzero(np.abs(wrong.true) > 4 * wrong.allowed)
    if len(telling) < 2:
        return None
    number = telling[np.argmax(np.abs(wrong.true).flat[telling])]
    factor = float(Fraction(float(wrong.got.flat[number])) / Fraction(float(wrong.true.flat[number])))
    seen = np.abs((factor - 1) * wrong.true) > wrong.allowed
    return factor if 2 * np.count_nonzero(seen) >= np.count_nonzero(wrong.true) else None


def factor_in_words(factor: float) -> str:
    """A factor with enough digits to distinguish it from 1.

    >>> factor_in_words(0.3), factor_in_words(1 + 2.0**-40)
    ('0.3', '(1 + 9.1e-13)')
    """
    off = factor - 1
    if abs(off) >= 1e-6:
        return f"{factor:.7g}"
    return f"(1 {'+' if off > 0 else '−'} {abs(off):.1e})"


def moved(shape: Sequence[int]) -> Iterator[tuple[str, Transform]]:
    """The entries of the truth in other places."""
    if len(shape) == 2 and shape[0] == shape[1] > 1:
        yield "the transpose of the truth", np.transpose
    for axis, size in enumerate(shape):
        if size > 1:
            yield f"the truth with axis {axis} reversed", lambda array, axis=axis: np.flip(array, axis)  # type: ignore[misc]
        for by in range(1, min(LONGEST_SHIFT, size - 1) + 1):
            for step in (by, -by):
                yield (
                    f"the truth shifted by {step} along axis {axis}",
                    lambda array, axis=axis, step=step: np.roll(array, step, axis),  # type: ignore[misc]
                )
                yield (
                    f"the truth shifted by {step} along axis {axis}, zeros moved in",
                    lambda array, axis=axis, step=step: shifted(array, step, axis),  # type: ignore[misc]
                )


def shifted(array: Array, step: int, axis: int) -> Array:
    """The entries moved along an axis; zeros follow them."""
    result = np.roll(array, step, axis)
    edge: list[Any] = [slice(None)] * array.ndim
    edge[axis] = slice(None, step) if step > 0 else slice(step, None)
    result[tuple(edge)] = 0.0
    return result


def of_terms(wrong: Wrong) -> Iterator[str]:
    """Patterns of a sum with too few or too many contributions."""
    count = len(wrong.terms)
    if count < 2:
        return
    for term in wrong.terms:
        if wrong.fits(term, wrong.allowed):
            yield f"one of its {count} terms alone (= where += is meant?)"
        if wrong.fits(wrong.true - term, wrong.allowed):
            yield f"without one of its {count} terms"
        if wrong.fits(wrong.true + term, wrong.allowed):
            yield f"with one of its {count} terms twice"


def summed_over_axes(wrong: Wrong) -> Iterator[str]:
    """Patterns of a wrong sum over an axis."""
    for axis, size in enumerate(wrong.true.shape):
        if size < 2:
            continue
        for name, reduce in (("sum", np.sum), ("mean", np.mean)):
            whole = np.broadcast_to(reduce(wrong.true, axis, keepdims=True), wrong.true.shape)
            if wrong.fits(whole, np.broadcast_to(np.sum(wrong.allowed, axis, keepdims=True), whole.shape)):
                yield f"the {name} of the truth over axis {axis}, in every entry"


def off_by_constants(wrong: Wrong) -> Iterator[str]:
    """Patterns of an error that is constant along an axis, and of an array whose first entry alone is right."""
    for axis, size in enumerate(wrong.true.shape):
        if size > 2 and is_off_by_a_constant(wrong, axis):
            yield f"off by a constant along axis {axis}"
    if wrong.true.ndim and len(wrong.true) > 2:
        good = np.abs(wrong.got - wrong.true) <= wrong.allowed
        others = good[1:].reshape(len(good) - 1, -1)
        if good[0].all() and not others.all(axis=1).any():
            yield "right in the first entry of axis 0 alone"
