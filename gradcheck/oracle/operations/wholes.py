"""Sums of gradients in which the shares of a tie add up to one, for every convention (docs/math.md, R21)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np

from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import ROUNDING_DEVIATION, Operation, Shape, square
from gradcheck.oracle.operations.coherence import of_shared_errors
from gradcheck.oracle.operations.places import WHOLE, Index, Places
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances


@dataclass(frozen=True)
class Whole:
    """Σ±g over the shared gradients, and the sums of ± all other contributions along some axes.

    Attributes:
        signs: of the operands; shared gradients have unit axes already.
        indices: the place of each operand in the backend's array; it may be a piece of that.
        axes: the axes of the sums, which stay as unit axes.
        shape: of the backend's arrays.
        arrays: how many of these are added up.
    """

    signs: tuple[int, ...]
    indices: tuple[Index, ...]
    axes: tuple[int, ...]
    shape: Shape
    arrays: int

    @property
    def entries(self) -> int:
        """How many entries of the backend's arrays each sum has."""
        return self.arrays * math.prod(self.shape[axis] for axis in self.axes)

    @property
    def roundings(self) -> int:
        """The number of roundings of a contribution: two or more of its share, and one in each addition."""
        return max(2, len(self.axes) + 1) + len(self.signs) - 1

    def counting(self, format: Format) -> int:
        """How many additions may round if an engine counts the ties in its own dtype: none up to 2ᵖ of them."""
        return self.entries if self.entries > 2**format.bits else 0

    def summed(self, operand: Array, index: Index) -> Array:
        """The sum along the axes of an operand that lies at an index."""
        placed = operand if index is WHOLE else Places((index,), self.shape).total([operand])
        return np.asarray(np.sum(placed, axis=self.axes, keepdims=True))

    def _total(self, operands: Iterable[Array]) -> Array:
        """The sum over all operands; one at a time, since placed pieces take the memory of whole arrays."""
        return np.asarray(reduce(np.add, map(self.summed, operands, self.indices)))

    def value(self, *operands: Array) -> Array:
        """The whole."""
        return self._total(sign * operand for sign, operand in zip(self.signs, operands, strict=True))

    def sizes(self, _format: Format, *terms: Bounded) -> Array:
        """The sum of all magnitudes that a backend may have."""
        return self._total(term.reach for term in terms)

    def worst(self, format: Format, _result: Values, *terms: Bounded) -> Errors:
        """ΣE + θ(r + c, u)·Σ(|v| + E), c for counting, and the underflows in a share, an addition, an adjoint."""
        relative = format.sum_error(self.roundings + self.counting(format))
        errors = self._total(term.errors + np.zeros(term.size.shape) for term in terms)
        return np.asarray(errors + relative * self.sizes(format, *terms) + self._floor(format) * (1 + relative))

    def _floor(self, format: Format) -> float:
        flushed = 4 * format.normal if format.flushes_results or format.flushes_inputs else 0.0
        return self.entries * self.roundings * (format.underflow + flushed)

    def variance(self, format: Format, _result: Values, *terms: Spread) -> Variances:
        """Each operand's variance, shared or not (W3), and the roundings of equal entries, which are the same (W2)."""
        roundings = self.roundings + self.counting(format) ** 2  # a count has the same error in all shares
        local = roundings * square(
            ROUNDING_DEVIATION * format.roundoff * self.sizes(format, *(Bounded(term.source) for term in terms))
        )
        local = local + self.entries * (self.roundings + 1) * format.variance_floor
        for term, index in zip(terms, self.indices, strict=True):
            if term.variance is not None:
                variance = Spread(term.source, term.variance + np.zeros(term.size.shape))
                summed = partial(self.summed, index=index)
                local = local + np.maximum(summed(variance.variances), of_shared_errors(variance, summed))
        return np.asarray(local)

    def result_shape(self, *_: Shape) -> Shape:
        """The shape of a backend's array, with unit axes."""
        return tuple(1 if axis in self.axes else size for axis, size in enumerate(self.shape))

    def operation(self) -> Operation:
        """The row of the table."""
        return Operation(
            "whole",
            self.value,
            lambda *_: (),
            self.worst,
            self.variance,
            shape=self.result_shape,
            partial_sums=self.sizes,
            terms=lambda *sizes: self._total(sizes),
        )


def whole_of(
    signs: Sequence[int], axes: tuple[int, ...], shape: Shape, arrays: int, indices: Sequence[Index] = ()
) -> Operation:
    """The operation for arrays of a shape, ``arrays`` of which are summed; operands are whole, or lie at indices."""
    return Whole(tuple(signs), tuple(indices) or (WHOLE,) * len(signs), axes, shape, arrays).operation()
