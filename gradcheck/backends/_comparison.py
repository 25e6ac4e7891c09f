"""The arrays of answers, and whether a backend that is asked twice repeats itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def arrays_of(answer: Any) -> Iterator[tuple[str, str | None, np.ndarray]]:
    """Every array of a worker's or a crew's answer, with its kind and its name."""
    yield "loss", None, answer.loss
    if answer.slopes is not None:
        yield "slopes", None, answer.slopes
    for kind in ("gradient", "value", "adjoint", "estimate", "direction"):
        for name, array in getattr(answer, f"{kind}s").items():
            yield kind, name, array


def differences(first: Any, second: Any) -> Iterator[tuple[tuple[str, str | None], float]]:
    """The arrays in which two answers are not the same bits, and by how much they differ at the most."""
    import numpy as np

    others = {(kind, name): array for kind, name, array in arrays_of(second)}
    for kind, name, array in arrays_of(first):
        other = others.get((kind, name))
        if other is None or other.shape != array.shape:
            yield (kind, name), float("nan")
        elif other.tobytes() != array.tobytes():
            with np.errstate(all="ignore"):
                distance = np.abs(np.asarray(array, np.float64) - other)
            same = (array == other) | ((array != array) & (other != other))  # both infinite, or both NaN
            yield (kind, name), float(np.max(np.where(same, 0.0, distance)))
