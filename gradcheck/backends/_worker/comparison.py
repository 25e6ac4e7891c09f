"""Whether a backend gives the same answer twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from gradcheck.backends._engine import Answer, Key


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two arrays are the same, signs of zeros included."""
    return (left.shape, left.dtype) == (right.shape, right.dtype) and left.tobytes() == right.tobytes()


def differences(first: Answer, second: Answer) -> Iterator[tuple[Key, float]]:
    """The arrays whose bits differ between two answers, each with its largest difference."""
    import numpy as np

    others = dict(second.arrays())
    for key, array in first.arrays():
        other = others.get(key)
        if other is None or other.shape != array.shape:
            yield key, float("nan")
        elif not same_bits(array, other):
            with np.errstate(all="ignore"):
                distance = np.abs(np.asarray(array, np.float64) - other)
            same = (array == other) | ((array != array) & (other != other))  # both infinite, or both NaN
            yield key, float(np.max(np.where(same, 0.0, distance)))
