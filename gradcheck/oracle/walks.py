"""Walks along a tape: each step evaluated once, large ones by blocks of rows on request."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradcheck.oracle.chains import chained
from gradcheck.oracle.enclosure import Rows
from gradcheck.oracle.lazy import lazy
from gradcheck.oracle.operations import Array, Operation, Shape
from gradcheck.oracle.operations.products import OUTER
from gradcheck.oracle.outer import Bounds, OuterProduct, outer_product
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.running_error import BLOCK, Arithmetic, evaluate, packed
from gradcheck.oracle.tape import ADJOINT, WATCH, Tape, TapeNode, entries_of


@dataclass(frozen=True, eq=False)
class Deferred:
    """A result that is evaluated on request, and by blocks of rows."""

    arithmetic: Arithmetic
    operation: Operation
    operands: Sequence[Quantity]
    shape: Shape

    def rows(self, rows: Rows) -> Quantity:
        """Some rows of the result."""
        operands = zip(self.operands, self.cut, strict=True)
        return evaluate(self.arithmetic, self.operation, [each.rows(rows) if cut else each for each, cut in operands])

    def bounds(self, rows: Rows) -> Bounds | None:
        """The same of an outer product in fewer passes, where nothing overflows."""
        return None if self._product is None else self._product.bounds(rows)

    @lazy
    def _product(self) -> OuterProduct | None:
        if self.operation is not OUTER:
            return None
        walk = self.arithmetic
        return outer_product(self.operands, walk.dtype, walk.own if walk.radii else None, walk.distance, walk.backend)

    @lazy
    def cut(self) -> tuple[bool, ...]:
        """Which operands are cut into rows."""
        assert self.operation.cut is not None
        return self.operation.cut(*(operand.shape for operand in self.operands))

    def blocks(self) -> Iterator[Rows]:
        """Slices of rows in which the operands that are cut have at most ``BLOCK`` entries each."""
        rows = [math.prod(each.shape[1:]) for each, cut in zip(self.operands, self.cut, strict=True) if cut]
        return row_blocks(self.shape, max(BLOCK // max(*rows, 1), 1))

    def whole(self) -> Quantity:
        """All its rows, evaluated by blocks."""
        pieces = [*self.blocks()]
        if len(pieces) == 1:
            return evaluate(self.arithmetic, self.operation, self.operands)
        stacked = _stacked([self.rows(rows) for rows in pieces])
        stacked.chain = chained(self.operation, self.operands)
        return stacked


@dataclass(eq=False)
class OfBatch:
    """The result of one case of several that were evaluated together."""

    several: Quantity
    case: int

    @property
    def shape(self) -> Shape:
        """The shape of the values."""
        return self.several.shape[1:]

    def rows(self, rows: Rows) -> Quantity:
        """Some rows of the result."""
        return self._own.rows(rows)

    def whole(self) -> Quantity:
        """All its rows."""
        return self._own

    @lazy
    def _own(self) -> Quantity:
        return self.several.moved(lambda array: array[self.case])


Result = Quantity | Deferred | OfBatch


def whole(result: Result) -> Quantity:
    """A result with all its rows."""
    return result if isinstance(result, Quantity) else result.whole()


def row_blocks(shape: Shape, rows: int | None = None) -> Iterator[Rows]:
    """Cut an array into slices of rows, by default of at most ``BLOCK`` entries; a scalar is one piece."""
    if shape == ():
        yield ...
        return
    step = rows or max(BLOCK // max(math.prod(shape[1:]), 1), 1)
    for start in range(0, max(shape[0], 1), step):
        yield slice(start, min(start + step, shape[0]))


class Walk:
    """One walk along a tape, one step at a time.

    Args:
        known: the results of some steps, which are not computed again.

    Attributes:
        results: of the steps so far; a caller may replace the last one by its own values.
    """

    def __init__(
        self,
        tape: Tape,
        inputs: Mapping[str, Array],
        arithmetic: Arithmetic,
        known: Mapping[int, Quantity] | None = None,
    ) -> None:
        self.tape = tape
        self.inputs = inputs
        self.arithmetic = arithmetic
        self.results: list[Result] = []
        self._known = known or {}

    def steps(self) -> Iterator[int]:
        """Take the steps one by one; yields the index of each when it is done."""
        for index, node in enumerate(self.tape.nodes):
            self.results.append(self._known[index] if index in self._known else self._step(index, node))
            yield index

    def of_inputs(self) -> dict[int, Quantity]:
        """The small results of steps that take nothing but inputs, without radii: those of each walk in this dtype.

        Inputs are exact, and no sums of terms: W7 adds nothing to these steps in a walk with radii.
        """
        first = {}
        for index, (node, result) in enumerate(zip(self.tape.nodes, self.results, strict=True)):
            takes_inputs = bool(node.operands) and all(
                self.tape.nodes[each].operation is None for each in node.operands
            )
            if takes_inputs and isinstance(result, Quantity) and result.middle.size <= BLOCK:
                first[index] = replace(result, radius=None, parts=None)
        return first

    def passes_on(self, node: TapeNode) -> bool:
        """Whether a step is its operand, errors and all: a watched value, unless the engine flushes it."""
        format = self.arithmetic.backend
        return node.operation in (WATCH, ADJOINT) and not (format.flushes_results or format.flushes_inputs)

    def _step(self, index: int, node: TapeNode) -> Result:
        if node.operation is None:
            return Quantity(packed(entries_of(node, self.inputs)), decides=node.decides)
        if self.passes_on(node):
            return whole(self.results[node.operands[0]])
        operands = [whole(self.results[operand]) for operand in node.operands]
        if node.operation.cut is None or node.shape == ():
            return evaluate(self.arithmetic, node.operation, operands)
        deferred = Deferred(self.arithmetic, node.operation, operands, node.shape)
        return whole(deferred) if index in self.tape.consumed else deferred


def _stacked(blocks: Sequence[Quantity]) -> Quantity:
    """Blocks of rows as one; a part that only some blocks have is exact, or certain, in the others."""

    def stack(parts: list[Array | None]) -> Array | None:
        if all(part is None for part in parts):
            return None
        return np.concatenate(
            [
                np.zeros(block.shape, dtype=bool) if part is None else part
                for block, part in zip(blocks, parts, strict=True)
            ]
        )

    return Quantity(
        np.concatenate([block.middle for block in blocks]),
        stack([block.radius for block in blocks]),
        stack([block.worst for block in blocks]),
        stack([block.variance for block in blocks]),
        stack([block.coherent for block in blocks]),
        stack([block.parts for block in blocks]),
    )
