"""Derivatives along several cotangents or unit vectors at once, in PyTorch and JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ENTRIES = 1 << 20
"""Of the unit vectors that exist at one time: 8 MiB in float64."""


def further(both: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Of the gradients of c and −c, the one that is further from that of c alone, with the sign of that of c."""
    import numpy as np

    plus, minus = both
    with np.errstate(all="ignore"):
        is_plus = np.isnan(plus) | (np.abs(-minus - alone) <= np.abs(plus - alone))
    return np.asarray(np.where(is_plus, plus, -minus))


def slopes(cotangents: Mapping[str, Any], tangents: Mapping[str, Any]) -> np.ndarray:
    """Σ cotangent · tangent over all results, in float64, for each of several tangents of every result."""
    import numpy as np

    products = [np.asarray(cotangents[label], np.float64) * each for label, each in tangents.items()]
    return np.asarray(sum(each.reshape(len(each), -1).sum(1) for each in products))
