"""Adjoints of symmetric matrices: engines, and people, give their lower part, their symmetric part, or all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.answers import BackendAnswer
from gradcheck.oracle import Tape
from gradcheck.oracle.symmetry import symmetric_outputs


def symmetric_parts(answer: BackendAnswer, tape: Tape) -> BackendAnswer:
    """An answer with the symmetric part of each such adjoint and gradient, which is what symmetric changes see."""
    keys = symmetric_outputs(tape)
    if not keys:
        return answer

    def parts(kind: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _mean(array) if (kind, name) in keys else array for name, array in arrays.items()}

    return replace(
        answer,
        gradients=parts("gradient", answer.gradients),
        adjoints=parts("adjoint", answer.adjoints),
        estimates=parts("gradient", answer.estimates),
    )


def _mean(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(G + Gᵀ)/2 of matrices in float64 or wider; what has another shape stays as it is, and is refused for that."""
    if array.ndim < 2 or array.shape[-2] != array.shape[-1]:
        return array
    wide = array.astype(np.result_type(array.dtype, np.float64))
    transposed = np.swapaxes(wide, -2, -1)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(wide == transposed, wide, wide / 2 + transposed / 2))
