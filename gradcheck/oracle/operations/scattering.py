"""The gradient of an array that is read by pieces: the sum of theirs, each in its place (docs/math.md, R10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np

from gradcheck.graphs.shapes import indexed_shape
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    IndexOf,
    Operation,
    Placed,
    Shape,
    Variable,
    apply,
    no_gradients,
    square,
    summing_variance,
)
from gradcheck.oracle.operations.coherence import COVERED, of_equal_occurrences, of_shared_errors
from gradcheck.oracle.operations.places import WHOLE, Index, Places, has_arrays
from gradcheck.oracle.operations.structure import bound_later, structural
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances

ONE_ORDER = 2
"""So many terms have only one order; with more terms an engine chooses the partial sums."""


def scatter_add(contributions: Sequence[Variable | Placed], shape: Shape) -> Variable:
    """The sum of contributions to a gradient: whole ones, of its shape, and pieces."""
    pieces = [each if isinstance(each, Placed) else Placed(WHOLE, each) for each in contributions]
    return apply(scattering([piece.place for piece in pieces], shape), *_operands(pieces))


def _operands(pieces: Sequence[Placed]) -> Iterator[Variable]:
    """The entries of all pieces, and the integers of their places."""
    yield from (piece.entries for piece in pieces)
    for piece in pieces:
        yield from piece.place.integers if isinstance(piece.place, IndexOf) else ()


def scattering(places: Sequence[Index | IndexOf], shape: Shape) -> Operation:
    """The operation that adds pieces into zeros of a shape; the integers of their places are its last operands.

    Args:
        places: of the pieces.
        shape: of the sum.
    """
    lengths = [len(place.integers) if isinstance(place, IndexOf) else 0 for place in places]

    def bind(*integers: Array) -> Operation:
        given = iter(integers)
        known = [
            place.make(*islice(given, length)) if isinstance(place, IndexOf) else place
            for place, length in zip(places, lengths, strict=True)
        ]
        return ScatterAdd(Places(tuple(known), shape)).operation()

    def back(g: Variable, *pieces: Variable) -> tuple[Variable, ...]:
        return tuple(taken(g, place, piece.shape) for place, piece in zip(places, pieces, strict=False))

    if not sum(lengths):
        return replace(bind(), gradients=lambda g, _v, *pieces: back(g, *pieces))
    return bound_later("scatter add", bind, back, lambda *_: shape, sum(lengths), moves=False)


def taken(a: Variable, place: Index | IndexOf, shape: Shape) -> Variable:
    """The piece of an array at a place, whose shape is that; its gradient is placed there.

    An index may need the integers of a case.
    """
    if place is WHOLE:
        return a
    if not isinstance(place, IndexOf):
        return apply(picking(place), a)
    operation = bound_later(
        "index",
        lambda *integers: picking(place.make(*integers)),
        lambda g, *_: (Placed(place, g),),
        lambda *_: shape,
        len(place.integers),
    )
    return apply(operation, a, *place.integers)


def picking(index: Index) -> Operation:
    """The operation that takes the piece at an index."""
    return structural(
        "index",
        lambda a: np.asarray(a[index]),
        lambda g, _a: (Placed(index, g),),
        lambda shape: indexed_shape(shape, index),
    )


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
        """Σs² or (Σ±s)² (docs/math.md, W3), the roundings of c − 1 sums, and λ² of underflows."""
        propagated = self._correlated(terms)
        if self._moves(format):
            return propagated
        local = (ROUNDING_DEVIATION * format.roundoff) ** 2 * self._roundings(result, terms)
        if self.places.overlap > COVERED:
            local = local + self._of_equal_terms(format, result, terms)
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
            no_gradients,
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

    def _correlated(self, terms: Sequence[Spread]) -> Array | None:
        """The sum of variances; of entries at one place in a piece, the larger of Σs² and (Σ±s)² (docs/math.md, W3)."""
        variances: list[Array | None] = []
        for index, term in zip(self.places.indices, terms, strict=True):
            if term.variance is None or not has_arrays(index):
                variances.append(term.variance)
                continue
            summed = partial(_placed, Places((index,), self.places.shape))
            together = np.maximum(summed(term.variance), of_shared_errors(term, summed))
            variances.append(np.asarray(together))
        wholes = [WHOLE if has_arrays(index) else index for index in self.places.indices]
        placed = Places(tuple(wholes), self.places.shape)
        return None if all(variance is None for variance in variances) else placed.total(variances)

    def _roundings(self, result: Values, terms: Sequence[Values]) -> Array:
        """The squares of the numbers that are rounded: (c − 1)(Σ|v|)², or (c/2)Σv² + (1 + c/3)(Σv)² of many (W1)."""
        if self.places.are_slices:
            return self.places.by_count(lambda count: max(count - 1, 0)) * square(self._size(result, terms))
        squares = self.places.by_count(lambda count: summing_variance(count)[0] if count > 1 else 0.0)
        sums = self.places.by_count(lambda count: 1 + summing_variance(count)[1] if count > 1 else 0.0)
        of_terms = self.places.total([square(term.size) for term in terms])
        return np.asarray(squares * of_terms + sums * square(result.size))

    def _of_equal_terms(self, format: Format, result: Values, terms: Sequence[Spread]) -> Array:
        """The variance of the roundings that equal terms have in common (docs/math.md, W2)."""
        values = np.concatenate([np.ravel(term.middle) for term in terms])
        squares = self.places.total([square(term.size) for term in terms])
        size = np.sqrt(square(result.size) + squares)
        return of_equal_occurrences(values, self.places.targets, size, self.places.counts, format.roundoff)

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
        """Whether zeros flush to which an engine adds: whole arrays with zeros around each piece, or single entries."""
        several = len(self.places.indices) > 1 or not self.places.are_slices
        return several and (format.flushes_results or format.flushes_inputs)

    def _underflows(self, format: Format, count: int) -> int:
        """How many numbers may underflow at an entry: its sums, and where zeros flush each of its terms too."""
        return max(2 * count - 1 if self._flushes(format) else count - 1, 0)


def _placed(places: Places, piece: Array) -> Array:
    """One piece in its place."""
    return places.total([piece])
