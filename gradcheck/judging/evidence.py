"""Evidence: what the comparison of an array of an answer, block by block, has found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.findings import ArrayError, DetectionPower, Entry
from gradcheck.judging.blocks import Known, checked_blocks
from gradcheck.judging.checks import Check, CheckedBlock, Largest, Mask, larger, largest_in_ulps
from gradcheck.judging.pictures import Picture
from gradcheck.oracle import DOUBT, TYPICAL, Format, Stage
from gradcheck.oracle.formats import SMALLEST

Array = npt.NDArray[np.floating[Any]]

WORST_SHOWN = 5
# The number of entries on which the power of a check is measured, evenly spaced: all of them in a small array.
MEASURED = 1 << 12

# glibc hands freed memory back to the kernel above a threshold that it raises when a large block is freed, even one
# never touched (mallopt(3), M_MMAP_THRESHOLD). Otherwise every temporary causes new page faults: half of the time at K
# = 256.
np.empty(31 << 17)


@dataclass
class Finding:
    """The findings in one array; blocks are added to it.

    Attributes:
        format: of the backend.
        shape: of the array.
        measured: whether errors are measured everywhere; else the array is only compared with its thresholds.
        bad, proved: how many entries are refused, and how many of them by a proof.
        whole_bad: how many of them from end to end.
        worst: the worst of them; an error is reported from end to end where that is known.
        step_bad, step_worst: the same by the check of the step alone.
        excused, excused_worst: the entries that do not follow from the earlier arrays, and are near the truth.
        lost: how many entries are not finite where the truth is, and are not refused since they have no known limit.
        threshold, step_threshold: the largest error of an entry that is not refused from end to end (where that is
            known), or by the step; infinite where an entry has no known limit, or where there is no step.
        bound: the largest error of an entry that a correct backend can have.
        largest_true: the largest magnitude of a true value.
        terms: the size of the terms whose sum the array is.
        picture: the errors of all entries, where they are measured.
        closest: the entry with the largest error in units of its bound.
        unsure: how many entries have an own error estimate above the error of a correct backend.
        estimated: whether the answer is an estimate.
    """

    format: Format
    shape: tuple[int, ...]
    measured: bool
    entries: int = 0
    bad: int = 0
    proved: int = 0
    whole_bad: int = 0
    worst: list[Entry] = field(default_factory=list)
    step_bad: int = 0
    step_worst: list[Entry] = field(default_factory=list)
    excused: int = 0
    excused_worst: list[Entry] = field(default_factory=list)
    threshold: float = 0.0
    bound: float = 0.0
    step_threshold: float = math.inf
    lost: int = 0
    largest_true: float = 0.0
    largest_error: float = 0.0
    largest_ulp: float = 0.0
    largest_spread_ratio: float = 0.0
    closest: Entry | None = None
    unsure: int = 0
    estimated: bool = False
    terms: Callable[[], float] = lambda: 0.0
    powers: list[Array] = field(default_factory=list)
    picture: Picture | None = None

    def add(self, block: CheckedBlock) -> None:
        """Add a block."""
        if block.largest is not None:
            self._add_accepted(block, block.largest)
            return
        check = block.checks[0]
        self.entries += block.got.size
        self.unsure += block.unsure
        self.largest_true = larger(self.largest_true, check.largest_size)
        self.threshold = larger(self.threshold, _largest(check.threshold))
        self.bound = larger(self.bound, _largest(check.bound))
        if block.step is not None:
            self.step_threshold = larger(self.step_threshold, _largest(block.step.threshold))
            self._follow(block, block.step)
        if block.refused.any():
            self._refuse(block)
        if not check.largest_error < np.inf:
            self.lost += int(np.count_nonzero(check.lost & ~block.refused))
        if self.measured and block.got.size:
            self._measure(block)

    def _add_accepted(self, block: CheckedBlock, largest: Largest) -> None:
        """Add a block in which nothing is refused, and every error is finite."""
        self.entries += block.got.size
        self.largest_true = max(self.largest_true, largest.true)
        self.threshold = max(self.threshold, largest.threshold)
        self.bound = max(self.bound, largest.bound)
        self.step_threshold = max(self.step_threshold, largest.step_threshold)
        if self.measured:
            self._measure(block)

    def _refuse(self, block: CheckedBlock) -> None:
        self.bad += int(np.count_nonzero(block.refused))
        self.largest_spread_ratio = max([self.largest_spread_ratio, *map(_spread_ratio, block.checks)])
        self.worst = _worst([*self.worst, *_refused(block, block.checks[0], block.refused)])
        if block.whole is not None:
            self.proved += int(np.count_nonzero(block.whole.proved))
            self.whole_bad += int(np.count_nonzero(block.whole.refused))

    def _follow(self, block: CheckedBlock, step: Check) -> None:
        """Add the entries of a block that do not follow from the earlier arrays."""
        if not step.refused.any():
            return
        self.step_bad += int(np.count_nonzero(block.step_refused))
        self.step_worst = _worst([*self.step_worst, *_refused(block, step, block.step_refused)])
        self.excused += int(np.count_nonzero(block.excused))
        self.excused_worst = _worst([*self.excused_worst, *_refused(block, step, block.excused)])

    def _measure(self, block: CheckedBlock) -> None:
        check = block.checks[0]
        self.largest_error = larger(self.largest_error, check.largest_error)
        self.largest_ulp = largest_in_ulps(self.largest_ulp, check, self.format)
        self.largest_spread_ratio = max(self.largest_spread_ratio, _spread_ratio(check))
        self.picture = self.picture or Picture(self.shape)
        self.picture.add(block.row, check.of_bound, check.of_spread)
        number = int(np.argmax(check.of_bound))  # the first NaN, if there is one
        if self.closest is None or not (
            check.of_bound.item(number) <= self.closest.bound_ratio or math.isnan(self.closest.error)
        ):
            self.closest = block.entry(number, check)
        stride = -(-math.prod(self.shape) // MEASURED)
        some = check.size.ravel()[::stride]
        radius = np.ravel(check.radius)[::stride]
        self.powers.append((check.threshold.ravel()[::stride] / some)[some > radius])

    @property
    def step_weight(self) -> float:
        """The largest error of the step relative to the largest true value; infinite where an entry is not finite."""
        worst = next(iter(self.step_worst or self.excused_worst), None)
        if worst is None:
            return 0.0
        return worst.error / max(self.largest_true, SMALLEST) if math.isfinite(worst.error) else math.inf

    @property
    def reach(self) -> float:
        """The upper limit of a threshold with power: the largest value, or the limit of pure underflow.

        Below λ/u the absolute error λ of an underflow is no larger than a rounding error.
        """
        return max(self.largest_true, self.format.normal / self.format.roundoff)

    @property
    def has_power(self) -> bool:
        """Whether the check is narrower than the values, or than the terms that cancel in them (docs/math.md, W11)."""
        return self._is_narrow(self.threshold)

    @property
    def step_has_power(self) -> bool:
        """The same for the check of the step alone."""
        return self._is_narrow(self.step_threshold)

    def _is_narrow(self, threshold: float) -> bool:
        if not threshold < math.inf:
            return False
        if threshold <= self.reach:
            return True
        return threshold <= DOUBT / TYPICAL * math.sqrt(self.format.roundoff) * self.terms()

    @property
    def overflow(self) -> bool:
        """Whether an intermediate overflow was possible."""
        return math.isinf(self.threshold)

    def record(self) -> ArrayError:
        """Its record in a report."""
        assert self.closest is not None, "a gradient is measured, and has entries"
        assert self.picture is not None, "it has one wherever it is measured"
        return ArrayError(
            max_abs=self.largest_error,
            max_ulp=self.largest_ulp,
            max_bound_ratio=self.closest.bound_ratio,
            max_spread_ratio=self.largest_spread_ratio,
            worst_index=self.closest.index,
            got=self.closest.got,
            true=self.closest.true,
            bound=self.closest.bound,
            bad_entries=self.bad,
            entries=self.entries,
            worst=tuple(self.worst),
            power=self.power(),
            map=self.picture.record(),
        )

    def power(self) -> DetectionPower:
        """The smallest relative error that the check finds, over the entries known not to be 0 (W10)."""
        caught = np.concatenate(self.powers)
        if not caught.size:
            return DetectionPower(median=math.inf, percentile_99=math.inf)
        caught.sort()
        last = caught.size - 1
        return DetectionPower(median=float(caught[last // 2]), percentile_99=float(caught[math.ceil(0.99 * last)]))


def examine(
    got: Array,
    output: Known | None,
    step: Stage | None,
    format: Format,
    *,
    slack: Array | None = None,
    estimate: Array | None = None,
    limited: bool,
    measured: bool,
    checked: CheckedBlock | None = None,
) -> Finding:
    """Compare one array of an answer with the oracle's limits.

    Args:
        got: the array.
        output: the knowledge about it from end to end, or None to ignore that.
        step: the knowledge about it from the answer's own earlier values, or None to ignore that.
        format: of the backend.
        slack: how much printing may have changed each entry, if the answer was rounded for print.
        estimate: a numerical witness's own estimate of the error of each entry.
        limited: whether errors beyond rounding, short of a proof, count.
        measured: whether to measure errors.
        checked: the whole array as a block, if `together` has checked it.
    """
    terms = output.size_of_terms if output is not None else lambda: 0.0
    finding = Finding(format, got.shape, measured, estimated=estimate is not None, terms=terms)
    finding.step_threshold = math.inf if step is None else 0.0
    with np.errstate(all="ignore"):
        for block in (
            checked_blocks(got, output, step, slack, estimate, limited, terms) if checked is None else [checked]
        ):
            finding.add(block)
    return finding


def _refused(block: CheckedBlock, check: Check, refused: Mask) -> Iterator[Entry]:
    """The refused entries of a block with the largest errors: these matter, for any bounds."""
    few = min(int(np.count_nonzero(refused)), WORST_SHOWN)
    if not few:
        return
    errors = np.nan_to_num(np.where(refused, check.error, -1.0), nan=np.inf)
    for number in np.argpartition(errors.ravel(), -few)[-few:]:  # NumPy 1 gives no array for one of no axes
        yield block.entry(int(number), check)


def _worst(entries: list[Entry]) -> list[Entry]:
    """The entries with the largest errors; NaN is the worst, and equal errors keep their order in the array."""
    return sorted(entries, key=lambda entry: (not math.isnan(entry.error), -entry.error, entry.index))[:WORST_SHOWN]


def _spread_ratio(check: Check) -> float:
    """The largest error in standard deviations."""
    ratio = float(check.of_spread.max(initial=0.0))
    return 0.0 if math.isnan(ratio) else ratio


def _largest(candidates: Array) -> float:
    """The largest, NaN if one of them is."""
    return float(candidates.max(initial=0.0))
