"""The precision of a backend, if it is not the requested one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradcheck.answers import BackendAnswer
from gradcheck.dtypes import LAYOUTS
from gradcheck.problems.cases import Case


def remarks(answer: BackendAnswer, case: Case) -> Iterator[str]:
    """Remarks on the dtype of an answer."""
    if answer.estimates:  # a witness uses the precision that it needs
        return
    if came := another_dtype(answer, case.dtype):
        yield f"answers in {came}, not in the requested {case.dtype}"


def another_dtype(answer: BackendAnswer, requested: str) -> str | None:
    """The dtype of the gradients if one is narrower than requested, or all are wider (bfloat16 comes as float32)."""
    sizes = {array.dtype.itemsize: array.dtype.name for array in answer.gradients.values()}
    size = np.dtype(LAYOUTS[requested].container).itemsize
    if not sizes or min(sizes) == size:
        return None
    return sizes[min(sizes)]
