"""The quantities of a walk: values, with their errors and the factors of which they are products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gradcheck.oracle.enclosure import Rows
from gradcheck.oracle.factors import Factors
from gradcheck.oracle.formats import SMALLEST
from gradcheck.oracle.lazy import lazy
from gradcheck.oracle.operations import Array, Errors, Shape
from gradcheck.oracle.operations.base import total
from gradcheck.oracle.operations.terms import DOUBT, Variances

Join = Callable[[Sequence[Factors]], Factors]


@dataclass(frozen=True, eq=False)
class Chain:
    """How a result combines the factors of its operands (docs/math.md, R22).

    Attributes:
        operands: those whose factors the result combines.
        long: whether an operand has several factors itself.
        join: factors of the operands, arrays -> those of the result.
        join_largest: the same of the largest of them, floats.
    """

    operands: Sequence[Quantity]
    long: bool
    join: Join
    join_largest: Join

    @lazy
    def largest(self) -> Factors:
        """The largest of its factors' bounds over all entries, for errors at their worst; floats."""
        return self.join_largest([operand.largest for operand in self.operands])


@dataclass(eq=False)
class Quantity:
    """An array of the walk.

    Attributes:
        middle: the values, in the dtype in which they are exact or were computed.
        radius: how far the true values may lie from the middle; None where they do not.
        worst: how far a correct backend's values may lie from the middle; inf where they may overflow; of a decision
            its doubt.
        variance: of that distance.
        coherent: how much further it may be by choices that a backend makes in the same way in all entries.
        parts: the size of the terms whose sum the values are; None where each is a single one.
        decides: whether it selects a branch; then its variance too is how far that is open.
        chain: of what factors it is a product; None where it is itself one.
    """

    middle: Array
    radius: Errors = None
    worst: Errors = None
    variance: Variances = None
    coherent: Errors = None
    parts: Errors = None
    decides: bool = False
    chain: Chain | None = None

    @lazy
    def float64(self) -> Array:
        """The values in float64, or as they are for a condition."""
        if self.middle.dtype in (bool, np.float64):
            return self.middle
        with np.errstate(over="ignore"):
            return np.asarray(self.middle, dtype=np.float64)

    @lazy
    def size(self) -> Array:
        """The magnitudes in float64, never rounded down to zero."""
        size = np.abs(self.float64)
        return size + SMALLEST if self.middle.dtype == np.longdouble else size

    @property
    def shape(self) -> Shape:
        """The shape of the values."""
        return self.middle.shape

    @property
    def doubt(self) -> Errors:
        """How far a typical backend's values may lie from the middle: ``DOUBT`` deviations, and what is coherent."""
        spread = None if self.variance is None or self.decides else DOUBT * np.sqrt(self.variance)
        return total(spread, self.coherent)

    @lazy
    def largest(self) -> Factors:
        """The largest of its factors' bounds over all entries."""
        if self.chain is not None:
            return self.chain.largest
        return Factors.largest_of(self.size, self.worst, self.middle == 0, self.parts)

    @lazy
    def worst_factors(self) -> Factors:
        """The bounds of its factors where errors are at their worst; arrays of its shape."""
        return _evaluated(
            self,
            "worst_factors",
            lambda factor: Factors.of(factor.size, factor.worst, factor.middle == 0, factor.parts),
            lambda result, chain, factors: chain.join(factors).spread_out(result.shape),
        )

    @lazy
    def typical_factors(self) -> Factors:
        """The same for typical errors."""
        return _evaluated(
            self,
            "typical_factors",
            lambda factor: Factors.of(factor.size, factor.doubt, factor.middle == 0, None),
            lambda result, chain, factors: chain.join(factors).spread_out(result.shape),
        )

    @lazy
    def typically_largest(self) -> Factors:
        """The largest of these over all entries; floats."""
        return _evaluated(
            self,
            "typically_largest",
            lambda factor: Factors.largest_of(factor.size, factor.doubt, factor.middle == 0, None),
            lambda _result, chain, factors: chain.join_largest(factors),
        )

    def rows(self, rows: Rows) -> Quantity:
        """Some rows of the quantity."""
        return self.moved(lambda array: array[rows])

    def moved(self, move: Callable[[Array], Array]) -> Quantity:
        """Some of its entries, or all of them in another shape; `move` does so to an array of its shape."""
        errors = (self.radius, self.worst, self.variance, self.coherent, self.parts)
        radius, worst, variance, coherent, parts = (None if error is None else move(error) for error in errors)
        chain = self.chain and Chain([self], True, lambda factors: factors[0].mapped(move), lambda factors: factors[0])
        return Quantity(move(self.middle), radius, worst, variance, coherent, parts, self.decides, chain)


def _evaluated(
    quantity: Quantity,
    name: str,
    of: Callable[[Quantity], Factors],
    joined: Callable[[Quantity, Chain, Sequence[Factors]], Factors],
) -> Factors:
    """Evaluate a lazy attribute of a quantity after that of those it is made of, however long the chain is.

    Args:
        quantity: whose attribute it is.
        name: of the attribute.
        of: it for a single factor.
        joined: it for a chain, from that of the operands.
    """
    waiting = [quantity]
    while waiting:
        last = waiting[-1]
        operands = () if last.chain is None else last.chain.operands
        missing = [operand for operand in operands if name not in operand.__dict__]
        if missing:
            waiting.extend(missing)
            continue
        if last.chain is None:
            last.__dict__[name] = of(last)
        else:
            last.__dict__[name] = joined(last, last.chain, [operand.__dict__[name] for operand in operands])
        waiting.pop()
    return quantity.__dict__[name]  # type: ignore[no-any-return]
