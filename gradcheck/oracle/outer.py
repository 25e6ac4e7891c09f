"""Outer products of vectors: their errors are sums of a few outer products too, which are found once for all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcheck.oracle.chains import lost_in_orders
from gradcheck.oracle.distribution import ROUNDINGS
from gradcheck.oracle.enclosure import Enclosure, Rows
from gradcheck.oracle.factors import Factors
from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.lazy import lazy
from gradcheck.oracle.operations import Array
from gradcheck.oracle.operations.base import as_read, as_typically_read
from gradcheck.oracle.operations.products import SMALLEST_NORMAL, Pairs, StoredProduct
from gradcheck.oracle.operations.terms import DOUBT, Bounded, Spread, Values
from gradcheck.oracle.quantities import Quantity

UNMOVED = 2.0**-960
"""Numbers from here on do not change by the addition of a subnormal one."""
LEADING = ~np.int64((1 << 27) - 1)
"""The bits of a float64 with the first 26 of its digits: the product of two such numbers has no rounding error."""
SPLIT = 2.0**-74
"""The relative error of a product of two numbers that are split so (docs/math.md, R14)."""
SPLITTABLE = 2.0**-900
"""Where numbers, and their products, are from here on, nothing underflows in products of their parts."""
WIDENED = 2.0**-7
"""The largest part of a limit, 0.8 %, by which it may become wider so that one pass over the entries is enough."""


class OuterSum:
    """A sum of outer products of vectors, none of which has a negative entry, and of a number.

    Args:
        pairs: the vectors (left, right).
        number: added to every entry.
    """

    def __init__(self, pairs: Pairs, number: float = 0.0) -> None:
        self._pairs = pairs
        self._number = number

    def __iadd__(self, number: float) -> OuterSum:
        return OuterSum(self._pairs, self._number + number)

    def joined(self, other: OuterSum) -> OuterSum:
        """The sum with another one."""
        return OuterSum([*self._pairs, *other._pairs], self._number + other._number)

    def beside(self, pairs: Pairs) -> OuterSum:
        """The sum with some more."""
        return OuterSum([*self._pairs, *pairs], self._number)

    @property
    def most(self) -> float:
        """A bound of all entries; NaN where one may be."""
        return sum((float(left.max()) * float(right.max()) for left, right in self._pairs), self._number)

    def within(self, variance: OuterSum) -> float:
        """A bound of all entries in units of the root of another sum: each product in that of one of its terms."""
        floor = np.sqrt(variance._number)
        roots = [(np.sqrt(left), np.sqrt(right)) for left, right in variance._pairs]
        total = self._number / floor
        for left, right in self._pairs:
            ratios = [float(left.max()) * float(right.max()) / floor]
            ratios += [_most(left, high) * _most(right, wide) for high, wide in roots]
            total += min(np.nan_to_num(ratios, nan=np.inf))
        return float(total)

    def matrices(self, factor: float = 1.0) -> Matrices:
        """The matrices of which it is the product, times a factor.

        A number that is not subnormal is one more product: processors take twenty times as long for others.
        """
        pairs, number = list(self._pairs), self._number
        if number >= SMALLEST_NORMAL:
            pairs.append((np.full_like(pairs[0][0], number), np.ones_like(pairs[0][1])))
            number = 0.0
        elif sum(float(left.min()) * float(right.min()) for left, right in pairs) > UNMOVED:
            number = 0.0
        left, right = zip(*pairs, strict=True)
        return Matrices(np.stack(left, axis=1) * factor, np.stack(right), number * factor)


def _most(numbers: Array, units: Array) -> float:
    """The largest of some numbers in units of others; 0 is none of them."""
    return float(np.divide(numbers, units, out=np.zeros_like(numbers), where=numbers > 0).max())


@dataclass(frozen=True, eq=False)
class Matrices:
    """A matrix as the product of a high and a wide one, and a number.

    BLAS sums a few terms faster than NumPy multiplies by one.
    """

    left: Array
    right: Array
    number: float = 0.0

    def rows(self, rows: Rows) -> Array:
        """Some rows of the product."""
        product = np.asarray(self.left[rows] @ self.right)
        if self.number:
            product += self.number
        return product


_RULE: Any = StoredProduct(OuterSum)  # type: ignore[arg-type]
"""The rule of outer products, without their entries."""


@dataclass(frozen=True, eq=False)
class OuterProduct:
    """An outer product, with the errors that ``evaluate`` finds for its entries; see ``Quantity``.

    Attributes:
        terms: the product itself: the first term in float64, without a rounding error if there are others, and their
            sum, which is small beside it.
        radius: None where it is not wanted.
        reach: the worst error and the radius.
        blur: a bound of the radius, or where there is none of the worst error, in standard deviations, in every entry.
        mixed: the rows whose errors are no sums of outer products.
    """

    terms: tuple[Matrices, Matrices | None]
    radius: Matrices | None
    worst: Matrices
    reach: Matrices
    variance: Matrices
    blur: float
    mixed: Array

    @property
    def narrow(self) -> bool:
        """Whether that is for sure at most ``DOUBT`` standard deviations."""
        return self.blur <= DOUBT / 2

    def bounds(self, rows: Rows) -> Bounds | None:
        """Some rows; None where their errors are no such sums."""
        return None if self.mixed[rows].any() else Bounds(self, rows)


@dataclass(frozen=True, eq=False)
class Bounds:
    """Some rows of an outer product: bounds that are finite, and widened for their own rounding, made on request."""

    product: OuterProduct
    rows: Rows

    @lazy
    def middle(self) -> Array:
        """The values in float64."""
        rest = self._rest
        return self._first if rest is None else np.asarray(self._first + rest)

    def distance(self, got: Array) -> Array:
        """got − middle, within 4 roundings of itself (docs/math.md, R14); ``got`` in float64."""
        distance = np.asarray(got - self._first)
        if self._rest is not None:
            distance -= self._rest
        return distance

    @lazy
    def enclosure(self) -> Enclosure:
        """Where the true values are, if the radius is wanted."""
        assert self.radius is not None, "it is wanted"
        rest = self._rest
        low = np.zeros(()) if rest is None else (self._first - self.middle) + rest
        return Enclosure(self.middle, np.broadcast_to(low, self.middle.shape), self.radius)

    @lazy
    def radius(self) -> Array | None:
        """How far the true values may lie from them; None where that is not wanted."""
        return None if self.product.radius is None else self.product.radius.rows(self.rows)

    @lazy
    def worst(self) -> Array:
        """The largest errors of a correct backend."""
        return self.product.worst.rows(self.rows)

    @lazy
    def reach(self) -> Array:
        """The same and the radius."""
        return self.product.reach.rows(self.rows)

    @lazy
    def spread(self) -> Array:
        """Their standard deviations."""
        variance = self.product.variance.rows(self.rows)
        return np.asarray(np.sqrt(variance, out=variance))

    @lazy
    def limit(self) -> Array:
        """``DOUBT`` standard deviations, and the radius or what bounds it, where that widens the limit by 0.8 %."""
        if self.product.blur <= WIDENED * DOUBT:
            return (DOUBT + self.product.blur) * self.spread
        assert self.radius is not None, "it is wanted"
        return DOUBT * self.spread + self.radius

    @lazy
    def _first(self) -> Array:
        return self.product.terms[0].rows(self.rows)

    @lazy
    def _rest(self) -> Array | None:
        rest = self.product.terms[1]
        return None if rest is None else rest.rows(self.rows)


def outer_product(
    operands: Sequence[Quantity], dtype: np.dtype[Any], own: Format | None, distance: Format, backend: Format
) -> OuterProduct | None:
    """An outer product; None where it may overflow, or where its errors are no sums of outer products.

    Args:
        operands: two vectors.
        dtype: of the walk's middles.
        own: the format of these, if radii are wanted.
        distance: the format of the distance between a backend's value and ours.
        backend: the format whose errors are bounded.
    """
    a, b = operands
    if not (a.middle.size and b.middle.size) or any(each.coherent is not None or each.decides for each in operands):
        return None
    with np.errstate(all="ignore"):
        read = [as_read(distance, Bounded(each, each.worst)) for each in operands]
        typically_read = [as_typically_read(backend, Spread(each, each.variance)) for each in operands]
        worst = _RULE.worst(distance, Values(a), *read)
        variance = _RULE.variance(backend, Values(a), *typically_read)
        radius = None
        if own is not None:
            radius = _RULE.worst(own, Values(a), Bounded(a, a.radius), Bounded(b, b.radius))
            if dtype != np.float64:
                radius = radius.beside([(SPLIT * a.size, b.size)])
            distributed = _distributed(backend, a, b)
            if distributed is None:
                return None
            worst = worst.beside(distributed)
        if not 2 * float(a.size.max()) * float(b.size.max()) + worst.most <= backend.safe_largest:
            return None
        if not (variance.most < np.inf and (radius is None or radius.most < np.inf)):
            return None
        orders = _of_all_orders(backend, a, b)
        if orders is None:
            return None
        added, typically = orders
        worst = worst.beside(added.pairs)
        blur = (radius or worst).within(variance)
        variance = variance.beside(typically.pairs)
        reach = worst if radius is None else worst.joined(radius)
        terms = _terms(a.middle.astype(dtype, copy=False), b.middle.astype(dtype, copy=False))
    if terms is None:
        return None
    bounds = radius and radius.matrices(WIDENING), worst.matrices(WIDENING), reach.matrices(WIDENING)
    return OuterProduct(terms, *bounds, variance.matrices(), blur, added.mixed | typically.mixed)


def _terms(left: Array, right: Array) -> tuple[Matrices, Matrices | None] | None:
    """An outer product as `OuterProduct.terms` has it; None if numbers are too small for that."""
    if left.dtype == np.float64:
        return _product_of(left, right), None
    smallest = [np.abs(each).min(initial=1.0, where=each != 0) for each in (left, right)]
    if min(*smallest, np.prod(smallest)) < SPLITTABLE:
        return None
    (high, low), (first, rest) = _split(left), _split(right)
    others = np.stack([high, low], axis=1), np.stack([rest, np.asarray(right, dtype=np.float64)])
    return _product_of(high, first), Matrices(*others)


def _split(vector: Array) -> tuple[Array, Array]:
    """The first 26 digits of numbers, and the rest in float64."""
    high = (np.asarray(vector, dtype=np.float64).view(np.int64) & LEADING).view(np.float64)
    return high, np.asarray(vector - high, dtype=np.float64)


def _product_of(left: Array, right: Array) -> Matrices:
    """One product; BLAS is fast with two terms."""
    return Matrices(np.stack([left, np.zeros_like(left)], axis=1), np.stack([right, np.zeros_like(right)]))


def _distributed(format: Format, a: Quantity, b: Quantity) -> Pairs | None:
    """The increase of the worst error if the product is distributed over sums (docs/math.md, W7); None: overflow."""
    if a.parts is None and b.parts is None:
        return []
    relative = ROUNDINGS["outer"](format, (), a.size)
    left, right = (each.size if each.parts is None else np.maximum(each.parts, each.size) for each in (a, b))
    if not float(left.max()) * float(right.max()) <= format.safe_largest:
        return None
    return [(relative * (left - a.size), right), (relative * a.size, right - b.size)]


@dataclass(frozen=True, eq=False)
class _Orders:
    """What orders of factors add to an error, and the rows for which that is no sum of outer products."""

    pairs: Pairs
    mixed: Array


def _of_all_orders(format: Format, a: Quantity, b: Quantity) -> tuple[_Orders, _Orders] | None:
    """What orders add to the worst error and to the variance of a product of two quantities; see `_of_orders`."""
    if not (a.chain or b.chain):
        nothing = _Orders([], np.zeros(a.shape, bool))
        return nothing, nothing
    added = _of_orders(format, a.worst_factors, b.worst_factors)
    typically = _of_orders(format, a.typical_factors, b.typical_factors, squared=True)
    return None if added is None or typically is None else (added, typically)


def _of_orders(format: Format, a: Factors, b: Factors, squared: bool = False) -> _Orders | None:
    """What an order of one's own may add to an error of a product of two chains (docs/math.md, R22).

    Args:
        format: of the backend.
        a: the factors of the first operand.
        b: those of the second one.
        squared: whether the factors are those of typical errors, whose squares are added to a variance.

    Returns:
        It where no order overflows, and nothing is divided.
    """
    products = max(a.factors + b.factors - 1, 0)
    growth = 1 + format.sum_error(2 * products)
    if a.divisors or b.divisors or not float(a.high.max()) * float(b.high.max()) <= format.safe_largest / growth:
        return None
    relative = lost_in_orders(format, growth, products - 1, 0.5 if squared else 1.0)
    absolute = growth * format.underflow
    ones = np.ones(a.high.shape), np.ones(b.high.shape)
    pairs = [(relative * a.high, b.high), (absolute * ones[0], ones[1])]
    if squared:
        both = (2 * relative * absolute * a.high, b.high)
        pairs = [both, *((np.square(left), np.square(right)) for left, right in pairs)]
    # An order may lose digits where both lows are positive and their product is above `deepest`.
    deepest = 1 / (2 * format.normal * growth)
    some, others = a.low > 0, b.low > 0
    rows = some & (a.low * b.low.min(initial=np.inf, where=others) > deepest)
    columns = others & (b.low * a.low.min(initial=np.inf, where=some) > deepest)
    mixed = ~rows & (a.low * b.low.max(initial=0.0, where=~columns) > deepest)
    masks = [(rows, others), (some & ~rows, columns)]
    added = [
        (mask * left, other * right) for mask, other in masks if mask.any() and other.any() for left, right in pairs
    ]
    return _Orders(added, mixed)
