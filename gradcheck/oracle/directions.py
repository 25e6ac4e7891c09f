"""The analysis of derivatives along directions: sums of the analyses of the gradients (docs/math.md, W17)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from gradcheck.oracle.analysis import Analysis, Block
from gradcheck.oracle.enclosure import Enclosure
from gradcheck.oracle.formats import SMALLEST, WIDENING
from gradcheck.oracle.operations import Array


@dataclass(frozen=True)
class Slopes:
    """The derivatives along n directions, like an `Output` of shape (n,).

    Attributes:
        analysis: of the case.
        directions: input -> array of n × its shape, whose entries are ±1 or 0, so that no product is rounded.
    """

    analysis: Analysis
    directions: Mapping[str, Array]

    def size_of_terms(self) -> float:
        """The size of the gradients' entries that are summed."""
        return sum(float(np.sum(np.abs(self.analysis["gradient", name].enclosure.high))) for name in self.directions)

    def blocks(self) -> Iterator[Block]:
        """The whole output as one block."""
        number = len(next(iter(self.directions.values())))
        high, low, radius, worst, spread = np.array([self._slope(each) for each in range(number)]).T
        yield Block(..., Enclosure(high, low, radius), worst, spread)

    def _slope(self, number: int) -> tuple[float, ...]:
        """One derivative: exact sums of the middles, sums of radii and bounds, the root of the sum of the variances."""
        terms, radius, worst, variance = [], 0.0, 0.0, 0.0
        for name, signs in self.directions.items():
            output, sign = self.analysis["gradient", name], np.asarray(signs[number], np.float64)
            enclosure = output.enclosure
            terms += [*(sign * enclosure.high).ravel().tolist(), *(sign * enclosure.low).ravel().tolist()]
            moved = np.abs(sign)
            radius += float(np.sum(moved * enclosure.radius)) * WIDENING
            worst += float(np.sum(moved * output.worst)) * WIDENING
            variance += float(np.sum(np.square(moved * output.spread)))
        if not np.sum(np.abs(terms)) < np.inf:
            return 0.0, 0.0, np.inf, np.inf, np.inf
        high = math.fsum(terms)
        low = math.fsum([*terms, -high])
        return high, low, radius + SMALLEST, worst, math.sqrt(variance)
