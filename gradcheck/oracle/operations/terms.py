"""Operands and results of the error rules: values, with an error, a variance, or the doubt of a decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradcheck.oracle.formats import Format

Array = NDArray[Any]

Errors = Array | None
"""Absolute errors, entry by entry; None if an array is exact, to save work on zeros."""

Variances = Array | None
"""Variances of errors; None if an array is exact."""

Doubts = Array | None
"""For conditions (bool): where they are open; for shares: their largest change. None if all is certain."""

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
    """Values only: a result for a rule, and the common part of every operand.

    Attributes:
        source: of the values; values that a rule does not use are not computed.
    """

    source: Middle

    @property
    def native(self) -> Array:
        """The values in the dtype in which they were computed, for differences that float64 would lose."""
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
        """The errors, with zeros for exact operands."""
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
        """The variances, with zeros for exact operands."""
        return np.zeros(()) if self.variance is None else self.variance

    @property
    def at_doubt(self) -> Bounded:
        """The operand with an error of ``DOUBT`` standard deviations."""
        return Bounded(self.source, None if self.variance is None else DOUBT * np.sqrt(self.variance))


@dataclass(eq=False, slots=True)
class Decision(Values):
    """An operand that selects a branch: a condition, or the share of a gradient.

    Attributes:
        doubt: how far that is open.
    """

    doubt: Doubts = None


Worst = (
    Callable[[Format, Values], Errors]
    | Callable[[Format, Values, Bounded], Errors]
    | Callable[[Format, Values, Bounded, Bounded], Errors]
    | Callable[[Format, Values, Bounded, Bounded, Bounded], Errors]
    | Callable[[Format, Values, Decision], Doubts]
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
"""(format, *operands) -> the largest intermediate magnitude."""
