"""Walks of several small cases at once: NumPy's calls cost more than the entries of one.

Each array has a first axis that runs over the cases. A case gets what it gets alone, bit by bit: the rules compute each
entry, row and matrix by itself. Where they look at an array as a whole, to mark an overflow for example, there is no
walk of several cases, and each is walked alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.oracle.chains import chained
from gradcheck.oracle.formats import Format
from gradcheck.oracle.joined import SMALL
from gradcheck.oracle.operations import Array, Errors, Operation, Shape
from gradcheck.oracle.operations.base import Lifted, over_cases
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.running_error import BLOCK, Arithmetic, NotTogetherError, evaluate, packed
from gradcheck.oracle.tape import Tape, TapeNode, entries_of
from gradcheck.oracle.walks import OfBatch, Result, Walk, whole

KEPT = 1 << 21
"""The largest number of entries of all steps of a walk of several cases: 16 MiB for each of values and their errors."""


def most_together(tape: Tape, format: Format) -> int:
    """How many cases of a tape can be walked together; 1 where they cannot.

    Arrays must be small, and those of all steps together too: they are kept. Integers of a case would make another tape
    of it, and subnormal numbers that are read as zero are a matter of a whole array.
    """
    sizes = [math.prod(node.shape) for node in tape.nodes]
    largest, total = max(sizes, default=0), sum(sizes)
    if largest > SMALL or format.flush or any(node.kind == "integer" for node in tape.nodes):
        return 1
    return max(min(BLOCK // max(largest, 1), KEPT // max(total, 1)), 1)


class BatchWalk(Walk):
    """One walk along a tape for several cases.

    Attributes:
        cases: the inputs of each.
        shared: the nodes that depend on no input: their results have no axis of cases.
    """

    def __init__(self, tape: Tape, cases: Sequence[Mapping[str, Array]], arithmetic: Arithmetic) -> None:
        super().__init__(tape, {}, replace(arithmetic, together=True))
        self.cases = cases
        self.shared: set[int] = set()

    def of_case(self, case: int) -> Walk:
        """The walk of one case, which has taken the same steps."""
        walk = Walk(self.tape, self.cases[case], replace(self.arithmetic, together=False))
        walk.results = [self.result(index, case) for index in range(len(self.results))]
        return walk

    def result(self, index: int, case: int) -> Result:
        """The result of a node in one case."""
        result = self.results[index]
        return result if index in self.shared else OfBatch(whole(result), case)

    def _step(self, index: int, node: TapeNode) -> Result:
        if node.operation is None:
            entries = [packed(entries_of(node, inputs)) for inputs in self.cases]
            return Quantity(stacked(entries), decides=node.decides)
        if self.shared.issuperset(node.operands):
            self.shared.add(index)
            return whole(super()._step(index, node))
        if self.passes_on(node):
            return self.results[node.operands[0]]
        lifted = over_cases(node.operation, [self.tape.nodes[operand].shape for operand in node.operands])
        if lifted is None:
            return self._one_by_one(node.operation, node.operands)
        result = evaluate(self.arithmetic, lifted.operation, self._operands(node, lifted))
        if is_open_in_some(result):
            raise NotTogetherError
        return _reshaped(result, node.shape)

    def _operands(self, node: TapeNode, lifted: Lifted) -> list[Quantity]:
        pairs = zip(node.operands, lifted.shapes, strict=True)
        return [_reshaped(self._with_axis(index), shape) for index, shape in pairs]

    def _with_axis(self, index: int) -> Quantity:
        result = whole(self.results[index])
        return result.moved(lambda array: array[np.newaxis]) if index in self.shared else result

    def _one_by_one(self, operation: Operation, operands: Sequence[int]) -> Quantity:
        found = [
            evaluate(self.arithmetic, operation, [whole(self.result(index, case)) for index in operands])
            for case in range(len(self.cases))
        ]
        return Quantity(
            stacked([each.middle for each in found]),
            _together([each.radius for each in found]),
            _together([each.worst for each in found]),
            _together([each.variance for each in found]),
            _together([each.coherent for each in found]),
            _together([each.parts for each in found]),
            found[0].decides,
            chained(operation, [self._with_axis(index) for index in operands]),
        )


def is_open_in_some(several: Quantity) -> bool:
    """Whether a choice is open in some cases and not in others, in which there would be no errors but zeros."""
    choices = (several.radius, several.worst, several.coherent) if several.decides else (several.coherent,)
    found = [each.reshape(len(each), -1).any(axis=1) for each in choices if each is not None]
    return any(each.any() and not each.all() for each in found)


def _reshaped(several: Quantity, shape: Shape) -> Quantity:
    """A quantity of several cases, with another shape in each."""
    if several.shape[1:] == shape:
        return several
    return several.moved(lambda array: array.reshape(len(array), *shape))


def _together(errors: Sequence[Errors]) -> Errors:
    if all(each is None for each in errors):
        return None
    return stacked([each for each in errors if each is not None], len(errors))


def stacked(arrays: Sequence[npt.NDArray[Any]], count: int | None = None) -> npt.NDArray[Any]:
    """Arrays of several cases as one; all must have one dtype, and none may be missing."""
    if len({array.dtype for array in arrays}) > 1 or len(arrays) < (count or 0):
        raise NotTogetherError
    return np.stack(arrays)
