"""The arrays of answers, and whether a backend that is asked twice repeats itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

NAMED = ("gradient", "value", "adjoint", "estimate", "direction")  # the kinds of arrays that have names


def arrays_of(answer: Any) -> Iterator[tuple[str, str | None, np.ndarray]]:
    """Every array of a worker's or a pool's answer, with its kind and its name."""
    yield "loss", None, answer.loss
    if answer.slopes is not None:
        yield "slopes", None, answer.slopes
    for kind in NAMED:
        for name, array in getattr(answer, f"{kind}s").items():
            yield kind, name, array


def with_arrays(answer: Any, function: Callable[[str, str | None, np.ndarray], np.ndarray]) -> Any:
    """An answer with each of its arrays replaced by a function of its kind, its name and itself."""
    changed: dict[str, Any] = {f"{kind}s": {} for kind in NAMED}
    for kind, name, array in arrays_of(answer):
        if name is None:
            changed[kind] = function(kind, name, array)
        else:
            changed[f"{kind}s"][name] = function(kind, name, array)
    return dataclasses.replace(answer, **changed)


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two arrays are the same, signs of zeros included."""
    return (left.shape, left.dtype) == (right.shape, right.dtype) and left.tobytes() == right.tobytes()


def differences(first: Any, second: Any) -> Iterator[tuple[tuple[str, str | None], float]]:
    """The arrays in which two answers are not the same bits, and by how much they differ at the most."""
    import numpy as np

    others = {(kind, name): array for kind, name, array in arrays_of(second)}
    for kind, name, array in arrays_of(first):
        other = others.get((kind, name))
        if other is None or other.shape != array.shape:
            yield (kind, name), float("nan")
        elif not same_bits(array, other):
            with np.errstate(all="ignore"):
                distance = np.abs(np.asarray(array, np.float64) - other)
            same = (array == other) | ((array != array) & (other != other))  # both infinite, or both NaN
            yield (kind, name), float(np.max(np.where(same, 0.0, distance)))
