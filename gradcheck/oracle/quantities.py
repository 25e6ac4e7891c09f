"""What a walk carries from step to step: values with their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradcheck.oracle.enclosure import Rows
from gradcheck.oracle.formats import SMALLEST
from gradcheck.oracle.lazy import lazy
from gradcheck.oracle.operations import Array, Errors, Shape


@dataclass(eq=False)
class Quantity:
    """An array of the walk.

    Attributes:
        middle: the values, in the dtype in which they are exact or were computed.
        radius: how far the true values may lie from the middle; None where they do not.
        worst: how far a correct backend's values may lie from the middle; inf where they may overflow.
        variance: of that distance.
        coherent: how much further it may be by choices that a backend makes alike in all entries.
        parts: the size of the terms whose sum the values are; None where each is a single one.
        decides: whether it says which branch is taken; then its variance too is how far that is open.
    """

    middle: Array
    radius: Errors = None
    worst: Errors = None
    variance: Errors = None
    coherent: Errors = None
    parts: Errors = None
    decides: bool = False

    @lazy
    def float64(self) -> Array:
        """The values in float64, or as they are for a condition."""
        if self.middle.dtype in (bool, np.float64):
            return self.middle
        with np.errstate(over="ignore"):
            return np.asarray(self.middle, dtype=np.float64)

    @lazy
    def size(self) -> Array:
        """The magnitudes in float64, never rounded down to zero."""
        size = np.abs(self.float64)
        return size + SMALLEST if self.middle.dtype == np.longdouble else size

    @property
    def shape(self) -> Shape:
        """The shape of the values."""
        return self.middle.shape

    def rows(self, rows: Rows) -> Quantity:
        """Some rows of the quantity."""
        errors = (self.radius, self.worst, self.variance, self.coherent, self.parts)
        radius, worst, variance, coherent, parts = (None if error is None else error[rows] for error in errors)
        return Quantity(self.middle[rows], radius, worst, variance, coherent, parts, self.decides)
