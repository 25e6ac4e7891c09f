"""Floating-point formats: the possible errors of one rounded operation of an engine."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gradcheck.dtypes import LAYOUTS, Layout

SMALLEST = 5e-324
"""The smallest positive float64, 2⁻¹⁰⁷⁴: the floor of every bound, since bounds are themselves computed in float64."""

WIDENING = 1 + 1e-9
"""Covers the float64 rounding of a bound itself: a thousand times some 10⁴ roundings of 2⁻⁵³."""

HALVED = 8
"""Products of up to so many terms are summed one after the other, longer ones in halves, where a format does that."""
LARGEST_EXPONENT = 700.0
"""e to it is still far from float64's largest number."""


@dataclass(frozen=True, slots=True)
class Format:
    """The effect of rounding: fl(a∘b) = (a∘b)(1+δ) + ε, |δ| ≤ ``roundoff``, |ε| ≤ ``underflow`` (Higham 2002, 2.2).

    Attributes:
        name: as NumPy spells it, and "bfloat16".
        bits: of the significand.
        roundoff: u, half the distance from 1 to the next number.
        accumulator_roundoff: u of the sums inside a matrix product.
        function_roundoff: the u that the accuracies of transcendental functions are multiples of.
        operand_rounding: relative rounding of each operand of a matrix product (TF32: 2⁻¹¹), else 0.
        truncates_products: a matrix product loses digits when it leaves its accumulator, instead of rounding.
        smallest: η, the smallest subnormal number.
        normal: λ, the smallest normal number.
        largest: ω, the largest finite number.
        flushes_results: subnormal results become zero (FTZ).
        flushes_inputs: subnormal operands are read as zero (DAZ).
        excess_precision: a fused kernel may continue with more digits than the watched value shows (XLA in float16).
        sums_in_halves: matrix products are summed in halves, those in halves, and so on (ours, not a backend's).
    """

    name: str
    bits: int
    roundoff: float
    accumulator_roundoff: float
    function_roundoff: float
    operand_rounding: float
    smallest: float
    normal: float
    largest: float
    flushes_results: bool = False
    flushes_inputs: bool = False
    excess_precision: bool = False
    truncates_products: bool = False
    sums_in_halves: bool = False

    @classmethod
    def of(
        cls,
        dtype: str,
        *,
        accumulator: str | None = None,
        operand_rounding: float = 0.0,
        flushes: bool = False,
        flushes_results: bool = False,
        flushes_inputs: bool = False,
        excess_precision: bool = False,
        truncates_products: bool = False,
    ) -> Format:
        """Return the format of a dtype with the traits of one engine.

        Args:
            dtype: one of `gradcheck.dtypes.DTYPES`.
            accumulator: the dtype in which matrix products are summed, by default ``dtype``.
            operand_rounding: see the class.
            flushes: short for ``flushes_results`` and ``flushes_inputs``.
            flushes_results: see the class.
            flushes_inputs: see the class.
            excess_precision: see the class.
            truncates_products: see the class.

        Raises:
            ValueError: the dtype or the accumulator is not one of the four.
        """
        bits, exponent, largest, _ = _layout(dtype)
        roundoff = 2.0**-bits
        return cls(
            name=dtype,
            bits=bits,
            roundoff=roundoff,
            accumulator_roundoff=2.0 ** -_layout(accumulator or dtype).bits,
            function_roundoff=roundoff,
            operand_rounding=operand_rounding,
            smallest=math.ldexp(1.0, exponent - bits + 1),
            normal=math.ldexp(1.0, exponent),
            largest=largest,
            flushes_results=flushes or flushes_results,
            flushes_inputs=flushes or flushes_inputs,
            excess_precision=excess_precision,
            truncates_products=truncates_products,
        )

    @property
    def underflow(self) -> float:
        """The absolute error t of a result that underflows: η, or 2λ where it is flushed (docs/math.md, R11).

        One more float64 η covers the underflow of the float64 arithmetic in which the bounds are computed.
        """
        return (2 * self.normal if self.flushes_results else self.smallest) + SMALLEST

    @property
    def flush(self) -> float:
        """The largest change of an operand that is read as zero (DAZ): λ, else 0."""
        return self.normal if self.flushes_inputs else 0.0

    @property
    def product_roundoff(self) -> float:
        """The relative error of storing a matrix product: u, or 2u if its last digits are cut off.

        2ᵉ ≤ |v| < 2ᵉ⁺¹ cut to multiples of 2u·2ᵉ loses less than one of them (Higham 2002, section 2.1). Spread evenly,
        the loss has the root mean square 2u/√3, twice that of rounding.
        """
        return 2 * self.roundoff if self.truncates_products else self.roundoff

    @property
    def safe_largest(self) -> float:
        """The ω(1−2u) below which nothing overflows, rounded or not (docs/math.md, R20)."""
        return self.largest * (1 - 2 * self.roundoff)

    @property
    def variance_floor(self) -> float:
        """The λ² of an underflow, but large enough that the square itself does not underflow in float64."""
        return max(self.normal**2, 2.0**-1022)

    def represents(self, value: float) -> bool:
        """Whether ``value`` is a number of this format, so that a constant of the problem is exact in it; ±inf is."""
        if math.isinf(value):
            return True
        scaled = math.ldexp(math.frexp(value)[0], self.bits)
        return scaled == int(scaled) and (value == 0 or self.normal <= abs(value) <= self.largest)

    def represents_each(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The same of each entry of an array, in its shape."""
        significands = np.ldexp(np.frexp(values)[0], self.bits)
        sizes = np.abs(values)
        inside = (values == 0) | ((self.normal <= sizes) & (sizes <= self.largest))
        return np.asarray(np.isinf(values) | ((significands == np.trunc(significands)) & inside))

    def holds(self, value: Fraction) -> bool:
        """The same of a rational number."""
        nearest = float(value)
        return Fraction(nearest) == value and self.represents(nearest)

    def sum_error(self, terms: int) -> float:
        """The relative error θ(n, u) of n roundings in any order: (1+u)ⁿ − 1 (docs/math.md, R10 and R6)."""
        return theta(terms, self.roundoff)

    def roundings(self, terms: int) -> int:
        """The most roundings that a term of a matrix product of n terms passes: n in any order (R14)."""
        halvings, piece = 0, terms
        while self.sums_in_halves and piece > HALVED:
            halvings, piece = halvings + 1, -(-piece // 2)
        return HALVED + halvings if halvings else terms

    def product_error(self, terms: int, pieces: int = 1) -> float:
        """The relative error ρ(n) of an n-term dot product, in any order of summation, fused or not (R14).

        Args:
            terms: n.
            pieces: in how many the product may be stored, before they are added up in this format (R27).
        """
        error = theta(terms, self.accumulator_roundoff)
        if self.accumulator_roundoff < self.roundoff:
            error = combine(error, self.product_roundoff, theta(max(pieces - 1, 1), self.roundoff))
        return combine(error, self.operand_rounding, self.operand_rounding)

    def against(self, reference: Format) -> Format:
        """The format of the distance between two computed values: this engine's and a reference's, errors added up."""
        return replace(
            self,
            roundoff=self.roundoff + reference.roundoff,
            accumulator_roundoff=self.accumulator_roundoff + reference.accumulator_roundoff,
            function_roundoff=self.function_roundoff + reference.function_roundoff,
            smallest=self.smallest + reference.smallest,
            normal=self.normal + reference.normal,
        )


def theta(terms: int, roundoff: float) -> float:
    """(1+u)ⁿ − 1, without the cancellation of that form; infinite where float64 does not hold it."""
    exponent = terms * math.log1p(roundoff)
    return math.expm1(exponent) if exponent < LARGEST_EXPONENT else math.inf


def combine(*errors: float) -> float:
    """The product of all (1+e), less 1, without the cancellation of that form."""
    total = 0.0
    for error in errors:
        if math.isinf(total + error):
            return math.inf
        total += error + total * error
    return total


def _layout(dtype: str) -> Layout:
    if dtype not in LAYOUTS:
        raise ValueError(f"no format for dtype {dtype!r}: expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[dtype]
