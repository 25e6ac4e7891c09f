"""Answers at ties: the sums of their shares, for any convention (docs/math.md, R21)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.answers import BackendAnswer, Printed
from gradcheck.judging.evidence import examine
from gradcheck.oracle import Format, Key, TiedSum
from gradcheck.text.wording import in_words, out_of

Array = npt.NDArray[np.floating[Any]]

DOUBLE = 2.0**-52
"""Twice the unit roundoff of float64, in which sums of an answer are computed."""


@dataclass(frozen=True)
class Unshared:
    """Sums over arrays of an answer that no convention at a tie explains."""

    keys: tuple[Key, ...]
    reason: str
    proved: bool


def unshared(answer: BackendAnswer, wholes: Iterable[TiedSum], format: Format, gate: str) -> Iterator[Unshared]:
    """The sums where the shares of a tie do not add up to one.

    Args:
        answer: the backend's answer.
        wholes: sums that no convention changes.
        format: of the backend.
        gate: "proved" refuses only proved errors.
    """
    given = dict(answer.arrays())
    for whole in wholes:
        arrays = [given[key] for key in whole.keys if key in given]
        if len(arrays) < len(whole.keys):
            continue
        with np.errstate(all="ignore"):  # what is not finite is judged as that
            sums = [_summed(array, answer.printed, whole.axes) for array in arrays]
            got, slack = (np.asarray(sum(parts)) for parts in zip(*sums, strict=True))
        limited = gate != "proved"
        finding = examine(got, whole.output, None, format, slack=slack, limited=limited, measured=False)
        if finding.bad:
            names = " and ".join(in_words(*key) for key in whole.keys)
            where = out_of(finding.bad, finding.entries, "sums")
            reason = f"{names}: the shares of a tie of {whole.word} do not add up to one{where}"
            yield Unshared(whole.keys, reason, bool(finding.proved))


def _summed(array: Array, printed: Printed | None, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """The sums along axes, which stay as unit axes, and the possible error from printing and our own summation."""
    terms = array.astype(np.float64)
    moved = terms.size * DOUBLE * np.abs(terms) + (0.0 if printed is None else printed.half_unit(terms))
    total, slack = (np.sum(each, axis=axes, keepdims=True) for each in (terms, moved))
    return np.asarray(total), np.asarray(slack)
