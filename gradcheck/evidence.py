"""Evidence: one array of an answer against what the oracle allows it, by blocks of rows, so that it may be large."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.oracle import Format, Output, Stage
from gradcheck.results import ArrayError, Entry, Power

Array = npt.NDArray[np.floating[Any]]

# No correct entry came near it in millions (benchmarks/false_alarms.py); what a worst bound must allow is far above it.
SPREADS = 32
WORST_SHOWN = 5
# The power of a check is measured on so many entries of an array, evenly spaced: all of them in a small one.
MEASURED = 1 << 16
EXPONENT_BITS = np.int64(0x7FF0_0000_0000_0000)


@dataclass(frozen=True)
class Check:
    """One comparison of a block of entries, flat float64 arrays: an error beyond `bound` is a proof.

    Beyond `limit` it is more than rounding does. Where they are infinite, nothing is known.
    """

    true: Array
    error: Array
    bound: Array
    spread: Array
    limit: Array

    @property
    def bad(self) -> npt.NDArray[np.bool_]:
        """Where the entry is refused."""
        return self.proved | self.beyond

    @property
    def proved(self) -> npt.NDArray[np.bool_]:
        """Where the error is a proof; written so that NaN is one."""
        return np.isfinite(self.bound) & ~(self.error <= self.bound)

    @property
    def beyond(self) -> npt.NDArray[np.bool_]:
        """Where the error is more than rounding does."""
        return np.isfinite(self.limit) & ~(self.error <= self.limit)

    @property
    def threshold(self) -> Array:
        """The smallest error that would have been refused."""
        return np.minimum(self.bound, self.limit)


@dataclass(frozen=True)
class Block:
    """Some entries of an array, flat: what was got, and the checks on them, from end to end or of the step or both."""

    first: int
    got: Array
    whole: Check | None
    step: Check | None

    @property
    def checks(self) -> list[Check]:
        """The checks that there are, from end to end first: that one's error is what is reported."""
        return [check for check in (self.whole, self.step) if check is not None]


@dataclass
class Finding:
    """What was found in one array; blocks are added to it.

    Attributes:
        threshold: the largest error that every check, from end to end and of the step, would have let pass.
        step_threshold: the same of the step alone.
        largest_true: the largest magnitude of a true value.
    """

    format: Format
    shape: tuple[int, ...]
    entries: int = 0
    bad: int = 0
    proved: int = 0
    largest_error: float = 0.0
    largest_ulp: float = 0.0
    largest_spread_ratio: float = 0.0
    largest_true: float = 0.0
    threshold: float = 0.0
    step_threshold: float = 0.0
    step_bad: int = 0
    step_worst: list[Entry] = field(default_factory=list)
    worst: list[Entry] = field(default_factory=list)
    powers: list[Array] = field(default_factory=list)

    def add(self, block: Block) -> None:
        """Take a block into account."""
        reported = block.checks[0]
        bad = np.logical_or.reduce([check.bad for check in block.checks])
        threshold = np.minimum.reduce([check.threshold for check in block.checks])
        size = np.abs(reported.true)
        self.entries += block.got.size
        self.bad += int(np.count_nonzero(bad))
        self.proved += int(np.count_nonzero(np.logical_or.reduce([check.proved for check in block.checks])))
        self.largest_error = _larger(self.largest_error, reported.error)
        self.largest_ulp = _larger(self.largest_ulp, reported.error / ulp(size, self.format))
        self.largest_spread_ratio = max([self.largest_spread_ratio, *map(_spread_ratio, block.checks)])
        self.largest_true = _larger(self.largest_true, size)
        self.threshold = _larger(self.threshold, threshold)
        self.worst = self._worst([*self.worst, *self._entries(block, reported, bad)])
        if block.step is not None:
            self.step_threshold = _larger(self.step_threshold, block.step.threshold)
            self.step_bad += int(np.count_nonzero(block.step.bad))
            self.step_worst = self._worst([*self.step_worst, *self._entries(block, block.step, block.step.bad)])
        stride = -(-math.prod(self.shape) // MEASURED)
        self.powers.append((threshold / size)[-block.first % stride :: stride])

    def _entries(self, block: Block, check: Check, bad: npt.NDArray[np.bool_]) -> Iterator[Entry]:
        """Those with the largest errors in units of their bounds: one of the block, and the worst of its bad ones."""
        ratios = np.nan_to_num(_ratio(check.error, check.bound), nan=np.inf)
        numbers = {int(np.argmax(ratios))} if ratios.size else set()
        if bad.any():
            numbers |= _largest(np.where(bad, ratios, -1.0), int(np.count_nonzero(bad)))
        for number in sorted(numbers):
            yield Entry(
                index=tuple(int(each) for each in np.unravel_index(block.first + number, self.shape)),
                got=float(block.got[number]),
                true=float(check.true[number]),
                error=float(check.error[number]),
                bound=float(check.bound[number]),
                bound_ratio=float(ratios[number]),
                bad=bool(bad[number]),
            )

    def _worst(self, entries: list[Entry]) -> list[Entry]:
        return sorted(entries, key=lambda entry: (entry.bad, entry.bound_ratio), reverse=True)[:WORST_SHOWN]

    @property
    def reach(self) -> float:
        """What a check has to be narrower than to have power: the largest value, or what is underflow's alone.

        Below λ/u the absolute error λ of an underflow is no larger than a rounding error.
        """
        return max(self.largest_true, self.format.normal / self.format.roundoff)

    @property
    def has_power(self) -> bool:
        """Whether the checks together are narrower than the values."""
        return self.threshold <= self.reach

    @property
    def step_has_power(self) -> bool:
        """Whether the check of the step alone is."""
        return self.step_threshold <= self.reach

    @property
    def overflow(self) -> bool:
        """Whether overflow on the way was possible."""
        return math.isinf(self.threshold)

    def record(self) -> ArrayError:
        """What a report says of it."""
        worst = self.worst[0]
        return ArrayError(
            max_abs=self.largest_error,
            max_ulp=self.largest_ulp,
            max_bound_ratio=worst.bound_ratio,
            max_spread_ratio=self.largest_spread_ratio,
            worst_index=worst.index,
            got=worst.got,
            true=worst.true,
            bound=worst.bound,
            bad_entries=self.bad,
            entries=self.entries,
            worst=tuple(entry for entry in self.worst if entry.bad),
            power=self.power(),
        )

    def power(self) -> Power:
        """The smallest relative error that would have been caught, over the entries whose true value is not 0."""
        caught = np.concatenate(self.powers)
        caught = caught[~np.isnan(caught) & (caught < np.inf)]
        if not caught.size:
            return Power(median=math.inf, percentile_99=math.inf)
        median, high = np.quantile(caught, (0.5, 0.99))
        return Power(median=float(median), percentile_99=float(high))


def examine(
    got: Array, output: Output | None, step: Stage | None, slack: Array | None, format: Format, with_limits: bool
) -> Finding:
    """Hold one array of an answer against what the oracle allows.

    Args:
        got: the array.
        output: what is known of it from end to end, if that shall count.
        step: what is known of it from the answer's own earlier values, if that shall count.
        slack: how much printing may have changed each entry, if the answer was rounded for print.
        format: of the backend.
        with_limits: whether errors beyond rounding, short of a proof, count.
    """
    finding = Finding(format, got.shape)
    with np.errstate(all="ignore"):
        for block in _blocks(got, output, step, slack, with_limits):
            finding.add(block)
    return finding


def _blocks(
    got: Array, output: Output | None, step: Stage | None, slack: Array | None, with_limits: bool
) -> Iterator[Block]:
    """Both partitions are by rows in the same blocks, since both depend on the shape alone."""
    outputs = output.blocks() if output is not None else itertools.repeat(None)
    steps = step.blocks() if step is not None else itertools.repeat(None)
    first = 0
    for known, stepped in zip(outputs, steps):  # noqa: B905 (one of them may be endless)
        whole = walked = None
        if known is not None:
            rows, enclosure = known.rows, known.enclosure
            allowed = enclosure.radius if slack is None else enclosure.radius + slack[rows]
            error = np.abs(enclosure.distance(got[rows]))
            whole = _check(enclosure.high, error, known.worst + allowed, known.spread, allowed, with_limits)
        if stepped is not None:
            rows, stage = stepped
            walked = _check(stage.expected, stage.error, stage.bound, stage.spread, np.zeros(()), with_limits)
        part = np.asarray(got[rows], np.float64).ravel()
        yield Block(first, part, whole, walked)
        first += part.size


def _check(true: Array, error: Array, bound: Array, spread: Array, allowed: Array, with_limits: bool) -> Check:
    limit = SPREADS * spread + allowed if with_limits else np.asarray(np.inf)
    return Check(*(np.broadcast_to(array, error.shape).ravel() for array in (true, error, bound, spread, limit)))


def ulp(size: Array, format: Format) -> Array:
    """The unit in the last place of magnitudes in float64 (the distance to the next number above, in `format`)."""
    # A float64's exponent bits alone are the power of two below it.
    powers = (np.ascontiguousarray(size).view(np.int64) & EXPONENT_BITS).view(np.float64)
    return np.maximum(powers, format.normal) * (2 * format.roundoff)


def _ratio(error: Array, unit: Array) -> Array:
    """Errors in some unit; no error is 0 in every unit."""
    return np.where(error == 0, 0.0, error / unit)


def _spread_ratio(check: Check) -> float:
    ratios = _ratio(check.error, check.spread)
    return float(np.max(ratios[np.isfinite(ratios)], initial=0.0))


def _larger(known: float, candidates: Array) -> float:
    """The largest, NaN if one of them is."""
    return float(np.maximum(known, np.max(candidates, initial=0.0)))


def _largest(ratios: Array, count: int) -> set[int]:
    """The positions of the largest few."""
    few = min(count, WORST_SHOWN)
    return {int(number) for number in np.argpartition(ratios, -few)[-few:]}
