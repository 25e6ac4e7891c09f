"""Numerical witnesses: they evaluate the loss in NumPy, and estimate the error of their own derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gradcheck.backends._engine import Engine, Operations

if TYPE_CHECKING:
    import numpy as np

    from gradcheck.backends._engine import Arrays
    from gradcheck.backends._worker.graph import InterpretedGraph

MODULE = "numpy"
DISTRIBUTION = "numpy"
RELEASE = "2.4.6"
REQUIREMENTS: tuple[str, ...] = ()
PYTHON = ((3, 9), None)
FORMATS: dict[str, dict[str, object]] = {"float64": {}, "float32": {}, "float16": {}, "bfloat16": {}}
LACKS: dict[str, str] = {}

LARGEST_STEP = 0.25
"""In units of an entry, and as such."""
LEVELS = 40
"""The largest number of steps, each half of the one before."""
LARGEST_ORDER = 10
"""Of an extrapolation: more gains nothing in 64 bits."""
AMPLIFICATION = 6.0
"""Noise of standard deviation ε in a loss does less than 6ε/h to an extrapolated difference of step h.

Of two values 3ε off each, a central difference is 3ε/h off, and the weights of Richardson's scheme sum to less than 2.
"""


class Extrapolated(NamedTuple):
    """An extrapolated derivative, an estimate of its error, and the smallest step in it."""

    error: Any
    value: Any
    step: Any


class Witness(Engine):
    """The common part of numerical witnesses: NumPy, and the vocabulary in it."""

    def __init__(self) -> None:
        import numpy

        from gradcheck.backends._numpy_vocabulary import PRIMITIVES

        numpy.seterr(all="ignore")  # steps may leave the loss's domain; the answer shows values that are not finite
        self.numpy: Any = numpy
        self.version = f"NumPy {numpy.__version__}"
        self.primitives = PRIMITIVES


class Difference(Witness):
    """A witness that takes differences of the loss, in the widest floating-point type of the machine."""

    def loss_of(self, graph: InterpretedGraph, inputs: Arrays) -> tuple[Callable[..., Any], dict[str, np.ndarray]]:
        """The loss as a function of changed inputs, and the inputs in the wide type.

        An operand of `stop_gradient` keeps its value at the inputs themselves; otherwise differences include its
        change.
        """
        wide = {
            name: array.astype(self.numpy.longdouble) if array.dtype.kind == "f" else array
            for name, array in inputs.items()
        }
        frozen: list[Any] = []

        def keep(a: Any) -> Any:
            frozen.append(a)
            return a

        self.evaluated(graph, wide, keep)

        def loss(**changed: np.ndarray) -> Any:
            kept = iter(frozen)
            return self.evaluated(graph, {**wide, **changed}, lambda _: next(kept))

        return loss, wide

    def evaluated(self, graph: InterpretedGraph, inputs: Arrays, stop_gradient: Callable[[Any], Any]) -> Any:
        """The loss at some inputs."""
        ops = Operations({**self.primitives, "stop_gradient": stop_gradient}, lambda *_: 0.0)
        return graph.loss(ops, **inputs)

    def rounded(self, value: Any) -> np.ndarray:
        """A number of the wide type as float64."""
        rounded: np.ndarray = self.numpy.asarray(value, self.numpy.float64)
        return rounded

    def noise(self, loss: Callable[..., Any], inputs: Arrays, wrt: Sequence[str]) -> float:
        """The noise of the loss at its inputs: the effect of rounding on its last digits.

        Differences of high order of neighbouring values remove the smooth part: their size shows the noise. J. J. Moré
        and S. M. Wild, Estimating computational noise, SIAM J. Sci. Comput. 33, 2011, equation 2.6.
        """
        numpy = self.numpy
        unit = numpy.finfo(numpy.longdouble).eps
        nudges = {name: signs[0] * inputs[name] for name, signs in self.signs(inputs, wrt, 1).items()}
        nudged = self.shifts(loss, inputs, nudges)
        values = numpy.array([nudged(numpy.cbrt(unit) * step) for step in range(-4, 5)])
        differences, factor, found = values, 1.0, float(unit * abs(values[4]))
        for order in range(1, 7):
            differences = differences[1:] - differences[:-1]
            factor *= order / (2 * (2 * order - 1))  # (k!)²/(2k)!
            if order >= 4:
                found = max(found, float(numpy.sqrt(factor * numpy.mean(differences * differences))))
        return found

    def derivative(self, function: Callable[[Any], Any], starts: Sequence[float], noise: float) -> tuple[float, float]:
        """The derivative at 0 of a function of one number, and an estimate of its error.

        It is extrapolated from several largest steps, since a single one may miss a narrow feature. If their results
        contradict each other, the result of the smaller step counts.
        """
        best = Extrapolated(self.numpy.inf, self.numpy.nan, self.numpy.longdouble(1))
        for start in sorted(starts):
            found = self.extrapolated(function, self.numpy.longdouble(start), noise)
            contradicts = abs(found.value - best.value) > found.error + best.error
            if found.error < best.error and not contradicts:
                best = found
        value, error = float(best.value), float(best.error)
        # There is no estimate where the error is NaN, or the value beyond float64.
        return value, error if error >= 0 and self.numpy.isfinite(value) else float("inf")

    def extrapolated(self, function: Callable[[Any], Any], step: Any, noise: float) -> Extrapolated:
        """Central differences with steps halved, extrapolated to the step 0 (L. F. Richardson 1911).

        It ends when extrapolation changes the result by less than noise does (C. J. F. Ridders, Accurate
        computation of F'(x) and F'(x)F''(x), Advances in Engineering Software 4, 1982).
        """
        row: list[Any] = []
        roundings: list[Any] = []
        best = Extrapolated(self.numpy.inf, self.numpy.nan, step)
        for _ in range(LEVELS):
            difference, rounding = self.difference(function, step, noise)
            row, above = [difference], row
            roundings.insert(0, rounding)
            for order, coarser in enumerate(above[:LARGEST_ORDER], 1):
                row.append(row[-1] + (row[-1] - coarser) / (4**order - 1))
                error = max(abs(row[-1] - row[-2]), abs(row[-1] - coarser)) + max(roundings[: order + 1])
                if error < best.error:
                    best = Extrapolated(error, row[-1], step)
            if best.error <= 2 * rounding:
                break
            step = step / 2
        return best._replace(error=best.error + self.surprise(function, best, noise))

    def difference(self, function: Callable[[Any], Any], step: Any, noise: float) -> tuple[Any, Any]:
        """(f(h) − f(−h))/(2h), and its possible rounding error; where f is larger than at 0, so is its noise."""
        above, below = function(step), function(-step)
        unit = self.numpy.finfo(self.numpy.longdouble).eps
        return (above - below) / (2 * step), AMPLIFICATION * (noise + 2 * unit * max(abs(above), abs(below))) / step

    def surprise(self, function: Callable[[Any], Any], found: Extrapolated, noise: float) -> Any:
        """The unexplained part of the difference from a step that is a thousand times smaller.

        A feature of the function that is narrower than all steps so far gives another derivative there. At a kink the
        derivatives to the left and to the right do not come closer to each other.
        """
        plain, _ = self.difference(function, found.step, noise)
        close, rounding = self.difference(function, found.step / 1024, noise)
        another = abs(close - found.value) - abs(plain - found.value) / 1024**2 - rounding
        kink = self.bend(function, found.step / 1024) - self.bend(function, found.step) / 64 - 4 * rounding
        return self.numpy.max(self.numpy.stack([0 * rounding, another, kink]))  # NaN where one is

    def bend(self, function: Callable[[Any], Any], step: Any) -> Any:
        """How far the derivatives to the left and to the right are from each other: h·|f''| where f is smooth."""
        return abs(function(step) - 2 * function(step * 0) + function(-step)) / step

    def shifts(self, loss: Callable[..., Any], inputs: Arrays, directions: Arrays) -> Callable[[Any], Any]:
        """The loss as a function of one number: how far all inputs are moved along their directions."""

        def function(step: Any) -> Any:
            return loss(**{name: inputs[name] + step * direction for name, direction in directions.items()})

        return function

    def magnitudes(self, array: np.ndarray) -> np.ndarray:
        """The magnitudes of an array's entries that are not 0."""
        sizes: np.ndarray = self.numpy.abs(array[array != 0])
        return sizes

    def signs(self, inputs: Arrays, wrt: Sequence[str], count: int) -> dict[str, np.ndarray]:
        """Random directions of entries ±1: name -> array of `count` × the input's shape."""
        bits = self.numpy.random.PCG64(0)
        return {
            name: 1.0 - 2.0 * (bits.random_raw((count, *inputs[name].shape)) >> self.numpy.uint64(63)).astype("float64")
            for name in wrt
        }
