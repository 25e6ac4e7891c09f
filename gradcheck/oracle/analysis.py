"""The analysis of a case: for each output its enclosure, the worst error of a correct backend, and the typical one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from gradcheck.oracle.batches import BatchWalk
from gradcheck.oracle.cancellation import sizes_of_terms
from gradcheck.oracle.enclosure import Enclosure, Rows, bound_of, spread_of
from gradcheck.oracle.flushing import require_subnormal_numbers
from gradcheck.oracle.formats import SMALLEST, Format
from gradcheck.oracle.joined import SMALL, Joined
from gradcheck.oracle.lazy import lazy
from gradcheck.oracle.operations import Array, Errors, Shape
from gradcheck.oracle.operations.base import total
from gradcheck.oracle.operations.shares import FIRST
from gradcheck.oracle.operations.terms import DOUBT
from gradcheck.oracle.outer import Bounds
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.running_error import Arithmetic, has_extended_precision
from gradcheck.oracle.tape import Key, Tape
from gradcheck.oracle.walks import Deferred, Result, Walk, row_blocks, whole

BALL_BITS = 128
"""Precision of the Arb balls: twice that of the widest middles."""

FINER_BITS = (256, 512, 1024)
"""The precisions for balls whose radius hides errors."""

Balls = Callable[[int], Mapping[Key, Enclosure]]
Terms = Callable[[], Mapping[Key, float]]


class Block(NamedTuple):
    """Some rows of an output, or all of it; float64 arrays of one shape."""

    rows: Rows
    enclosure: Enclosure
    worst: Array
    spread: Array


class Open(NamedTuple):
    """Whether integers behind an output are open: in truth, within worst errors, and within typical ones (R43).

    Floats decide them. The walks know one choice of them; with another one the output has other values.
    """

    truth: bool = False
    worst: bool = False
    typical: bool = False


class Output:
    """One output of an analysis, evaluated on request.

    Accept an entry of a backend where ``abs(enclosure.distance(got)) <= worst + enclosure.radius``; both are widened
    for the float64 rounding of these. An infinite ``worst`` means that overflow was possible, or that nothing is known.
    """

    def __init__(self, key: Key, result: Result, balls: Balls, sharp: bool, terms: Terms, choices: Open) -> None:
        self.shape: Shape = result.shape
        self._key = key
        self._result = result
        self._balls = balls
        self._terms = terms
        self._choices = choices
        self._sharp = sharp  # our middles are sharper than the backend's values

    @property
    def enclosure(self) -> Enclosure:
        """The enclosure of the true values."""
        return self._whole.enclosure

    @property
    def worst(self) -> Array:
        """The largest error of a correct backend."""
        return self._whole.worst

    @property
    def spread(self) -> Array:
        """The standard deviation of the error of a correct backend."""
        return self._whole.spread

    def size_of_terms(self) -> float:
        """The largest size of the terms whose sums its entries are; another walk computes it on request."""
        return self._terms()[self._key]

    def blocks(self, rows: int | None = None) -> Iterator[Block | Bounds]:
        """The output by blocks of ``rows``, by default as large as a cache, so that it need never exist as a whole.

        The bounds of some rows of a large outer product take their place where these are known.
        """
        parts = list(row_blocks(self.shape, rows))
        if len(parts) == 1:  # small, so it is kept for the next backend of this format
            yield self._whole._replace(rows=parts[0])
            return
        for part in parts:
            yield self._bounded(part) or self._block(part, self._result.rows(part))

    def _bounded(self, rows: Rows) -> Bounds | None:
        """Some rows of an outer product; None where their bounds are not known in advance to be finite."""
        if not isinstance(self._result, Deferred) or not self._sharp or any(self._choices):
            return None
        bounds = self._result.bounds(rows)
        if bounds is None or bounds.radius is None:
            return None
        return bounds if bounds.product.narrow or not _is_blurred(bounds.enclosure, bounds.spread) else None

    @lazy
    def _quantity(self) -> Quantity:
        return whole(self._result)

    @lazy
    def _whole(self) -> Block:
        return self._block(..., self._quantity)

    @property
    def is_plain(self) -> bool:
        """Whether it is small, and its quantity alone gives its block, unless the radius is wide."""
        if not (self._sharp and 0 < math.prod(self.shape) <= SMALL) or any(self._choices) or "_whole" in self.__dict__:
            return False
        return self._quantity.coherent is None and self._quantity.middle.dtype.kind == "f"

    @property
    def is_evaluated(self) -> bool:
        """Whether it is small, and its block is known."""
        return 0 < math.prod(self.shape) <= SMALL and "_whole" in self.__dict__

    @staticmethod
    def evaluate(outputs: Sequence[Output]) -> None:
        """Evaluate the blocks of plain outputs at once: NumPy's calls cost more than their entries."""
        joined = Joined([output.shape for output in outputs])
        quantity = joined.quantity([output._quantity for output in outputs])
        with np.errstate(all="ignore"):
            enclosure = Enclosure.of(quantity.middle, quantity.float64, quantity.radius)
            worst = bound_of(quantity.worst, quantity.shape)
            spread = spread_of(quantity.variance, None, quantity.shape)
            if not enclosure.radius.max() < np.inf or _is_blurred(enclosure, spread):
                return  # each for itself, some with balls
        for output, *parts in zip(outputs, *map(joined.pieces, (*enclosure.parts, worst, spread)), strict=True):
            output.__dict__["_whole"] = Block(..., Enclosure(*parts[:3]), *parts[3:])

    def _block(self, rows: Rows, quantity: Quantity) -> Block:
        enclosure, worst = Enclosure.of(quantity.middle, quantity.float64, quantity.radius), quantity.worst
        coherent = quantity.coherent
        if not self._sharp:
            enclosure, worst = self._ball(rows), total(worst, quantity.radius)
        elif not enclosure.radius.max(initial=0.0) < np.inf:
            enclosure = enclosure.completed(self._ball(rows))
        elif coherent is not None:  # errors are relative to our middles, so that a tie is in the radius and in them
            worst, coherent = _beyond(worst, quantity.radius), _beyond(coherent, quantity.radius)
        spread = spread_of(quantity.variance, coherent, quantity.shape)
        if coherent is None and _is_blurred(enclosure, spread):
            enclosure, worst = self._finer(rows, spread), total(quantity.worst, quantity.radius)
        return self._with_choices(Block(rows, enclosure, bound_of(worst, quantity.shape), spread))

    def _with_choices(self, block: Block) -> Block:
        """A block of which nothing is known as far as integers are open."""
        unknown = np.full(block.spread.shape, np.inf)
        return Block(
            block.rows,
            replace(block.enclosure, radius=unknown) if self._choices.truth else block.enclosure,
            unknown if self._choices.worst else block.worst,
            unknown if self._choices.typical else block.spread,
        )

    def _ball(self, rows: Rows, bits: int = BALL_BITS) -> Enclosure:
        return self._balls(bits)[self._key].rows(rows)

    def _finer(self, rows: Rows, spread: Array) -> Enclosure:
        """Balls with enough bits for a radius that hides no error: a long recursion's radius grows.

        That of balls halves with each bit, so it says how many they need; beyond all numbers it calls for the most.
        """
        bits = BALL_BITS
        while _is_blurred(enclosure := self._ball(rows, bits), spread) and bits < FINER_BITS[-1]:
            needed = bits + math.log2(_times_too_wide(enclosure, spread))
            bits = next((each for each in FINER_BITS if each >= needed), FINER_BITS[-1])
        return enclosure


def _is_blurred(enclosure: Enclosure, spread: Array) -> bool:
    """Whether the radius hides errors that rounding does not explain."""
    limit = DOUBT * spread
    if (enclosure.radius <= limit).all():
        return False
    hidden = enclosure.radius > limit + SMALLEST
    return bool(np.any(hidden & np.isfinite(spread) & (spread > 0)))


def _times_too_wide(enclosure: Enclosure, spread: Array) -> float:
    """The largest quotient of a radius and what it may be."""
    matters = np.isfinite(spread) & (spread > 0)
    with np.errstate(over="ignore"):
        return float(np.max(enclosure.radius[matters] / (DOUBT * spread[matters] + SMALLEST)))


def _beyond(errors: Errors, radius: Errors) -> Errors:
    """The part of errors that exceeds a radius; the radius counts separately."""
    return errors if errors is None or radius is None else np.maximum(errors - radius, 0.0)


class Analysis(Mapping[Key, Output]):
    """The analysis of every output of a tape for one case and one format.

    Attributes:
        precision_bits: of the arithmetic behind the enclosures.
        ties: the operations with an exact tie, which leaves open which operand gets the gradient.
        of_inputs: the steps of its walk that `stages` need not compute again.
    """

    def __init__(
        self,
        outputs: Mapping[Key, Output],
        precision_bits: int,
        ties: frozenset[str],
        of_inputs: Mapping[int, Quantity],
    ) -> None:
        self.precision_bits = precision_bits
        self.ties = ties
        self.of_inputs = of_inputs
        self._outputs = outputs

    @staticmethod
    def evaluate(analyses: Iterable[Analysis]) -> None:
        """Evaluate the blocks of small outputs that have none yet: all at once, or else those of each analysis."""
        distinct = {id(analysis): [*analysis._outputs.values()] for analysis in analyses}
        for outputs in ([output for each in distinct.values() for output in each], *distinct.values()):
            if len(plain := [output for output in outputs if output.is_plain]) > 1:
                Output.evaluate(plain)

    def __getitem__(self, key: Key) -> Output:
        return self._outputs[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)


def analyse(tape: Tape, inputs: Mapping[str, Array], format: Format) -> Analysis:
    """Analyse a case from end to end.

    Args:
        tape: of the problem.
        inputs: name -> array of float64, float32 or float16, exact (bfloat16 values come in float32).
        format: of the judged backend.

    Returns:
        For each key of ``tape.outputs`` an Output. Enclosures are computed in float64 for narrower formats, in
        longdouble for float64, and in Arb balls for entries that are out of their range, or where the platform's
        longdouble is no wider than float64.

    Raises:
        RequestError: this process flushes subnormal numbers to zero.
    """
    require_subnormal_numbers()
    walk = Walk(tape.at(inputs), inputs, _arithmetic(format))
    for _ in walk.steps():
        pass
    return _analysis(walk)


def analyse_together(tape: Tape, cases: Sequence[Mapping[str, Array]], format: Format) -> list[Analysis]:
    """Analyse some cases of a tape at once, as `analyse` does each; at most `most_together` of them.

    Raises:
        NotTogetherError: a rule looks at the arrays of a case as a whole.
        RequestError: this process flushes subnormal numbers to zero.
    """
    require_subnormal_numbers()
    walk = BatchWalk(tape, cases, _arithmetic(format))
    for _ in walk.steps():
        pass
    return [_analysis(walk.of_case(case)) for case in range(len(cases))]


def _analysis(walk: Walk) -> Analysis:
    tape, inputs, arithmetic = walk.tape, walk.inputs, walk.arithmetic
    format = arithmetic.backend

    @cache
    def balls(bits: int) -> Mapping[Key, Enclosure]:
        from gradcheck.oracle.balls import Enclosures  # importing flint takes 30 ms

        return Enclosures(tape, inputs, bits)

    @cache
    def terms() -> Mapping[Key, float]:
        return sizes_of_terms(tape, inputs, format)

    sharp, choices = arithmetic.own.roundoff < format.roundoff, _open_choices(walk)
    in_float64 = arithmetic.dtype == np.float64
    outputs = {
        key: Output(key, walk.results[index], balls, sharp, terms, choices(index))
        for key, index in tape.outputs.items()
    }
    bits, of_inputs = arithmetic.own.bits if sharp else BALL_BITS, walk.of_inputs() if in_float64 else {}
    return Analysis(outputs, bits, frozenset(_ties(walk)), of_inputs)


def _ties(walk: Walk) -> Iterator[str]:
    """The operations whose result depends on a convention."""
    for node, result in zip(walk.tape.nodes, walk.results, strict=True):
        if node.operation is not None and node.operation.conventions and whole(result).worst is not None:
            operands = [whole(walk.results[operand]).middle for operand in node.operands]
            with np.errstate(all="ignore"):
                first = node.operation.conventions[FIRST].value(*operands)
            if not np.array_equal(first, whole(result).middle):
                yield node.operation.name


def _open_choices(walk: Walk) -> Callable[[int], Open]:
    """Whether errors leave the integers behind a node open."""
    results = enumerate(zip(walk.tape.nodes, walk.results, strict=True))
    integers = {index: whole(result) for index, (node, result) in results if node.kind == "integer"}

    def behind(errors_of: Callable[[Quantity], Errors]) -> frozenset[int]:
        return walk.tape.following([index for index, each in integers.items() if _is_unknown(errors_of(each))])

    truth, worst = behind(lambda each: each.radius), behind(lambda each: each.worst)
    typical = behind(lambda each: each.variance)
    return lambda index: Open(index in truth, index in worst, index in typical)


def _is_unknown(errors: Errors) -> bool:
    return errors is not None and bool(np.isinf(errors).any())


def _arithmetic(format: Format) -> Arithmetic:
    if format.name == "float64" and has_extended_precision():
        return Arithmetic.extended(format)
    return Arithmetic.float64(format)
