"""Sums of products over axes: matrix products over batches, and their gradients (docs/math.md, R14 and R27)."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Sequence
from functools import cache, partial, reduce
from typing import Any

import numpy as np

from gradcheck.graphs.shapes import matrix_shape, paired_axes
from gradcheck.oracle.formats import HALVED, Format
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Lifted,
    Operation,
    Shape,
    Variable,
    apply,
    square,
    summing_variance,
)
from gradcheck.oracle.operations.coherence import COVERED, SAWTOOTH, of_equal_products, of_shared_errors
from gradcheck.oracle.operations.movements import moveaxis, permute_dims
from gradcheck.oracle.operations.products import OUTER, SCALE, Bilinear, rules_of
from gradcheck.oracle.operations.reductions import reshape
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.terms import Array, Bounded, Spread, Values

Labels = Sequence[Hashable]
"""One for each axis: axes of two operands that have the same one run together."""


class MatrixProduct(Bilinear):
    """The errors of A@B, summed in the accumulator's precision.

    Args:
        pieces: in how many the result may be stored in the format, and added up there.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__(lambda pairs: reduce(np.add, [np.matmul(left, right) for left, right in pairs]))
        self.pieces = pieces

    def terms(self, a: Values) -> int:
        """The length of a row of A."""
        return int(a.size.shape[-1])

    def relative_error(self, format: Format, terms: int) -> float:
        """ρ(n)."""
        return format.product_error(format.roundings(terms), self.pieces)

    def relative_variance(self, format: Format, terms: int) -> float:
        """κ = (0.6u)²(1+n/2) of the accumulator, two roundings of operands, and those of P pieces of n/P terms.

        The sum of the squares of the pieces is at most n/P times that of the terms (Cauchy and Schwarz).
        """
        summing = (1 + summing_variance(terms)[0]) * format.accumulator_roundoff**2
        if self._is_stored_in_pieces(format):
            stored = format.product_roundoff**2 + summing_variance(self.pieces)[0] * format.roundoff**2
            summing += terms / self.pieces * stored
        return ROUNDING_DEVIATION**2 * (summing + 2 * format.operand_rounding**2)

    def variance(self, format: Format, result: Values, a: Spread, b: Spread) -> Array:
        """The same, and (0.6u·v)² for the rounding of the result, (0.6u·v)²n/3 for that of the accumulator.

        Equal terms and shared errors add their parts (docs/math.md, W2 and W3).
        """
        sums = summing_variance(self.terms(a))[1] * format.accumulator_roundoff**2
        equal = 0.0
        if self._is_stored_in_pieces(format):
            sums += summing_variance(self.pieces)[1] * format.roundoff**2
            equal = SAWTOOTH * (self.pieces * format.roundoff) ** 2 if self.pieces > COVERED else 0.0
        relative = ROUNDING_DEVIATION**2 * (format.product_roundoff**2 + sums) + equal
        squares = square(a.size)
        variance = self.independent(format, squares, a, b) + relative * square(result.size)
        variance += of_equal_products(a.middle, b.middle, result.size, format.accumulator_roundoff)
        if a.variance is not None:
            shared = of_shared_errors(a, lambda left: np.matmul(left, b.middle))
            variance += np.maximum(shared - np.matmul(a.variance, square(b.size)), 0.0)
        if b.variance is not None:
            shared = of_shared_errors(b, lambda right: np.matmul(a.middle, right))
            variance += np.maximum(shared - np.matmul(squares, b.variance), 0.0)
        return variance

    def partial_sums(self, _format: Format, a: Bounded, b: Bounded) -> Array:
        """(|A|+Ea)(|B|+Eb)."""
        return self.combine([(a.reach, b.reach)])

    def _is_stored_in_pieces(self, format: Format) -> bool:
        return self.pieces > 1 and format.accumulator_roundoff < format.roundoff


def _matrix_value(a: Array, b: Array) -> Array:
    """A@B; in longdouble, for which there is no BLAS that could sum in any order, it is summed in halves (R14)."""
    if a.dtype != np.longdouble:
        return np.asarray(np.matmul(a, b))
    if b.ndim == 1:
        return _halved(a, b)
    if b.shape[-1] == 1:  # a vector, in one of several cases
        return _halved(a, np.swapaxes(b, -1, -2))[..., np.newaxis]
    if a.shape[-1] > HALVED:
        middle = a.shape[-1] // 2
        first, second = b[..., :middle, :], b[..., middle:, :]
        return np.asarray(_matrix_value(a[..., :middle], first) + _matrix_value(a[..., middle:], second))
    return np.asarray(np.matmul(a, b))


def _halved(a: Array, b: Array) -> Array:
    """Σab over the last axis: ``HALVED`` terms one after the other, and these sums in halves."""
    terms = a.shape[-1]
    whole = terms - terms % HALVED
    pieces = [np.einsum("...ij,...ij->...i", *(_cut(each[..., :whole]) for each in (a, b)))] if whole else []
    if whole < terms or not whole:
        pieces.append(np.einsum("...j,...j->...", a[..., whole:], b[..., whole:])[..., np.newaxis])
    sums = np.concatenate(pieces, axis=-1)
    width = sums.shape[-1]
    while width > 1:
        half = -(-width // 2)
        sums[..., : width - half] += sums[..., half:width]
        width = half
    return np.asarray(sums[..., 0])


def _cut(array: Array) -> Array:
    """The last axis in pieces."""
    return array.reshape(*array.shape[:-1], array.shape[-1] // HALVED, HALVED)


def _rows_of(a: Shape, b: Shape) -> tuple[bool, bool]:
    """Which operands are cut with the first axis of the result: an axis of matrices, or the rows of A."""
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    if not batch:
        return True, False
    return _has_first(a, batch), _has_first(b, batch)


def _has_first(shape: Shape, batch: Shape) -> bool:
    return len(shape) - 2 == len(batch) and shape[0] == batch[0]


def _as_matrices(a: Shape, b: Shape) -> tuple[Shape, Shape]:
    """The shapes with as many axes as each other; a vector is a row on the left, and a column on the right."""
    left, right = (1, *a) if len(a) == 1 else a, (*b, 1) if len(b) == 1 else b
    axes = max(len(left), len(right))
    return (1,) * (axes - len(left)) + left, (1,) * (axes - len(right)) + right


@cache
def matrix_product(pieces: int = 1, entrywise: bool = False) -> Operation:
    """A@B of matrices, with axes of matrices before that broadcast, or of matrices and a vector, or of two vectors.

    Args:
        pieces: in how many the result may be stored.
        entrywise: whether a program may multiply entries, and sum stored products: then it may do so in gradients too.
    """
    product = MatrixProduct(pieces)
    return Operation(
        "matmul",
        _matrix_value,
        partial(_matrix_gradients, entrywise),
        shape=matrix_shape,
        partial_sums=product.partial_sums,
        cut=_rows_of,
        relative=lambda format, sizes: product.relative_error(format, sizes[0].shape[-1]),
        lifted=lambda a, b: Lifted(matrix_product(pieces, entrywise), _as_matrices(a, b)),
        **rules_of(product),
    )


def _matrix_gradients(
    entrywise: bool, g: Variable, _v: Variable, a: Variable, b: Variable
) -> tuple[Variable, Variable]:
    """Sums over the axes along which an operand was broadcast too; some engines store each product before (R27)."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    axes = tuple(range(len(batch)))
    of_g = (*axes, *["row"] * (a.ndim > 1), *["column"] * (b.ndim > 1))
    of_a = (*axes[len(axes) - a.ndim + 2 :], "row", "inner") if a.ndim > 1 else ("inner",)
    of_b = (*axes[len(axes) - b.ndim + 2 :], "inner", "column") if b.ndim > 1 else ("inner",)
    sizes = dict(zip(axes, batch, strict=True))
    left, of_left = _without_unit_axes(a, of_a, sizes)
    right, of_right = _without_unit_axes(b, of_b, sizes)

    def pieces(labels: Labels) -> int | None:
        return None if entrywise else math.prod(size for axis, size in sizes.items() if axis not in labels)

    return (
        reshape(contract(g, of_g, right, of_right, of_left, pieces(of_left)), a.shape),
        reshape(contract(left, of_left, g, of_g, of_right, pieces(of_right)), b.shape),
    )


def _without_unit_axes(a: Variable, labels: Labels, sizes: dict[Any, int]) -> tuple[Variable, Labels]:
    """An operand without the axes of length one that are broadcast."""
    pairs = zip(labels, a.shape, strict=True)
    return _without(a, labels, {label for label, size in pairs if size != sizes.get(label, size)})


def _without(a: Variable, labels: Labels, dropped: Collection[Hashable]) -> tuple[Variable, Labels]:
    """An operand without some axes of length one."""
    kept = [axis for axis, label in enumerate(labels) if label not in dropped]
    return _arranged(a, tuple(range(a.ndim)), tuple(a.shape[axis] for axis in kept)), [labels[axis] for axis in kept]


def contract(a: Variable, of_a: Labels, b: Variable, of_b: Labels, out: Labels, pieces: int | None = 1) -> Variable:
    """The products of entries, summed over the labels that the result lacks.

    Args:
        a: an operand.
        of_a: its labels.
        b: the other operand.
        of_b: its labels; all labels of one operand are in the other one or in the result.
        out: of the result.
        pieces: in how many it may be stored (R27); None: each product may be one.
    """
    batch = [label for label in out if label in of_a and label in of_b]
    rows, columns = ([label for label in out if label not in labels] for labels in (of_b, of_a))
    of_one = {label for label, size in zip(of_a, a.shape, strict=True) if size == 1 and label not in out}
    (a, of_a), (b, of_b) = _without(a, of_a, of_one), _without(b, of_b, of_one)
    summed = [label for label in of_a if label not in out]
    if not summed:
        return multiplied(a, of_a, b, of_b, out)
    if not (batch or rows) and columns:  # so that a matrix is left of a vector
        return contract(b, of_b, a, of_a, out, pieces)
    sizes = dict(zip((*of_a, *of_b), (*a.shape, *b.shape), strict=True))
    left = _grouped(a, of_a, batch, rows, summed)
    right = _grouped(b, of_b, batch, summed, columns)
    terms = math.prod(sizes[label] for label in summed)
    found = apply(matrix_product(terms, True) if pieces is None else matrix_product(pieces), left, right)
    order = [*batch, *rows, *columns]
    entries = reshape(found, tuple(sizes[label] for label in order))
    return permute_dims(entries, tuple(order.index(label) for label in out))


def _grouped(a: Variable, labels: Labels, batch: Labels, first: Labels, second: Labels) -> Variable:
    """An operand as matrices, the labels of each group as one axis; as a vector if it has one group alone."""
    order = [*batch, *first, *second]
    sizes = dict(zip(labels, a.shape, strict=True))
    groups = [group for group in (first, second) if group or batch]
    shape = (*(sizes[label] for label in batch), *(math.prod(sizes[label] for label in group) for group in groups))
    return _arranged(a, tuple(list(labels).index(label) for label in order), shape)


def _arranged(a: Variable, axes: tuple[int, ...], shape: Shape) -> Variable:
    """An operand in another order of axes and then in a shape, recorded once however many products take it."""
    if (axes, shape) not in a.arranged:
        arranged: Variable = reshape(permute_dims(a, axes), shape)
        a.arranged[axes, shape] = arranged
    return a.arranged[axes, shape]


def multiplied(a: Variable, of_a: Labels, b: Variable, of_b: Labels, out: Labels) -> Variable:
    """Products without a sum, which some engines compute as matrix products of single terms (R14)."""
    if list(out) == [*of_a, *of_b] and a.ndim == b.ndim == 1:
        return apply(OUTER, a, b)
    return apply(SCALE, *(_beside(each, labels, out) for each, labels in ((a, of_a), (b, of_b))))


def _beside(a: Variable, labels: Labels, out: Labels) -> Variable:
    """An operand with unit axes for the labels that it lacks."""
    order = [label for label in out if label in labels]
    sizes = dict(zip(labels, a.shape, strict=True))
    return _arranged(
        a, tuple(list(labels).index(label) for label in order), tuple(sizes.get(label, 1) for label in out)
    )


@rule(worst=r"ρ(n) of Σ|a||b|", typical="√(1 + n/2)")
def matmul(a: Variable, b: Variable) -> Variable:
    """The product A B of vectors and matrices; the axes before those of matrices broadcast."""
    if a.ndim == 1 and b.ndim > 1:  # a matrix is left of a vector, so that it can be cut into rows
        axes = (*range(b.ndim - 2), b.ndim - 1, b.ndim - 2)
        a, b = _arranged(b, axes, tuple(b.shape[axis] for axis in axes)), a
    return apply(matrix_product(), a, b)


@rule(worst=r"ρ(n, n) of Σ|a||b|", typical="√(1 + n/2)")
def vecdot(a: Variable, b: Variable, axis: int = -1) -> Variable:
    """The products of vectors along an axis; the other axes broadcast."""
    last = [moveaxis(each, axis, -1) for each in (a, b)]
    batch = np.broadcast_shapes(*(each.shape[:-1] for each in last))
    axes = tuple(range(len(batch)))
    sizes: dict[Any, int] = dict(zip(axes, batch, strict=True))
    (left, of_left), (right, of_right) = (
        _without_unit_axes(each, (*axes[len(axes) - each.ndim + 1 :], "inner"), sizes) for each in last
    )
    return contract(left, of_left, right, of_right, axes, None)


@rule(worst=r"ρ(n) of Σ|a||b|", typical="√(1 + n/2)")
def tensordot(a: Variable, b: Variable, axes: Any = 2) -> Variable:
    """The products summed over some axes of both: the last ones of a and the first ones of b, or pairs of axes."""
    of_a, of_b = paired_axes(a.shape, b.shape, axes)
    first: list[Hashable] = [("a", axis) for axis in range(a.ndim)]
    second: list[Hashable] = [("b", axis) for axis in range(b.ndim)]
    for mine, theirs in zip(of_a, of_b, strict=True):
        second[theirs] = first[mine]
    out = [label for label in (*first, *second) if label not in first or label not in second]
    return contract(a, first, b, second, out)
