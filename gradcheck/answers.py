"""A backend's answer to a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradcheck.backends import Answer

if TYPE_CHECKING:  # NumPy takes 60 ms: workers are started before it is loaded
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]
    Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Printed:
    """How the numbers of an answer were rounded when they were printed: to decimals, or else to significant digits."""

    decimals: int | None = None
    significant: int | None = None

    def half_unit(self, printed: Array) -> Array:
        """Half a unit of the last printed place of each number: printing changed it by no more.

        A number that is not finite has no places: printing has not changed it.
        """
        import numpy as np

        size = np.abs(np.asarray(printed, np.float64))
        places: Array | int | None = self.decimals
        if places is None:
            assert self.significant is not None, "one of the two is given"
            places = self.significant - 1 - np.floor(np.log10(np.maximum(size, np.finfo(size.dtype).tiny)))
        return np.where(np.isfinite(size), 0.5 * 10.0**-places, 0.0)


@dataclass(frozen=True)
class BackendAnswer(Answer):
    """An answer, and how the backend computed it.

    Attributes:
        seconds: the time of the computation.
        again_seconds: the time of the second computation.
        varies: the largest difference of each array between the two, by kind and name.
        mutated: the inputs that the backend changed.
        fault: what it does wrong beside its numbers, in one line.
        printed: how the numbers were rounded, where they were.
    """

    seconds: float | None = None
    again_seconds: float | None = None
    varies: Mapping[tuple[str, str | None], float] = field(default_factory=dict)
    mutated: Sequence[str] = ()
    fault: str | None = None
    printed: Printed | None = None


def meaningless(answer: BackendAnswer) -> str | None:
    """What is invalid in a numerical witness's estimates, slopes and directions, in one line, or None.

    Other code judges shapes; this function skips arrays that do not fit.
    """
    for name, estimate in answer.estimates.items():
        if not (estimate >= 0).all():
            wrong = float(estimate[~(estimate >= 0)].flat[0])
            return f"the estimate of {name} holds {wrong:g}: expected numbers ≥ 0, infinite where nothing is known"
    return None if answer.slopes is None else _meaningless_slopes(answer.slopes, answer)


def _meaningless_slopes(slopes: Array, answer: BackendAnswer) -> str | None:
    """What is invalid in slopes: no slope, a slope that is not finite, or a direction that moves nothing."""
    import numpy as np

    estimate = answer.estimates.get("slopes")
    if not slopes.size:
        return "slopes are empty: expected derivatives along one direction or more"
    if estimate is not None and estimate.shape == slopes.shape and not np.isfinite(slopes[estimate < np.inf]).all():
        return "a slope is not finite: expected a finite number, or an infinite estimate of its error"
    for name, signs in answer.directions.items():
        if not np.isin(signs, (-1, 0, 1)).all():
            return f"the directions of {name} hold a number other than -1, 0 and 1"
        if signs.size and not signs.any():
            return f"the directions of {name} are zero: expected one that moves it"
    rows = [signs.reshape(len(slopes), -1) for signs in answer.directions.values() if signs.shape[:1] == slopes.shape]
    if rows and not (moved := np.hstack(rows).any(axis=1)).all():
        return f"direction {int(np.argmin(moved))} is zero in every input: expected one that moves something"
    return None
