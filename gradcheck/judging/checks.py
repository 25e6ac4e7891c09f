"""A block of entries compared with the oracle's limits, from end to end and by the step (docs/math.md, W6 to W9)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gradcheck.findings import Entry
from gradcheck.oracle import DOUBT, TYPICAL, Format
from gradcheck.oracle.formats import SMALLEST  # added to the divisor: no error is 0 units of a bound of 0
from gradcheck.oracle.joined import Joined
from gradcheck.oracle.lazy import lazy

Array = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

EXPONENT_BITS = np.int64(0x7FF0_0000_0000_0000)
UNMOVED = 2.0**-1000
"""Numbers from here on do not change by the addition of `SMALLEST`."""


@dataclass(frozen=True, eq=False)
class Check:
    """One comparison of a block of entries, float64 arrays: an error beyond `bound` is a proof of a wrong entry.

    `limit` is the largest error that rounding explains; it counts where `limited`. The errors of an answer that is
    itself an estimate are no `proof`, and neither are those of a step: the backend may have computed earlier values
    again. `spread` is the standard deviation of correct backends, `radius` the largest distance of the true values from
    `true`, and `allowed` that and the rounding for print. `finite` says that bounds and true values are known to be so.
    """

    true: Array
    error: Array
    bound: Array
    limit: Array
    limited: bool
    proof: bool = True
    spread: Array | None = None
    radius: Array | float = 0.0
    allowed: Array | float = 0.0
    finite: bool = False

    @lazy
    def size(self) -> Array:
        """The magnitudes of the true values."""
        return np.abs(self.true)

    @lazy
    def largest_size(self) -> float:
        """The largest of them; NaN if one of them is."""
        return float(self.size.max(initial=0.0))

    @lazy
    def largest_error(self) -> float:
        """The largest error; NaN if one of them is."""
        return float(self.error.max(initial=0.0))

    @property
    def typical(self) -> Array | None:
        """The usual distance of correct backends; None where it is unknown."""
        return None if self.spread is None else TYPICAL * self.spread + self.allowed

    @lazy
    def threshold(self) -> Array:
        """The largest error that is not refused; infinite where nothing is known.

        Only here the code decides what is unknown: entries where arithmetic on bounds, such as 0·∞ or ∞ − ∞, left no
        number ≥ 0, and entries whose true value itself is not finite.
        """
        threshold = np.minimum(self.bound, self.limit) if self.limited else self.bound
        if self.finite or (threshold.min(initial=0.0) >= 0 and np.isfinite(np.sum(self.true))):
            return threshold
        return np.where((threshold >= 0) & np.isfinite(self.true), threshold, np.inf)

    @lazy
    def refused(self) -> Mask:
        """Where the error exceeds the limit; a NaN error exceeds it too, where the limit is known."""
        refused = ~(self.error <= self.threshold)
        return refused & np.isfinite(self.threshold) if refused.any() else refused

    @lazy
    def of_bound(self) -> Array:
        """The errors in units of their bounds."""
        return self.error / _divisor(self.bound)

    @lazy
    def of_spread(self) -> Array:
        """The errors in standard deviations; the radius of the reference counts as a part of these."""
        return self.error / _divisor(self.limit * (1 / DOUBT))

    def piece(self, joined: Joined, place: int) -> Check:
        """The comparison of one of the arrays that were joined for this one."""

        def own(array: Array) -> Array:
            return joined.piece(array, place)

        piece = Check(
            own(self.true),
            own(self.error),
            own(self.bound),
            own(self.limit),
            self.limited,
            self.proof,
            None if self.spread is None else own(self.spread),
            self.radius if isinstance(self.radius, float) else own(self.radius),
            self.allowed if isinstance(self.allowed, float) else own(self.allowed),
        )
        piece.__dict__.update(
            threshold=own(self.threshold),
            refused=joined.piece(self.refused, place),
            of_bound=own(self.of_bound),
            of_spread=own(self.of_spread),
        )
        return piece

    @property
    def lost(self) -> Mask:
        """Where a number that is not finite has a finite true value, and is not refused since no limit is known."""
        return ~np.isfinite(self.error) & np.isfinite(self.true) & ~self.refused

    @property
    def proved(self) -> Mask:
        """Where the error is a proof."""
        return self.refused & np.isfinite(self.bound) & ~(self.error <= self.bound) & self.proof


def _divisor(bound: Array) -> Array:
    """A bound that is not 0."""
    return bound if bound.min(initial=np.inf) > UNMOVED else bound + SMALLEST


def largest_in_ulps(known: float, check: Check, format: Format) -> float:
    """The largest error in units in the last place, the distances of true values to the next numbers above, or `known`.

    Those units are at most 2u·|v|, and more than half of it: most blocks have no larger error for sure.
    """
    if (check.error <= (known * 0.999 * format.roundoff) * check.size).all():
        return known
    # The exponent bits of a float64 alone are the power of two below it.
    powers = (np.ascontiguousarray(check.size).view(np.int64) & EXPONENT_BITS).view(np.float64)
    np.maximum(powers, format.normal, out=powers)
    return larger(known, float(np.divide(check.error, powers, out=powers).max(initial=0.0)) / (2 * format.roundoff))


def larger(known: float, candidate: float) -> float:
    """The larger one, NaN if one of them is."""
    return known if candidate <= known or math.isnan(known) else candidate


class Largest(NamedTuple):
    """The largest numbers of a block in which nothing is refused, and every error is finite."""

    true: float
    threshold: float
    bound: float
    step_threshold: float


def largest_of(joined: Joined, whole: Check, step: Check) -> list[Largest | None]:
    """The largest numbers of each joined array; None where something is refused, or an error is not finite."""
    columns = whole.size, whole.threshold, whole.bound, step.threshold
    found: list[Largest | None] = [Largest(*row) for row in zip(*map(joined.largest, columns), strict=True)]
    needs_more = whole.refused | step.refused
    if needs_more.any() or not whole.largest_error < np.inf:
        needs_more |= ~(whole.error < np.inf)
        found = [None if one else each for one, each in zip(joined.largest(needs_more), found, strict=True)]
    return found


@dataclass(frozen=True, eq=False)
class CheckedBlock:
    """Some rows of an array, from `row` on: the answer, and its checks, from end to end or of the step or both.

    `unsure` counts the entries whose own error estimate is larger than a correct backend's error may be, and `terms` is
    the size of the terms whose sum the array is. Where `largest` is given, only a block that is measured has checks.
    """

    row: int
    got: Array
    whole: Check | None
    step: Check | None
    unsure: int = 0
    terms: Callable[[], float] = lambda: 0.0
    largest: Largest | None = None

    @lazy
    def checks(self) -> list[Check]:
        """The existing checks; reports show the error of the first one."""
        return [check for check in (self.whole, self.step) if check is not None]

    @lazy
    def excused(self) -> Mask:
        """Where the step is refused, but the entry is as near to the truth as correct backends usually are.

        That is meaningful only where their distance is less than the values, or than the terms that cancel in them.
        """
        assert self.step is not None, "there is a step"
        refused, typical = self.step.refused, None if self.whole is None else self.whole.typical
        if self.whole is None or typical is None:
            return np.zeros_like(refused)
        near = refused & (self.whole.error <= typical)
        reach = self.whole.largest_size
        if near.any() and not (typical[near] <= reach).all():
            near &= typical <= max(reach, self.terms())
        return near

    @lazy
    def step_refused(self) -> Mask:
        """Where the step is refused and not excused."""
        if self.step is None:
            return np.zeros(self.got.shape, bool)
        return self.step.refused & ~self.excused if self.step.refused.any() else self.step.refused

    @lazy
    def refused(self) -> Mask:
        """Where a check refuses."""
        if self.whole is None:
            return self.step_refused
        followed = self.step is None or not self.step.refused.any()
        return self.whole.refused if followed else self.whole.refused | self.step_refused

    def entry(self, number: int, check: Check) -> Entry:
        """One entry as a check sees it; `number` counts the block's entries."""
        position = np.unravel_index(number, self.got.shape)
        shape, arrays = self.got.shape, (check.true, check.error, check.bound, check.limit)
        true, error, bound, limit = (each if each.shape == shape else np.broadcast_to(each, shape) for each in arrays)
        index = tuple(map(int, position))
        return Entry(
            index=(index[0] + self.row, *index[1:]) if index else (),
            got=float(self.got[position]),
            true=float(true[position]),
            error=float(error[position]),
            bound=float(bound[position]),
            bound_ratio=float(error[position] / (bound[position] + SMALLEST)),
            deviations=float(error[position] / (limit[position] / DOUBT + SMALLEST)),
        )
