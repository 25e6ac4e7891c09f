"""Layer, RMS and batch norm, as they are written and as kernels fuse them (docs/math.md, R41).

Sources of the fused forms: PyTorch's `layer_norm_kernel.cpp` and `batch_norm_kernel.cpp`, which the CPU runs; MLX's
`fast.cpp`; MXNet's `layer_norm_cpu.h`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gradcheck.graphs.shapes import one_axis
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import Variable, apply, constant, operated, same_variance, square, total
from gradcheck.oracle.operations.forms import fused
from gradcheck.oracle.operations.reductions import mean, reshape
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.statistics import var
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances

FORWARD = 4
"""Roundings of a term of x·s + (b − m·s), s = r·w."""

BACKWARD = 24
"""Roundings of a term of a gradient, beside those of two sums: products with r³, x and 1/n, and sums of three terms."""

PRODUCTS = 12
"""Products of a gradient that may underflow."""


@dataclass(frozen=True)
class Normalisation:
    """(x − m)·r of the mean m and r = 1/√(v + ε) of the variance v along some axes.

    Attributes:
        axes: of the mean.
        count: of the entries n of a mean.
    """

    axes: tuple[int, ...]
    count: int

    def mean(self, a: Array) -> Array:
        """Σ/n."""
        return self.sum(a) / self.count

    def sum(self, a: Array) -> Array:
        """Σ, with unit axes; a number stands for equal entries."""
        return np.asarray(np.sum(a, axis=self.axes, keepdims=True))

    def value_worst(
        self, format: Format, _result: Values, y: Bounded, x: Bounded, m: Bounded, r: Bounded, *affine: Bounded
    ) -> Errors:
        """E + θ(4, u)·((|x| + |m|)r|w| + |b|) + 4t."""
        terms = (x.reach + m.reach) * r.reach
        for factor in affine[:1]:
            terms = terms * factor.reach
        for shift in affine[1:]:
            terms = terms + shift.reach
        return total(format.sum_error(FORWARD) * terms + FORWARD * format.underflow, y.error)

    def gradient_terms(self, h: Bounded, x: Bounded, m: Bounded, r: Bounded) -> Array:
        """R(H + mean H + (XR + mean XR)·mean(HXR)), of the reach of all, with X = |x| + |m|."""
        far = (x.reach + m.reach) * r.reach
        return np.asarray(r.reach * (h.reach + self.mean(h.reach) + (far + self.mean(far)) * self.mean(h.reach * far)))

    def gradient_worst(
        self, format: Format, _result: Values, dx: Bounded, h: Bounded, x: Bounded, m: Bounded, r: Bounded
    ) -> Errors:
        """E + θ(2n + 24, u) of all terms, the errors of r and m in each, and what underflows beside r³ or in it."""
        far, terms = x.reach + m.reach, self.gradient_terms(h, x, m, r)
        added = format.sum_error(2 * self.count + BACKWARD) * terms + r.errors / r.reach * terms
        added = added + m.errors * r.reach**3 * self.mean(h.reach * far)
        lost = PRODUCTS * (format.underflow + format.flush) * np.maximum(far, 1.0)
        nearest = np.maximum(r.size - r.errors, 0.0)
        beside = np.where(nearest**3 > 4 * format.normal, 0.0, self.mean(h.reach * far))
        return total(added + lost * (np.maximum(r.reach, 1.0) ** 3 + beside), dx.error)

    def gradient_variance(
        self, format: Format, _result: Values, dx: Spread, h: Spread, x: Spread, m: Spread, r: Spread
    ) -> Variances:
        """s², and (λX·mean(|h|X))² where r³ may be below the smallest normal number: PyTorch multiplies with it."""
        far = x.size + m.size
        lost = format.variance_floor * square(far * self.mean(h.size * far))
        return total(np.where(r.size**3 > 4 * format.normal, 0.0, lost), dx.variance)

    def gradient_sums(self, _format: Format, dx: Bounded, h: Bounded, x: Bounded, m: Bounded, r: Bounded) -> Array:
        """The terms, r³, and Σhx before and after it is multiplied with that."""
        cube = np.maximum(r.reach, 1.0) ** 3
        summed = self.sum(h.reach * (x.reach + m.reach))
        largest = np.maximum(np.maximum(cube, summed * cube), dx.reach)
        return np.asarray(np.maximum(self.gradient_terms(h, x, m, r), largest))

    def normalised(self, x: Variable, m: Variable, c: Variable, r: Variable, affine: list[Variable]) -> Variable:
        """(x − m)·r·w + b, whose gradients are those of fused kernels."""
        y = normal = c * r
        if affine:
            y = y * affine[0]
        if affine[1:]:
            y = y + affine[1]

        def back(g: Variable, _v: Variable, *_: Variable) -> tuple[Variable | None, ...]:
            h = g * affine[0] if affine else g
            of_affine = [g * normal, g][: len(affine)]
            return (None, self._gradient(h, normal, x, m, c, r), None, None, *of_affine)

        return apply(fused("normalisation", self.value_worst, same_variance, back), y, x, m, r, *affine)

    def _gradient(self, h: Variable, normal: Variable, x: Variable, m: Variable, c: Variable, r: Variable) -> Variable:
        """r(h − mean h − x̂·mean(h x̂)); without a mean in x, its part is left out. It is differentiated as it stands."""
        change = h - normal * mean(h * normal, self.axes, keepdims=True)
        if c is not x:
            change = change - mean(h, self.axes, keepdims=True)

        def back(g: Variable, _v: Variable, *_: Variable) -> tuple[Variable | None, ...]:
            return (g, None, None, None, None)

        rules = self.gradient_worst, self.gradient_variance
        operation = fused("normalisation gradient", *rules, back, self.gradient_sums)
        return apply(operation, r * change, h, x, m, r)


def _along(x: Variable, axes: tuple[int, ...]) -> Normalisation:
    return Normalisation(axes, math.prod(x.shape[axis] for axis in axes))


def _affine(x: Variable, axis: int, *arrays: Variable | None) -> list[Variable]:
    """Weight and bias as arrays with the axes of x."""
    shape = tuple(size if place == axis else 1 for place, size in enumerate(x.shape))
    return [reshape(array, shape) for array in arrays if array is not None]


def _centred(x: Variable, axes: tuple[int, ...], affine: list[Variable], epsilon: float) -> Variable:
    m = mean(x, axes, keepdims=True)
    r = operated("rsqrt", var(x, axes, keepdims=True) + epsilon)
    return _along(x, axes).normalised(x, m, x - m, r, affine)


@rule(
    worst="that of its steps, `var` in any form, and θ(4, u) of (|x| + |mean|)r|w| + |b|",
    typical="that of its steps",
)
def layer_norm(
    x: Variable, weight: Variable | None = None, bias: Variable | None = None, epsilon: float = 1e-5, axis: int = -1
) -> Variable:
    """Entries less their mean, divided by their deviation along an axis."""
    along = one_axis(axis, x.ndim)
    return _centred(x, (along,), _affine(x, along, weight, bias), epsilon)


@rule(worst="that of its steps, and θ(4, u) of |y|", typical="that of its steps")
def rms_norm(x: Variable, weight: Variable | None = None, epsilon: float = 1e-5, axis: int = -1) -> Variable:
    """Entries divided by the root of their mean square along an axis."""
    along = one_axis(axis, x.ndim)
    r = operated("rsqrt", mean(x * x, along, keepdims=True) + epsilon)
    zero = x.recorder.append(constant(0.0), ())
    return _along(x, (along,)).normalised(x, zero, x, r, _affine(x, along, weight))


@rule(
    worst="that of its steps, `var` in any form, and θ(4, u) of (|x| + |mean|)r|w| + |b|",
    typical="that of its steps",
)
def batch_norm(
    x: Variable, weight: Variable | None = None, bias: Variable | None = None, epsilon: float = 1e-5
) -> Variable:
    """Entries less the mean of their channel, divided by its deviation."""
    return _centred(x, (0, *range(2, x.ndim)), _affine(x, 1, weight, bias), epsilon)
