"""The precision of a backend, if it is not the requested one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from gradcheck.answers import BackendAnswer
from gradcheck.dtypes import LAYOUTS
from gradcheck.problems.cases import Case, round_to


def remarks(answer: BackendAnswer, case: Case) -> Iterator[str]:
    """Remarks on the dtype of an answer."""
    if answer.estimates:  # a witness uses the precision that it needs
        return
    if came := another_dtype(answer, case.dtype):
        yield f"answers in {came}, not in the requested {case.dtype}"


def another_dtype(answer: BackendAnswer, requested: str) -> str | None:
    """The dtype of the gradients if one is narrower than requested, or all are wider (bfloat16 comes as float32)."""
    dtypes = {answered_in(array, requested) for array in answer.gradients.values()}
    narrowest = min(dtypes, key=lambda dtype: LAYOUTS[dtype].bits, default=requested)
    return None if narrowest == requested else narrowest


def answered_in(array: npt.NDArray[np.floating], requested: str) -> str:
    """The dtype of an array of an answer: bfloat16 comes as float32, in which each entry is a number of bfloat16."""
    name = array.dtype.name
    if requested != "bfloat16" or name != LAYOUTS["bfloat16"].container:
        return name
    return requested if np.array_equal(array, round_to(array, requested), equal_nan=True) else name
