"""Sums of products of entries along the last axis, in any order, and their error rules (docs/math.md, R42)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul
from typing import Any

import numpy as np

from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.base import ROUNDING_DEVIATION, Operation, Shape, no_gradients, square
from gradcheck.oracle.operations.coherence import COVERED
from gradcheck.oracle.operations.places import filled
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances

Number = Any
"""What can be added and multiplied: arrays of one shape, or a class below of them."""
Numbers = list[Number]
"""Those along the last axis."""


@dataclass(frozen=True, slots=True)
class Sized:
    """Magnitudes, and the largest errors of what has these."""

    size: Array
    error: Array

    def __mul__(self, other: Sized) -> Sized:
        error = self.error * other.size + (self.size + self.error) * other.error
        return Sized(self.size * other.size, error)

    def __add__(self, other: Sized) -> Sized:
        return Sized(self.size + other.size, self.error + other.error)


@dataclass(frozen=True, slots=True)
class Dual:
    """A number, and how it moves with others, to first order."""

    value: Number
    moved: Number

    def __mul__(self, other: Dual) -> Dual:
        return Dual(self.value * other.value, self.value * other.moved + self.moved * other.value)

    def __add__(self, other: Dual) -> Dual:
        return Dual(self.value + other.value, self.moved + other.moved)


@dataclass(frozen=True)
class Polynomial:
    """Sums of products of the entries of each row, with one factor at most of each operand but the last.

    Attributes:
        name: of the operation.
        function: (zero, one, *numbers of each operand) -> numbers, sums and products of these alone.
        roundings: n -> how many products and sums each result passes, for rows of n entries.
        terms: n -> of how many products each is the sum at most.
        gradients: see `Operation`.
        unit: whether a row has one result.
        multiplies: whether each result is a single product.
    """

    name: str
    function: Callable[..., Numbers]
    roundings: Callable[[int], Any]
    terms: Callable[[int], int] = lambda _count: 1
    gradients: Callable[..., tuple[Any, ...]] = no_gradients
    unit: bool = False
    multiplies: bool = False

    def shape(self, *operands: Shape) -> Shape:
        """Of the results."""
        return (*operands[-1][:-1], 1) if self.unit else operands[-1]

    def value(self, *arrays: Array) -> Array:
        """The sums, in any arithmetic."""
        zero, one = (filled(arrays[-1].shape[:-1], arrays[-1].dtype, number) for number in (0.0, 1.0))
        found = self.function(zero, one, *map(_numbers, arrays))
        return np.stack(found, axis=-1) if found else arrays[-1]

    def sized(self, terms: Sequence[Values], errors: Sequence[Array]) -> Sized:
        """The magnitudes of the sums, every term with its own, and their errors."""
        shape = terms[-1].size.shape
        zero, one = (Sized(np.full(shape[:-1], number), np.zeros(shape[:-1])) for number in (0.0, 1.0))
        pairs = [
            list(map(Sized, _numbers(term.size), _numbers(np.broadcast_to(error, shape))))
            for term, error in zip(terms, errors, strict=True)
        ]
        found = self.function(zero, one, *pairs)
        if not found:
            return Sized(np.zeros(shape), np.zeros(shape))
        return Sized(np.stack([each.size for each in found], -1), np.stack([each.error for each in found], -1))

    def worst(self, format: Format, _result: Values, *terms: Bounded) -> Errors:
        """R42: F(|a| + E) − F(|a|) + θ(m, u)F(|a| + E), and what underflows, times the other factors."""
        found = self.sized(terms, [term.errors for term in terms])
        relative = np.expm1(np.asarray(self.roundings(_count(terms)), np.float64) * np.log1p(format.roundoff))
        return np.asarray(found.error + relative * (found.size + found.error) + self._lost(format, terms))

    def variance(self, format: Format, _result: Values, *terms: Spread) -> Variances:
        """The operands' deviations, which may have one sign (W3), equal or other roundings (W2), and underflow."""
        found = self.sized(terms, [np.sqrt(term.variances) for term in terms])
        counts = np.asarray(self.roundings(_count(terms)), np.float64)
        own = (ROUNDING_DEVIATION * format.roundoff) ** 2 * counts * np.maximum(counts / COVERED, 1.0)
        lost = square(self._lost(format, [term.at_doubt for term in terms]))
        return np.asarray(np.square(found.error) + own * square(found.size) + lost + format.variance_floor)

    def partial_sums(self, format: Format, *terms: Bounded) -> Array:
        """The largest sum of products of some entries: a program may begin with these."""
        largest = self.terms(_count(terms)) * _largest(terms) * self._growth(format, terms)
        return np.broadcast_to(largest, self.shape(*(term.size.shape for term in terms)))

    def operation(self) -> Operation:
        """The row of the table."""
        return Operation(
            self.name,
            self.value,
            self.gradients,
            self.worst,
            self.variance,
            shape=self.shape,
            partial_sums=self.partial_sums,
            multiplies=self.value if self.multiplies else None,
        )

    def _growth(self, format: Format, terms: Sequence[Bounded]) -> float:
        return 1 + format.sum_error(2 * _count(terms) + self.terms(_count(terms)))

    def _lost(self, format: Format, terms: Sequence[Bounded]) -> Array:
        """What underflows: t where no product can; a sum is exact there, unless it flushes."""
        count, growth, sums = _count(terms), self._growth(format, terms), self.terms(_count(terms))
        losses = sums * (count + 1) * (format.underflow + 3 * format.flush) * growth * _largest(terms)
        lossless = _smallest(terms) > 2 * format.normal * growth
        if sums > 1 and format.flushes_results:
            lossless = np.zeros_like(lossless)
        return np.where(lossless, format.underflow, losses)


def _numbers(a: Array) -> Numbers:
    return list(np.moveaxis(a, -1, 0))


def _count(terms: Sequence[Values]) -> int:
    return int(terms[-1].size.shape[-1])


def _largest(terms: Sequence[Bounded]) -> Array:
    """The largest product of some entries of each row, with a unit axis."""
    reaches = [np.maximum(term.reach, 1.0) for term in terms]
    single = [np.max(reach, axis=-1, keepdims=True, initial=1.0) for reach in reaches[:-1]]
    return np.asarray(reduce(mul, single, np.prod(reaches[-1], axis=-1, keepdims=True)))


def _smallest(terms: Sequence[Bounded]) -> Array:
    """The smallest product of some entries that are not exactly zero, with a unit axis."""
    sizes = [np.minimum(_nearest(term), 1.0) for term in terms]
    single = [np.min(size, axis=-1, keepdims=True, initial=1.0) for size in sizes[:-1]]
    return np.asarray(reduce(mul, single, np.prod(sizes[-1], axis=-1, keepdims=True)))


def _nearest(a: Bounded) -> Array:
    """The smallest magnitudes of entries that are not exactly zero; of these 1."""
    known = (a.native == 0) & (a.errors == 0)
    return np.where(known, 1.0, np.maximum(a.size - a.errors * WIDENING, 0.0))
