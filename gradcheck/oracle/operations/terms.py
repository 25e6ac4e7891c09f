"""What the error rules see of operands and results: values, with an error, a variance, or the doubt of a decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradcheck.oracle.formats import Format

Array = NDArray[Any]

Errors = Array | None
"""Absolute errors, entry by entry; None where an array is exact, so that no work is done on zeros."""

Variances = Array | None
"""Variances of errors; None where an array is exact."""

Doubts = Array | None
"""Of conditions (bool): where they are open; of shares: how far they may move. None where all is certain."""

DOUBT = 32.0
"""The multiple of s beyond which an error is evidence, far beyond correct entries: a branch within it is open."""


class Middle(Protocol):
    """The values around which errors are counted."""

    middle: Array

    @property
    def float64(self) -> Array:
        """The values in float64 (bool for a condition)."""
        ...

    @property
    def size(self) -> Array:
        """The magnitudes in float64, never rounded down to zero."""
        ...


@dataclass(eq=False, slots=True)
class Values:
    """Values alone: what a rule sees of a result, and what is known of every operand.

    Attributes:
        source: of the values; what a rule does not ask for is not computed.
    """

    source: Middle

    @property
    def native(self) -> Array:
        """The values in the dtype in which they were computed, for differences that float64 would blur."""
        return self.source.middle

    @property
    def middle(self) -> Array:
        """The values in float64 (bool for a condition)."""
        return self.source.float64

    @property
    def size(self) -> Array:
        """The magnitudes."""
        return self.source.size


@dataclass(eq=False, slots=True)
class Bounded(Values):
    """An operand of a worst case.

    Attributes:
        error: how far a computed value may lie from the middle.
    """

    error: Errors = None

    @property
    def errors(self) -> Array:
        """The errors, with exact operands written out as zero."""
        return np.zeros(()) if self.error is None else self.error

    @property
    def reach(self) -> Array:
        """The largest magnitude of a computed value."""
        return self.size if self.error is None else self.size + self.error


@dataclass(eq=False, slots=True)
class Spread(Values):
    """An operand with a typical error.

    Attributes:
        variance: of how far a computed value lies from the middle.
    """

    variance: Variances = None

    @property
    def variances(self) -> Array:
        """The variances, with exact operands written out as zero."""
        return np.zeros(()) if self.variance is None else self.variance

    @property
    def at_doubt(self) -> Bounded:
        """The operand with an error of ``DOUBT`` standard deviations."""
        return Bounded(self.source, None if self.variance is None else DOUBT * np.sqrt(self.variance))


@dataclass(eq=False, slots=True)
class Decision(Values):
    """An operand that says which branch is taken: a condition, or the share of a gradient.

    Attributes:
        doubt: how far that is open.
    """

    doubt: Doubts = None


Worst = (
    Callable[[Format, Values], Errors]
    | Callable[[Format, Values, Bounded], Errors]
    | Callable[[Format, Values, Bounded, Bounded], Errors]
    | Callable[[Format, Values, Bounded, Bounded, Bounded], Errors]
    | Callable[[Format, Values, Decision, Bounded], Errors]
    | Callable[[Format, Values, Decision, Bounded, Bounded], Errors]
)
"""(format, result, *operands) -> the largest error of the result, or its doubt; for any number of operands."""

Variance = (
    Callable[[Format, Values], Variances]
    | Callable[[Format, Values, Spread], Variances]
    | Callable[[Format, Values, Spread, Spread], Variances]
    | Callable[[Format, Values, Spread, Spread, Spread], Variances]
    | Callable[[Format, Values, Decision, Spread], Variances]
    | Callable[[Format, Values, Decision, Spread, Spread], Variances]
)
"""(format, result, *operands) -> the variance of the result's error."""

PartialSums = (
    Callable[[Format, Bounded], Array]
    | Callable[[Format, Bounded, Bounded], Array]
    | Callable[[Format, Bounded, Bounded, Bounded], Array]
)
"""(format, *operands) -> the largest magnitude met on the way."""
