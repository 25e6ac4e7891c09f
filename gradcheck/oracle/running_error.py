"""The tape in NumPy, with running error analysis: each value with its proved radius, worst error and variance.

Source: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, 2002, section 3.3, vectorised; the
table of operations has the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from gradcheck.oracle.chains import chained, most_reordered, reorder
from gradcheck.oracle.distribution import distributed
from gradcheck.oracle.enclosure import SPLITTING
from gradcheck.oracle.formats import Format
from gradcheck.oracle.lazy import lazy
from gradcheck.oracle.operations import Array, Errors, Operation, Shape
from gradcheck.oracle.operations.base import as_read, as_typically_read, middle, total
from gradcheck.oracle.operations.shares import EVEN
from gradcheck.oracle.operations.terms import DOUBT, Bounded, Decision, Doubts, Spread, Values
from gradcheck.oracle.quantities import Quantity

BLOCK = 1 << 15
"""Entries of a block of rows: 256 KiB in float64, so that several blocks stay in a core's cache."""


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """The options of a walk along a tape.

    Attributes:
        dtype: the dtype of the middles.
        own: its format, with functions trusted to twice their stated accuracy.
        backend: the format whose errors are bounded.
        radii: whether the radius of the middles is wanted.
        together: whether the first axis runs over cases: then none may need a look at its entries as a whole.
    """

    dtype: np.dtype[Any]
    own: Format
    backend: Format
    radii: bool = True
    together: bool = False

    @lazy
    def distance(self) -> Format:
        """The format of the distance between a backend's value and ours."""
        return self.backend.against(self.own)

    @lazy
    def silent(self) -> Format:
        """A format that rounds nothing, so that the rules pass errors on and add none."""
        return replace(
            self.backend,
            roundoff=0.0,
            accumulator_roundoff=0.0,
            function_roundoff=0.0,
            operand_rounding=0.0,
            smallest=0.0,
            normal=0.0,
        )

    @classmethod
    def float64(cls, backend: Format, radii: bool = True) -> Arithmetic:
        """NumPy's float64."""
        own = Format.of("float64")
        return cls(np.dtype(np.float64), replace(own, function_roundoff=2 * own.roundoff), backend, radii)

    @classmethod
    def extended(cls, backend: Format) -> Arithmetic:
        """NumPy's longdouble, where ``has_extended_precision``: 64 bits or more, and wider exponents."""
        own = Format.of("float64")
        roundoff = float(np.finfo(np.longdouble).eps) / 2 + SPLITTING
        wider = replace(
            own,
            name="longdouble",
            bits=np.finfo(np.longdouble).nmant + 1,
            roundoff=roundoff,
            accumulator_roundoff=roundoff,
            function_roundoff=2 * roundoff,
            normal=own.smallest,  # the true ones are 0 in float64, where bounds are computed
            sums_in_halves=True,
        )
        return cls(np.dtype(np.longdouble), wider, backend)


class NotTogetherError(Exception):
    """Some cases cannot be evaluated together: a rule looks at the entries of one as a whole."""


def has_extended_precision() -> bool:
    """Whether longdouble is x86's 80-bit or IEEE's 128-bit format; elsewhere it is float64, or a pair of them."""
    return np.finfo(np.longdouble).nmant in (63, 112)


def evaluate(arithmetic: Arithmetic, operation: Operation, operands: Sequence[Quantity]) -> Quantity:
    """One step: the middle, and its errors by the table of operations."""
    with np.errstate(all="ignore"):
        wide = arithmetic.dtype == np.float64 and not operation.moves  # then each is converted once, for all rules
        given = [operand.float64 if wide else operand.middle for operand in operands]
        result = Quantity(packed(middle(arithmetic.dtype, operation, given)))
        if arithmetic.radii:
            terms = [_bounded(operand, operand.radius) for operand in operands]
            radius = _certified(operation, operands).worst(arithmetic.own, Values(result), *terms)
            result.radius = _spread_out(radius, result.shape)
        typical = [_typical(arithmetic.backend, operand) for operand in operands]
        if operation.variance is None:
            result.decides = True
            result.variance = result.coherent = _openness(arithmetic, operation, result, operands, typical)
        else:
            variance = operation.variance(arithmetic.backend, Values(result), *typical)
            result.variance = _spread_out(variance, result.shape)
            if operation.coherent or any(operand.coherent is not None for operand in operands):
                result.coherent = _spread_out(_coherent(arithmetic, operation, result, operands, typical), result.shape)
        terms = [_at_worst(arithmetic.distance, operand) for operand in operands]
        result.worst = _spread_out(operation.worst(arithmetic.distance, Values(result), *terms), result.shape)
        if arithmetic.radii:
            _distribute(arithmetic, operation, result, operands)
        result.chain = chained(operation, operands)
        if result.worst is not None and not operation.decides:
            lost = _mark_overflow(arithmetic.backend, operation, result, terms, operands)
            if arithmetic.together and (lost is not None or most_reordered(arithmetic.backend, operation, result)):
                raise NotTogetherError
            if lost is not None:
                _mark_spread(arithmetic, operation, result, operands, typical, lost)
            reorder(arithmetic.backend, operation, result)
    return result


def packed(array: Array) -> Array:
    """A small array without gaps, so that BLAS takes the same steps for a case alone and among others."""
    return array if array.flags.c_contiguous or array.size > BLOCK else array.copy()


def _bounded(operand: Quantity, errors: Errors) -> Any:
    """An operand for the rules of worst cases: with its errors, or a ``Decision`` with its doubt."""
    return Decision(operand, errors) if operand.decides else Bounded(operand, errors)


def _at_worst(format: Format, operand: Quantity) -> Any:
    """An operand with its worst error, as an operation reads it."""
    term = _bounded(operand, operand.worst)
    return term if operand.decides else as_read(format, term)


def _typical(format: Format, operand: Quantity) -> Any:
    """The same with its variance, as a ``Spread``; a ``Decision`` with how far it is typically open."""
    if operand.decides:
        return Decision(operand, operand.variance)
    return as_typically_read(format, Spread(operand, operand.variance))


def _distribute(arithmetic: Arithmetic, operation: Operation, result: Quantity, operands: Sequence[Quantity]) -> None:
    """Add to the worst error what a backend may lose if it distributes products over sums."""
    parts = [operand.parts for operand in operands]
    if operation.moves and all(part is None for part in parts):  # then the sizes of a large array are not computed
        return
    if any(operand.middle.dtype == bool for operand in operands) or not operands:
        return
    sizes = [operand.size for operand in operands]
    parts_of_result, added = distributed(operation, arithmetic.backend, sizes, parts)
    result.parts = None if parts_of_result is None else packed(parts_of_result)
    result.worst = total(result.worst, added)


def _certified(operation: Operation, operands: Sequence[Quantity]) -> Operation:
    """The operation; for exact operands the one that shares a tie equally: a mean of the branches is a true value."""
    if operation.conventions is None or any(operand.radius is not None for operand in operands):
        return operation
    return operation.conventions[EVEN]


def _coherent(
    arithmetic: Arithmetic, operation: Operation, result: Quantity, operands: Sequence[Quantity], typical: Sequence[Any]
) -> Errors:
    """The operation's own choice, and the effect of its operands' choices beyond 32 standard deviations (W5)."""
    own = None if operation.coherent is None else operation.coherent(arithmetic.backend, Values(result), *typical)
    if all(operand.coherent is None for operand in operands):
        return own
    rule, silent = operation.worst, arithmetic.silent
    moved = rule(silent, Values(result), *_reaching(operands, typical, coherent=True))
    without = rule(silent, Values(result), *_reaching(operands, typical, coherent=False))
    added = moved if moved is None or without is None else np.maximum(moved - without, 0.0)
    return total(own, added)


def _reaching(operands: Sequence[Quantity], typical: Sequence[Any], coherent: bool) -> list[Any]:
    """Operands that move by ``DOUBT`` of their standard deviations, and by their coherent part."""
    return [
        _bounded(
            operand, total(None if operand.decides else term.at_doubt.error, operand.coherent if coherent else None)
        )
        for operand, term in zip(operands, typical, strict=True)
    ]


def _openness(
    arithmetic: Arithmetic, operation: Operation, result: Quantity, operands: Sequence[Quantity], typical: Sequence[Any]
) -> Doubts:
    """How far a decision is open where its operands move so."""
    moved = _reaching(operands, typical, coherent=True)
    return _spread_out(operation.worst(arithmetic.backend, Values(result), *moved), result.shape)


def _spread_out(errors: Errors, shape: Shape) -> Errors:
    """Errors in the shape of the result, also those from a broadcast operand only."""
    if errors is None:
        return None
    return packed(errors if errors.shape == shape else np.broadcast_to(errors, shape))


def _mark_overflow(
    format: Format, operation: Operation, result: Quantity, terms: Sequence[Any], operands: Sequence[Quantity]
) -> Array | None:
    """Make the worst error infinite where a backend may overflow in between, in the worst case."""
    sums = operation.partial_sums
    assert result.worst is not None
    sizes = result.float64 if sums is None else sums(format, *terms)
    peak = sizes.max(initial=0.0) - sizes.min(initial=0.0)
    if peak + result.worst.max(initial=0.0) <= format.safe_largest:
        return None
    if operation.keeps_infinities:
        _keep_infinities(result, operands)
    sizes = np.abs(sizes)
    lost = ~(sizes + result.worst <= format.safe_largest)
    lost &= ~(np.isinf(result.float64) & (result.worst == 0))  # an infinity in the problem is not an overflow
    result.worst = np.where(lost, np.inf, result.worst)
    return np.asarray(lost)


def _mark_spread(
    arithmetic: Arithmetic,
    operation: Operation,
    result: Quantity,
    operands: Sequence[Quantity],
    typical: Sequence[Any],
    lost: Array,
) -> None:
    """Make the spread infinite where overflow, or a point without a value, is within reach of typical errors.

    A worst error that has grown beyond all numbers implies nothing about the spread.
    """
    open_ = may_overflow(arithmetic.backend, operation, result, operands)
    moved = operation.worst(arithmetic.silent, Values(result), *_reaching(operands, typical, coherent=True))
    if moved is not None:
        open_ |= ~np.isfinite(moved)
    result.variance = np.where(lost & open_, np.inf, 0.0 if result.variance is None else result.variance)


def may_overflow(format: Format, operation: Operation, result: Quantity, operands: Sequence[Quantity]) -> Array:
    """Where a backend may overflow in between, with errors of ``DOUBT`` standard deviations."""
    errors = [None if operand.variance is None else DOUBT * np.sqrt(operand.variance) for operand in operands]
    with np.errstate(all="ignore"):
        sizes = result.size
        if operation.partial_sums is not None:
            sizes = np.abs(operation.partial_sums(format, *map(_bounded, operands, errors)))
        own = np.zeros(()) if result.variance is None else DOUBT * np.sqrt(result.variance)
        own = np.where(np.isinf(own), 0.0, own)  # an unbounded slope, of √a near 0 for example, is not an overflow
        return np.asarray(~(sizes + own <= format.safe_largest))


def _keep_infinities(result: Quantity, operands: Sequence[Quantity]) -> None:
    """R5: make a result exact that is infinite because an operand is exactly so, and the others are known."""
    known = [operand.worst is None or np.isfinite(operand.worst) for operand in operands]
    exact = [np.isinf(operand.float64) & (operand.worst is None or operand.worst == 0) for operand in operands]
    kept = np.isinf(result.float64) & reduce(np.logical_or, exact) & reduce(np.logical_and, known)
    result.worst, result.variance, result.radius = (
        None if errors is None else np.where(kept, 0.0, errors)
        for errors in (result.worst, result.variance, result.radius)
    )
    assert result.worst is not None
