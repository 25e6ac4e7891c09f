"""Sums of products of several factors, in any order of contraction (docs/math.md, R32)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from gradcheck.graphs.subscripts import parsed
from gradcheck.oracle.formats import Format, combine
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Operation,
    Shape,
    Variable,
    apply,
    square,
    summing_variance,
)
from gradcheck.oracle.operations.coherence import COVERED, SAWTOOTH, of_shared_errors
from gradcheck.oracle.operations.contractions import multiplied
from gradcheck.oracle.operations.reductions import broadcast_to, reshape
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import Array, Bounded, Spread, Values

Product = Callable[[Array, Array], Array]
"""Matrices along the same leading axes -> their matrix products."""


class Contraction:
    """Σ of products of entries, for each entry of the result over the labels that it lacks.

    Args:
        labels: of the operands' axes, none twice in one of them.
        out: of the result's axes.
        sizes: label -> length.
    """

    def __init__(self, labels: Sequence[str], out: str, sizes: Mapping[str, int]) -> None:
        self.labels = tuple(labels)
        self.out = out
        self.sizes = sizes
        self.summed = "".join(sorted(set("".join(labels)) - set(out)))
        self.terms = math.prod(sizes[label] for label in self.summed)
        self.products = len(labels) - 1

    def value(self, *arrays: Array) -> Array:
        """The sums, two operands after the other."""
        return self.of(arrays, np.matmul)

    def ball(self, *arrays: Array) -> Array:
        """The same of Arb balls."""
        return self.of(arrays, _products_of_balls)

    def of(self, arrays: Sequence[Array], product: Product) -> Array:
        """The sums."""
        return _contracted(arrays, self.labels, self.out, product)

    def shape(self, *_: Shape) -> Shape:
        """Of the result."""
        return tuple(self.sizes[label] for label in self.out)

    def relative(self, format: Format, _sizes: Any = None) -> float:
        """θ(n + m − 2, u), and two roundings for each of m − 1 products where these are stored from an accumulator."""
        stored = [format.product_roundoff, format.roundoff] if format.accumulator_roundoff < format.roundoff else []
        stored += [format.operand_rounding] * 2
        return combine(format.sum_error(self.terms + self.products - 1), *stored * self.products)

    def worst(self, format: Format, _result: Values, *operands: Bounded) -> Array:
        """R32: Σ(Π(|x| + E) − Π|x|), the relative error of all terms, and what underflows times the other factors."""
        reaches = [operand.reach for operand in operands]
        relative = self.relative(format)
        error = relative * self.value(*reaches) + self._lost(format.underflow + 2 * format.flush, reaches) * (
            1 + relative
        )
        for number, operand in enumerate(operands):
            if operand.error is not None:
                before = [each.size for each in operands[:number]]
                error = error + self.value(*before, operand.error, *reaches[number + 1 :])
        return np.asarray(error)

    def _lost(self, least: float, reaches: Sequence[Array]) -> float:
        """Products and sums of at most 2m − 1 steps, each off by the least number, times the factors beside them."""
        peaks = sorted(max(float(reach.max(initial=0.0)), 1.0) for reach in reaches)
        return 2 * (2 * self.products + 1) * self.terms * least * math.prod(peaks[1:])

    def variance(self, format: Format, result: Values, *operands: Spread) -> Array:
        """The operands' errors, independent or shared (W3), and the roundings of products and of sums (W1, W2)."""
        sizes = [operand.size for operand in operands]
        squares, middles = [square(size) for size in sizes], [operand.middle for operand in operands]
        unit = square(np.asarray(ROUNDING_DEVIATION * format.product_roundoff))
        first, second = summing_variance(self.terms)
        single = self.products * (1 + 2 * first) + 2 * self.products * (format.operand_rounding / format.roundoff) ** 2
        whole = square(result.size)
        variance = unit * (single * self.value(*squares) + (1 + second) * whole) + self._equal(format, middles) * whole
        variance = variance + square(np.asarray(self._lost(math.sqrt(format.variance_floor), sizes)))
        for number, operand in enumerate(operands):
            if operand.variance is not None:
                reaches = [square(each.size) + each.variances for each in operands[number + 1 :]]
                alone = self.value(*squares[:number], operand.variance, *reaches)
                shared = of_shared_errors(operand, lambda errors, number=number: self._with(middles, number, errors))  # type: ignore[misc]
                variance = variance + np.maximum(alone, shared)
        return np.asarray(variance)

    def _with(self, middles: Sequence[Array], number: int, errors: Array) -> Array:
        """The sums with errors in the place of one operand."""
        return self.value(*middles[:number], errors, *middles[number + 1 :])

    def _equal(self, format: Format, middles: Sequence[Array]) -> Array | float:
        """The variance that equal terms have in common, relative to the square of the result (W2)."""
        if self.terms <= COVERED:
            return 0.0
        shares = [self._repeated(middles, label, self.terms * format.roundoff / 4) for label in self.summed]
        return SAWTOOTH * (self.terms * format.roundoff) ** 2 * reduce(np.multiply, shares)

    def _repeated(self, middles: Sequence[Array], label: str, near: float) -> Array | float:
        """The share of terms whose neighbours along a label are equal within a fraction of a unit of the sum."""
        length = self.sizes[label]
        if length == 1:
            return 1.0
        alike = [_alike(each, labels, label, near) for each, labels in zip(middles, self.labels, strict=True)]
        pairs = self.terms // length * (length - 1)
        return np.maximum(self.value(*alike) / pairs - 1 / math.sqrt(pairs), 1 / length)

    def partial_sums(self, format: Format, *operands: Bounded) -> Array:
        """The largest product or sum of some operands that an order of contraction makes on its way."""
        reaches = [operand.reach for operand in operands]
        peaks = [max(float(reach.max(initial=0.0)), 1.0) for reach in reaches]
        whole = self.value(*reaches)
        if math.prod(peaks) * self.terms <= format.safe_largest:
            return whole
        return np.maximum(whole, max(map(float, self._on_the_way(reaches))))

    def _on_the_way(self, reaches: Sequence[Array]) -> Iterator[float]:
        """The largest entry of each contraction of some operands alone."""
        for count in range(1, len(reaches)):
            for chosen in itertools.combinations(range(len(reaches)), count):
                others = {*self.out, *"".join(self.labels[each] for each in range(len(reaches)) if each not in chosen)}
                mine = [self.labels[each] for each in chosen]
                kept = "".join(label for label in dict.fromkeys("".join(mine)) if label in others)
                yield float(_contracted([reaches[each] for each in chosen], mine, kept, np.matmul).max(initial=0.0))

    def gradients(self, g: Variable, _v: Variable, *operands: Variable) -> tuple[Variable, ...]:
        """The contraction of the result's gradient with the other operands; copies along what they lack."""
        return tuple(self._gradient(g, number, operands) for number in range(len(operands)))

    def _gradient(self, g: Variable, number: int, operands: Sequence[Variable]) -> Variable:
        mine, shape = self.labels[number], operands[number].shape
        others = [self.out, *(labels for each, labels in enumerate(self.labels) if each != number)]
        kept = "".join(label for label in mine if label in "".join(others))
        beside = [operand for each, operand in enumerate(operands) if each != number]
        found = contracted([g, *beside], others, kept)
        apart = tuple(self.sizes[label] if label in kept else 1 for label in mine)
        return broadcast_to(reshape(found, apart), shape)

    def operation(self) -> Operation:
        """The row of the table."""
        return Operation(
            "einsum",
            self.value,
            self.gradients,
            self.worst,
            self.variance,
            shape=self.shape,
            ball=self.ball,
            partial_sums=self.partial_sums,
            relative=self.relative,
        )


def _products_of_balls(left: Array, right: Array) -> Array:
    from flint import arb_mat

    batch, rows, columns = left.shape[:-2], left.shape[-2], right.shape[-1]
    inner = left.shape[-1]
    entries: list[Any] = []
    for place in np.ndindex(batch):
        one = arb_mat(rows, inner, left[place].ravel().tolist())
        entries += (one * arb_mat(inner, columns, right[place].ravel().tolist())).entries()
    return np.array(entries, dtype=object).reshape(*batch, rows, columns)


def _alike(values: Array, labels: str, label: str, near: float) -> Array:
    """1 where an entry and the one before along a label are equal and not zero; without the label, where not zero."""
    if label not in labels:
        return np.asarray(values != 0, dtype=np.float64)
    axis = labels.index(label)
    here = np.delete(values, 0, axis)
    equal = (np.abs(np.diff(values, axis=axis)) <= near * np.abs(here)) & (here != 0)
    return np.asarray(equal, dtype=np.float64)


def _contracted(arrays: Sequence[Array], labels: Sequence[str], out: str, product: Product) -> Array:
    """Two operands after the other; labels that nothing else needs are summed as soon as possible."""
    found, own = arrays[0], labels[0]
    for number, (array, other) in enumerate(zip(arrays[1:], labels[1:], strict=True), 2):
        needed = {*out, *"".join(labels[number:])}
        found, own = _of_two(found, own, array, other, needed, product)
    found, own = _without_lone(found, own, {*out})
    return np.asarray(np.transpose(found, [own.index(label) for label in out]))


def _of_two(a: Array, of_a: str, b: Array, of_b: str, needed: set[str], product: Product) -> tuple[Array, str]:
    a, of_a = _without_lone(a, of_a, needed | {*of_b})
    b, of_b = _without_lone(b, of_b, needed | {*of_a})
    batch = [label for label in of_a if label in of_b and label in needed]
    summed = [label for label in of_a if label in of_b and label not in needed]
    rows, columns = ([each for each in mine if each not in other] for mine, other in ((of_a, of_b), (of_b, of_a)))
    left, right = _as_matrices(a, of_a, batch, rows, summed), _as_matrices(b, of_b, batch, summed, columns)
    sizes = dict(zip((*of_a, *of_b), (*a.shape, *b.shape), strict=True))
    order = [*batch, *rows, *columns]
    found: Array = product(left, right).reshape([sizes[label] for label in order])
    return found, "".join(order)


def _without_lone(a: Array, labels: str, needed: set[str]) -> tuple[Array, str]:
    """The sums over labels that nothing else has."""
    axes = tuple(axis for axis, label in enumerate(labels) if label not in needed)
    return (np.asarray(np.sum(a, axis=axes)) if axes else a), "".join(label for label in labels if label in needed)


def _as_matrices(a: Array, labels: str, batch: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Array:
    sizes = dict(zip(labels, a.shape, strict=True))
    groups = [math.prod(sizes[label] for label in group) for group in (first, second)]
    order = [labels.index(label) for label in (*batch, *first, *second)]
    matrices: Array = np.transpose(a, order).reshape([*(sizes[label] for label in batch), *groups])
    return matrices


def contracted(operands: Sequence[Variable], labels: Sequence[str], out: str) -> Variable:
    """Record a contraction; without a sum it is a chain of products (R22)."""
    sizes = {
        label: size
        for operand, each in zip(operands, labels, strict=True)
        for label, size in zip(each, operand.shape, strict=True)
    }
    if set("".join(labels)) - set(out):
        return apply(Contraction(labels, out, sizes).operation(), *operands)
    found, own = operands[0], labels[0]
    for operand, each in zip(operands[1:], labels[1:], strict=True):
        both = "".join(label for label in out if label in own + each)
        found, own = multiplied(found, own, operand, each, both), both
    return found


@rule(worst="θ(n + m − 2, u) of Σ|products of m|", typical="√((m − 1)(1 + n))")
def einsum(operands: Sequence[Variable], subscripts: str) -> Variable:
    """The sums of products over labels of axes, as in "bij,bjk->bik"."""
    labels, out = parsed(subscripts, [operand.shape for operand in operands])
    return contracted(operands, labels, out)
