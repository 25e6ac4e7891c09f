"""Taylor's theorem along random directions: slopes of the loss, and the rate at which the remainder vanishes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Answer, Engine
from gradcheck.backends._witness import LARGEST_STEP, Difference

if TYPE_CHECKING:
    from gradcheck.backends._engine import Arrays
    from gradcheck.backends._worker.graph import InterpretedGraph

VARIANT_OF = "_witness"

DIRECTIONS = 5
STEP = 2.0**-12
"""The steps of the remainder: small enough for a rate, large enough to exceed its rounding by far."""


class Taylor(Difference):
    """The derivatives along a few directions, all inputs moved at once: few evaluations at any size."""

    def evaluate(self, graph: InterpretedGraph, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        loss, wide = self.loss_of(graph, inputs)
        noise = self.noise(loss, wide, wrt)
        directions = self.signs(inputs, wrt, DIRECTIONS)
        sizes = self.numpy.concatenate([self.magnitudes(inputs[name]) for name in wrt])
        starts = {1.0, LARGEST_STEP * float(sizes.min(initial=1.0))}
        slopes, estimates, rates = self.numpy.empty(DIRECTIONS), self.numpy.empty(DIRECTIONS), []
        for number in range(DIRECTIONS):
            function = self.shifts(loss, wide, {name: signs[number] for name, signs in directions.items()})
            slopes[number], estimates[number] = self.derivative(function, tuple(starts), noise)
            rates.append(self.rate(function, slopes[number], noise))
        return Answer(
            self.rounded(loss()),
            {},
            directions=directions,
            slopes=slopes,
            estimates={"slopes": estimates},
            notes=(self.in_words(rates),),
        )

    def rate(self, function: Callable[[Any], Any], slope: float, noise: float) -> float:
        """The order at which |f(h) − f(0) − h·slope| vanishes: 2, and 1 if the slope is wrong; NaN where it is 0."""
        middle, step = function(0.0), self.numpy.longdouble(STEP)
        large, small = (abs(function(h) - middle - h * slope) for h in (step, step / 2))
        return float(self.numpy.log2(large / small)) if small > 100 * noise else self.numpy.nan

    def in_words(self, rates: Sequence[float]) -> str:
        """The rates in words."""
        known = [rate for rate in rates if rate == rate]
        if not known:
            return "the remainder of its own slopes is too small for a rate: the loss is linear along the directions"
        rates_seen = f"{min(known):.3f} to {max(known):.3f}"
        return f"the remainder of its own slopes vanishes at the rate {rates_seen} (2 or more where they are right)"


def load() -> Engine:
    """Import NumPy."""
    return Taylor()
