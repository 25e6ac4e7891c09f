"""The stage walk: every step of a backend judged from its own previous step (docs/math.md, W15)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from gradcheck.oracle.batches import BatchWalk, stacked
from gradcheck.oracle.enclosure import Rows, bound_of, spread_of
from gradcheck.oracle.flushing import require_subnormal_numbers
from gradcheck.oracle.formats import Format
from gradcheck.oracle.joined import Joined
from gradcheck.oracle.lazy import lazy
from gradcheck.oracle.operations import Array, Shape
from gradcheck.oracle.operations.arithmetic import ACCUMULATE, ADD
from gradcheck.oracle.operations.base import ROUNDING_DEVIATION, total
from gradcheck.oracle.operations.places import WHOLE, Index, Places, has_arrays
from gradcheck.oracle.outer import Bounds
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.running_error import Arithmetic, NotTogetherError
from gradcheck.oracle.tape import ADJOINT, WATCH, Key, Tape
from gradcheck.oracle.walks import Deferred, Result, Walk, row_blocks, whole

Summand = tuple[Index, Result]
"""A summand, and its place in the sum."""


@dataclass(frozen=True, eq=False)
class Terms(Sequence[Array]):
    """The summands of a step, float64 arrays of its shape, each made on request: most of a piece is zeros."""

    shape: Shape
    summands: Sequence[Summand]

    def __len__(self) -> int:
        return len(self.summands)

    def __getitem__(self, number: Any) -> Any:
        index, result = self.summands[number]
        return Places((index,), self.shape).total([whole(result).float64])


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of a backend, and the result of the true operation on the backend's own earlier steps.

    Attributes:
        kind: "value", "loss", "adjoint" or "gradient".
        name: of the watched value or the input; None for the loss.
        got: the backend's entries.
        summands: the results that the step adds, if it is a sum of contributions.
        settled: whether integers that follow from the backend's floats are those of the truth, so that the step says
            something.
        bounds: of these rows, where they are some rows of an outer product.
    """

    kind: str
    name: str | None
    got: Array
    result: Result
    summands: Sequence[Summand] = ()
    settled: bool = True
    bounds: Bounds | None = None

    @property
    def terms(self) -> Terms:
        """The right summands of the step, float64."""
        return Terms(self.got.shape, self.summands)

    @property
    def assigned(self) -> Array | None:
        """The sum with the last one only of the entries that come to one place of a summand, as `a[i] = b` has it.

        None where no summand has index arrays.
        """
        if not any(has_arrays(index) for index, _ in self.summands):
            return None
        total = np.zeros(self.got.shape)
        for index, result in self.summands:
            piece = np.zeros(self.got.shape)
            piece[index] = whole(result).float64
            total += piece
        return total

    @property
    def expected(self) -> Array:
        """The right result of the step, float64; NaN where earlier entries are not finite."""
        return self.bounds.middle if self.bounds is not None else np.asarray(self._quantity.middle, dtype=np.float64)

    @property
    def is_narrow(self) -> bool:
        """Whether the bound is known to be at most `DOUBT` standard deviations, in every entry."""
        return self.bounds is not None and self.bounds.product.narrow

    @lazy
    def bound(self) -> Array:
        """The largest error of a correct backend, our rounding included; inf where overflow is possible."""
        if self.bounds is not None:
            return self.bounds.worst
        return bound_of(self._quantity.worst, self.got.shape) if self.settled else self._unknown

    @lazy
    def spread(self) -> Array:
        """The standard deviation of a correct backend's error; inf where unknown."""
        if self.bounds is not None:
            return self.bounds.spread
        if not self.settled:
            return self._unknown
        return spread_of(self._quantity.variance, self._quantity.coherent, self.got.shape)

    @property
    def _unknown(self) -> Array:
        return np.full(self.got.shape, np.inf)

    @lazy
    def error(self) -> Array:
        """|got − expected|; inf where exactly one of them is not a finite number."""
        with np.errstate(all="ignore"):
            error = np.asarray(self.got - self.expected)
            np.abs(error, out=error)
            if self.bounds is not None:  # finite numbers are expected
                return error
            return np.where(self.got == self.expected, 0.0, error) if np.isnan(error.max(initial=0.0)) else error

    @property
    def fails(self) -> Array:
        """Where the step is wrong, which proves nothing (W8): beyond a finite bound, or not finite where it must be."""
        return np.isfinite(self.bound) & ~(self.error <= self.bound)

    @property
    def is_plain(self) -> bool:
        """Whether it is settled, and its numbers are those of a dtype that float64 has."""
        return self.settled and self.got.dtype.kind == "f" and np.can_cast(self.got.dtype, float)

    @staticmethod
    def joined(joined: Joined, got: Array, stages: Sequence[Stage]) -> Stage:
        """Several plain ones as one, whose entries are `got`."""
        return Stage("joined", None, got, joined.quantity([stage._quantity for stage in stages]))

    def blocks(self, rows: int | None = None) -> Iterator[tuple[Rows, Stage]]:
        """The stage by blocks of rows, so that a large step never exists as a whole."""
        parts = list(row_blocks(self.got.shape, rows))
        if len(parts) == 1:
            yield parts[0], self
            return
        for part in parts:
            stage = self._bounded(part)
            got, result = self.got[part], self.result
            yield part, stage or replace(self, got=got, result=result.rows(part), summands=())

    def _bounded(self, rows: Rows) -> Stage | None:
        """Some rows of an outer product; None where their bounds are not known in advance to be finite."""
        bounds = self.result.bounds(rows) if isinstance(self.result, Deferred) and self.is_plain else None
        if bounds is None:
            return None
        return replace(self, got=np.asarray(self.got[rows], dtype=np.float64), summands=(), bounds=bounds)

    @lazy
    def _quantity(self) -> Quantity:
        return whole(self.result)


def stages(
    tape: Tape,
    inputs: Mapping[str, Array],
    format: Format,
    given: Mapping[Key, Array],
    known: Mapping[int, Quantity] | None = None,
) -> Iterator[Stage]:
    """Judge a backend step by step; by induction an answer that passes every stage lies within the worst bound.

    Args:
        tape: of the problem.
        inputs: name -> array of float64, float32 or float16, exact.
        format: of the backend.
        given: the arrays of its answer, by key; missing steps are continued with their own errors.
        known: the results of some steps of the tape, `Analysis.of_inputs`, which save time.

    Yields:
        The stages: values in order of computation, the loss, adjoints backwards, gradients.

    Raises:
        ValueError: an array of the answer does not have the shape of its step.
        RequestError: this process flushes subnormal numbers to zero.
    """
    require_subnormal_numbers()
    tape = tape.at(inputs)
    walk = Walk(tape, inputs, Arithmetic.float64(format, radii=False), known)
    open_: set[int] = set()
    for index in walk.steps():
        if _is_open(walk, index) or not open_.isdisjoint(tape.nodes[index].sources):
            open_.add(index)
        for key in tape.outputs_of.get(index, ()):
            if key in given and key[0] != "gradient":
                yield _stage(key, given[key], tape, walk.results.__getitem__, index, index not in open_)
                open_.discard(index)
                walk.results[index] = _continued(walk.results[index], key, given[key], format)
                if key[0] == "value":
                    _hand_back(walk, index, given[key])
    for key, index in tape.outputs.items():
        if key in given and key[0] == "gradient":
            yield _stage(key, given[key], tape, walk.results.__getitem__, index, index not in open_)


def stages_together(
    tape: Tape, cases: Sequence[Mapping[str, Array]], format: Format, given: Sequence[Mapping[Key, Array]]
) -> list[dict[Key, Stage]]:
    """Judge the answers to some cases at once, as `stages` does each; at most `most_together` of them.

    Args:
        tape: of the problem.
        cases: their inputs.
        format: of the backend.
        given: the arrays of the answer to each, of the shapes of their steps.

    Raises:
        NotTogetherError: the answers lack different arrays, one is not finite, or a rule looks at them as a whole.
        RequestError: this process flushes subnormal numbers to zero.
    """
    require_subnormal_numbers()
    if any(each.keys() != given[0].keys() for each in given):
        raise NotTogetherError
    walk = BatchWalk(tape, cases, Arithmetic.float64(format, radii=False))
    found: list[dict[Key, Stage]] = [{} for _ in cases]

    def add(key: Key, index: int) -> None:
        for case, (answer, stages) in enumerate(zip(given, found, strict=True)):
            stages[key] = _stage(key, answer[key], tape, partial(walk.result, case=case), index, settled=True)

    for index in walk.steps():
        for key in tape.outputs_of.get(index, ()):
            if key in given[0] and key[0] != "gradient":
                add(key, index)
                got = stacked([answer[key] for answer in given])
                if (index in walk.shared and key[0] == "value") or not np.isfinite(np.sum(got)):
                    raise NotTogetherError
                walk.shared.discard(index)
                walk.results[index] = _continued(walk.results[index], key, got, format)
                if key[0] == "value":
                    _hand_back(walk, index, got)
    for key, index in tape.outputs.items():
        if key in given[0] and key[0] == "gradient":
            add(key, index)
    return found


def _is_open(walk: Walk, index: int) -> bool:
    """Whether a step makes integers that the backend's floats leave open, or decide otherwise than the truth (R43)."""
    return walk.tape.nodes[index].kind == "integer" and whole(walk.results[index]).worst is not None


def _stage(key: Key, got: Array, tape: Tape, result_of: Callable[[int], Result], index: int, settled: bool) -> Stage:
    result = result_of(index)
    if got.shape != result.shape:
        raise ValueError(f"{key[0]} {key[1] or ''} has shape {got.shape}, expected {result.shape}")
    return Stage(*key, got, result, _summands(tape, result_of, index), settled)


def _summands(tape: Tape, result_of: Callable[[int], Result], index: int) -> Sequence[Summand]:
    node = tape.nodes[index]
    while node.operation in (WATCH, ADJOINT):
        node = tape.nodes[node.operands[0]]
    if node.operation is not None and node.operation.places is not None:
        return list(zip(node.operation.places.indices, map(result_of, node.operands), strict=True))
    if node.operation not in (ADD, ACCUMULATE):
        return ()
    return [(WHOLE, result) for result in map(result_of, node.operands) if result.shape == node.shape]


def _hand_back(walk: Walk, index: int, got: Array) -> None:
    """Let the derivative of the function that computes a watched value start from the backend's value too.

    Engines compute σ' from their σ(y), u(1−u), or again from y, e/(1+e)²: both are correct. So the function's result is
    the backend's value, and the distance from it to another correct one, the step's errors twice, its error.
    """
    function = walk.tape.nodes[index].operands[0]
    if walk.tape.nodes[function].operation is None or function in walk.tape.outputs_of:
        return
    step = whole(walk.results[function])
    with np.errstate(all="ignore"):
        again = Quantity(got, worst=total(step.worst, step.worst), variance=total(step.variance, step.variance))
        again.coherent, again.chain = total(step.coherent, step.coherent), step.chain
        if not np.isfinite(np.sum(again.float64)):
            unknown = np.where(np.isfinite(got), 0.0, np.inf)
            again.worst, again.variance = total(again.worst, unknown), total(again.variance, unknown)
    walk.results[function] = again


def _continued(result: Result, key: Key, got: Array, format: Format) -> Result:
    """The backend's own value instead of ours: exact except for excess precision, unknown where not finite.

    Excess precision is the part that rounding removed from the value: u|v|, and η where that is subnormal. An infinity
    that the problem wrote is exact too.
    """
    if key[0] == "loss":
        return result
    given = Quantity(got, chain=whole(result).chain)
    excess, tiny = (format.roundoff, format.underflow) if format.excess_precision else (0.0, 0.0)
    with np.errstate(all="ignore"):
        finite = np.isfinite(np.sum(given.float64))
        if excess or not finite:
            known = np.isfinite(got)
            size = np.where(known, given.size, 0.0)
            known |= False if finite else _written_infinities(whole(result), got)
            given.worst = np.where(known, excess * size + tiny, np.inf)
            given.variance = np.where(known, np.square(ROUNDING_DEVIATION * (excess * size + tiny)), np.inf)
    return given


def _written_infinities(step: Quantity, got: Array) -> Array:
    """Where a backend has the infinity that the step computes from the problem's own infinities."""
    return np.asarray(np.isinf(got) & (step.middle == got) & (step.worst is None or step.worst == 0))
