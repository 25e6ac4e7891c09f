"""Random numbers for cases: names as in `numpy.random.Generator`, the same bits on every machine and NumPy release.

The raw 64-bit stream of `numpy.random.PCG64(seed)` is the part that NumPy promises to keep (its compatibility policy
covers bit generators, not `Generator.uniform`); all arithmetic on it is here, and it is +, −, ×, / and powers of two
alone, which IEEE 754 rounds in one way, so that no mathematics library decides a bit of an input.
"""

from __future__ import annotations

import math
import operator
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]
Shape = tuple[int, ...]
MOST_INTEGERS = 2**32
NAMES = "normal, uniform, integers, choice, permutation"
NEAR_ONE = 1e-8
"""How far a sum of probabilities may be from one, as in NumPy."""


class Stream:
    """Random numbers from the raw stream of PCG64. `size` is a number, a shape, or None: the parameters' shape.

    Args:
        seed: any non-negative integer.
        position: how many raw numbers have been drawn already.

    Attributes:
        seed: as given.
        position: how many raw numbers have been drawn.
    """

    def __init__(self, seed: int, position: int = 0) -> None:
        self._bits = np.random.PCG64(seed)
        self._bits.advance(position)
        self.seed, self.position = seed, position

    def skip_to(self, position: int) -> None:
        """Leave out raw numbers that were drawn elsewhere."""
        self._bits.advance(position - self.position)
        self.position = position

    def _raw(self, shape: Shape) -> npt.NDArray[np.uint64]:
        count = math.prod(shape)
        self.position += count
        return self._bits.random_raw(count).reshape(shape)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"rng has no {name!r}: expected one of {NAMES}")

    def symmetric(self, shape: Shape) -> Array:
        """Floats in (−1, 1): the 2⁵² odd multiples of 2⁻⁵², each equally likely; zero is none of them."""
        steps = (self._raw(shape) >> np.uint64(12)).astype(np.int64)
        return (2 * steps + 1 - 2**52) * 2.0**-52

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Floats low + (high − low) m 2⁻⁵³, where m is one of 0 … 2⁵³ − 1, each equally likely.

        Raises:
            ValueError: low or high is not finite, or they do not fit `size`.
        """
        low, high = finite("uniform", low, high)
        return (low + (high - low) * self._fractions(shape_of("uniform", size, low, high)))[()]

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Nearly normal floats of mean `loc` and standard deviation `scale`, never beyond 6 `scale`.

        Half the sum of twelve numbers in (−1, 1) (Irwin-Hall), which needs no logarithm.

        Raises:
            ValueError: loc or scale is not finite, scale is negative, or they do not fit `size`.
        """
        loc, scale = finite("normal", loc, scale)
        if (scale < 0).any():
            raise ValueError(f"rng.normal(scale={scale}): expected a scale that is not negative")
        return (loc + scale * self.standard_normal(shape_of("normal", size, loc, scale)))[()]

    def standard_normal(self, shape: Shape) -> Array:
        """Nearly normal floats of mean 0 and variance 1."""
        return 0.5 * sum_in_order(self.symmetric((12, *shape)))

    def integers(self, low: Any, high: Any = None, size: Any = None) -> Any:
        """Integers in [low, high), or in [0, low) without `high`; their bias is under (high − low)/2³².

        Raises:
            ValueError: low is not below high, they are 2³² apart or more, or do not fit `size`.
        """
        low, high = whole("integers", *((0, low) if high is None else (low, high)))
        if not (low < high).all() or (high.astype(float) - low > MOST_INTEGERS).any():
            raise ValueError(f"rng.integers({low}, {high}): expected low < high, at most 2**32 apart")
        shape = shape_of("integers", size, low, high)
        raw = self._raw(shape) >> np.uint64(32)
        return (low + ((raw * (high - low).astype(np.uint64)) >> np.uint64(32)).astype(np.int64))[()]

    def choice(self, a: Any, size: Any = None, replace: bool = True, p: Any = None) -> Any:
        """Entries of `a` along its first axis, or of 0 … a − 1: each equally likely, or as likely as `p` says.

        Raises:
            ValueError: there is nothing to choose from, or too little without replacement; `p` are not probabilities.
        """
        entries = entries_of("choice", a)
        shape = shape_of("choice", size)
        if not len(entries):
            raise ValueError("rng.choice: nothing to choose from: expected at least one entry")
        if p is not None:
            return entries[self._as_likely_as(p, len(entries), shape, replace)]
        if replace:
            return entries[self.integers(len(entries), size=shape)]
        if math.prod(shape) > len(entries):
            raise ValueError(f"rng.choice: {math.prod(shape)} of {len(entries)} without replacement: expected fewer")
        return entries[self.permutation(len(entries))[: math.prod(shape)].reshape(shape)]

    def permutation(self, x: Any) -> Any:
        """The entries of `x` along its first axis, or 0 … x − 1, in an order of which each is equally likely.

        R. A. Fisher and F. Yates, as in D. E. Knuth, The Art of Computer Programming, volume 2, algorithm 3.4.2P.
        """
        entries = entries_of("permutation", x)
        order = list(range(len(entries)))
        picked = self.integers(np.arange(len(order), 1, -1)) if len(order) > 1 else np.zeros(0, np.int64)
        for last, other in zip(range(len(order) - 1, 0, -1), picked.tolist()):
            order[last], order[other] = order[other], order[last]
        return entries[np.array(order, np.int64)]

    def _fractions(self, shape: Shape) -> Array:
        """Floats in [0, 1): multiples of 2⁻⁵³."""
        return (self._raw(shape) >> np.uint64(11)) * 2.0**-53

    def _as_likely_as(self, p: Any, count: int, shape: Shape, replace: bool) -> Integers:
        """Indices below `count`, as likely as `p` says."""
        (likely,) = finite("choice", p)
        if likely.shape != (count,) or (likely < 0).any() or abs(likely.sum() - 1) > NEAR_ONE:
            raise ValueError(f"rng.choice: p = {p}: expected {count} probabilities, whose sum is 1")
        if not replace:
            raise ValueError("rng.choice: p without replacement: expected one of both")
        below = np.cumsum(likely)  # first term first
        return np.searchsorted(below / below[-1], self._fractions(shape), side="right")


def sum_in_order(terms: Array) -> Array:
    """The sum over the first axis, beginning with the first term: `np.sum` may change its order between releases."""
    total: Array = terms[0].copy()
    for term in terms[1:]:
        total += term
    return total


def entries_of(name: str, given: Any) -> npt.NDArray[Any]:
    """The entries to choose from: an array, or the integers below a number."""
    array = np.asarray(given)
    if array.ndim:
        return array
    (count,) = whole(name, given)
    return np.arange(int(count), dtype=np.int64)


def finite(name: str, *parameters: Any) -> list[npt.NDArray[np.float64]]:
    """Parameters as floats.

    Raises:
        ValueError: one is not finite.
    """
    arrays = [np.asarray(parameter, np.float64) for parameter in parameters]
    for array in arrays:
        if not np.isfinite(array).all():
            raise ValueError(f"rng.{name}: {array} is not finite: expected finite numbers")
    return arrays


def whole(name: str, *parameters: Any) -> list[Integers]:
    """Parameters as integers.

    Raises:
        ValueError: one is not an integer.
    """
    for parameter in parameters:
        if np.asarray(parameter).dtype.kind not in "iu":
            raise ValueError(f"rng.{name}: {parameter!r}: expected integers, and a shape as size=")
    return [np.asarray(parameter, np.int64) for parameter in parameters]


def shape_of(name: str, size: Any, *parameters: npt.NDArray[Any]) -> Shape:
    """The shape of the result.

    Raises:
        ValueError: `size` is not a shape, or the parameters do not fit it.
    """
    broadcast = np.broadcast_shapes(*(parameter.shape for parameter in parameters))
    if size is None:
        return broadcast
    try:
        shape = tuple(map(operator.index, size)) if isinstance(size, (tuple, list)) else (operator.index(size),)
    except TypeError:
        raise ValueError(f"rng.{name}(size={size!r}): expected a number or a shape") from None
    if min(shape, default=0) < 0 or np.broadcast_shapes(broadcast, shape) != shape:
        raise ValueError(f"rng.{name}(size={size!r}): expected a shape that parameters of shape {broadcast} fit")
    return shape
