"""What a backend answers to a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
        """Half a unit of the last printed place of each number: by so much printing may have changed it."""
        import numpy as np

        if self.decimals is not None:
            return np.full(printed.shape, 0.5 * 10.0**-self.decimals)
        assert self.significant is not None, "one of the two is given"
        magnitude = np.maximum(np.abs(np.asarray(printed, np.float64)), np.finfo(np.float64).tiny)
        return np.asarray(0.5 * 10.0 ** (np.floor(np.log10(magnitude)) - self.significant + 1))


@dataclass(frozen=True)
class Answer:
    """The loss (shape ()), the gradients by input, and what is known of watched values and their adjoints, by name.

    `seconds` is what computing it took, and `again_seconds` computing it a second time; `varies` tells by how much
    arrays differed between the two, by kind and name, and `mutated` which inputs were changed. `printed` says how the
    numbers were rounded, where they were.

    A numerical witness gives `estimates` of its own errors, by input, shaped like the gradients. Instead of gradients
    it may give `slopes`, the derivatives along n `directions` (by input, n × its shape), with estimates["slopes"].
    `notes` are sentences of its own.
    """

    loss: Array
    gradients: Arrays
    values: Arrays = field(default_factory=dict)
    adjoints: Arrays = field(default_factory=dict)
    seconds: float | None = None
    again_seconds: float | None = None
    varies: Mapping[tuple[str, str | None], float] = field(default_factory=dict)
    mutated: Sequence[str] = ()
    printed: Printed | None = None
    estimates: Arrays = field(default_factory=dict)
    directions: Arrays = field(default_factory=dict)
    slopes: Array | None = None
    notes: Sequence[str] = ()
