"""The gradient of an array that is read by pieces: the sum of theirs, each in its place (docs/math.md, R10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import ROUNDING_DEVIATION, Operation, Placed, Shape, Variable, apply, square
from gradcheck.oracle.operations.places import WHOLE, Places
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances

ONE_ORDER = 2
"""So many terms have only one order; with more terms an engine chooses the partial sums."""


def scatter_add(contributions: Sequence[Variable | Placed], shape: Shape) -> Variable:
    """The sum of contributions to a gradient: whole ones, of its shape, and pieces."""
    pieces = [each if isinstance(each, Placed) else Placed(WHOLE, each) for each in contributions]
    places = Places(tuple(piece.place for piece in pieces), shape)
    return apply(ScatterAdd(places).operation(), *(piece.entries for piece in pieces))


@dataclass(frozen=True)
class ScatterAdd:
    """Pieces that are added into zeros: an entry is the sum of c terms, one for each piece that has it."""

    places: Places

    def value(self, *pieces: Array) -> Array:
        """The sum."""
        return self.places.total(pieces)

    def worst(self, format: Format, result: Values, *terms: Bounded) -> Errors:
        """ΣE + θ(c − 1, u)·Σ(|v| + E) + (c − 1)t; a single term is moved, and its error with it."""
        propagated = self._propagated([term.error for term in terms])
        if self._moves(format):
            return propagated
        relative = self.places.sum_error(format)
        flushed = 2 * format.normal if self._flushes(format) else 0.0
        lost = max(format.underflow, flushed) * self.places.by_count(lambda count: self._underflows(format, count))
        local = relative * self._size(result, terms) + (1 + relative) * lost
        return local if propagated is None else local + (1 + relative) * propagated

    def variance(self, format: Format, result: Values, *terms: Spread) -> Variances:
        """Σs² + (0.6u)²(c − 1)·(Σ|v|)² (docs/math.md, W14), and λ² of underflows."""
        propagated = self._propagated([term.variance for term in terms])
        if self._moves(format):
            return propagated
        roundings = self.places.by_count(lambda count: max(count - 1, 0))
        local = (ROUNDING_DEVIATION * format.roundoff) ** 2 * roundings * square(self._size(result, terms))
        lost = self.places.by_count(lambda count: self._underflows(format, count))
        local = local + format.variance_floor * (lost if self._flushes(format) else np.minimum(lost, 1))
        return local if propagated is None else local + propagated

    def partial_sums(self, _format: Format, *terms: Bounded) -> Array:
        """The largest possible partial sum."""
        return self.places.total([term.reach for term in terms])

    def operation(self) -> Operation:
        """The row of the table."""
        return Operation(
            "scatter add",
            self.value,
            lambda *_: (),
            self.worst,
            self.variance,
            shape=lambda *_: self.places.shape,
            partial_sums=self.partial_sums if self.places.overlap > ONE_ORDER else None,
            moves=self.places.overlap < ONE_ORDER,
            places=self.places,
        )

    def _propagated(self, errors: Sequence[Array | None]) -> Array | None:
        """The sum of errors, or of variances; None where all terms are exact."""
        return None if all(error is None for error in errors) else self.places.total(errors)

    def _size(self, result: Values, terms: Sequence[Values]) -> Array:
        """The scale of the roundings: the result, or for three and more terms in any order their magnitudes."""
        if self.places.overlap <= ONE_ORDER:
            return result.size
        sizes = self.places.total([term.size for term in terms])
        return np.where(self.places.counts > ONE_ORDER, sizes, result.size)

    def _moves(self, format: Format) -> bool:
        """Whether an engine of a format rounds nothing."""
        return self.places.overlap < ONE_ORDER and not self._flushes(format)

    def _flushes(self, format: Format) -> bool:
        """Whether zeros that are added flush: an engine adds whole arrays, zeros around each piece."""
        return len(self.places.indices) > 1 and (format.flushes_results or format.flushes_inputs)

    def _underflows(self, format: Format, count: int) -> int:
        """How many numbers may underflow at an entry: its sums, and where zeros flush each of its terms too."""
        return max(2 * count - 1 if self._flushes(format) else count - 1, 0)
