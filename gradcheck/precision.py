"""The precision in which a backend computes, where it is not the one that it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradcheck.answers import Answer
from gradcheck.cases import DTYPES, Case
from gradcheck.judge import Judgement, Truth, judge, truth
from gradcheck.oracle import Format
from gradcheck.results import Verdict

SHARE = 0.5
"""Of the entries that are refused where a narrower precision is suspected: a single wrong entry has another cause."""


def remarks(answer: Answer, case: Case, judgement: Judgement, known: Truth) -> Iterator[str]:
    """What is to be said of an answer's precision: in which dtype it came, and whose errors it has."""
    if answer.estimates:  # a witness takes the precision that it needs
        return
    if came := another_dtype(answer, case.dtype):
        yield f"answers in {came} where {case.dtype} was asked for"
    if resembled := narrower(answer, judgement, known):
        yield f"its errors are as large as those of {resembled}, not of {case.dtype}"


def another_dtype(answer: Answer, asked: str) -> str | None:
    """The dtype of the gradients where one is narrower than asked for, or all are wider (bfloat16 comes as float32)."""
    sizes = {array.dtype.itemsize: array.dtype.name for array in answer.gradients.values()}
    size = DTYPES[asked][2](0).dtype.itemsize
    if not sizes or min(sizes) == size:
        return None
    return sizes[min(sizes)]


def narrower(answer: Answer, judgement: Judgement, known: Truth) -> str | None:
    """The narrower dtype as whose rounding the errors of an answer that differs can be explained, or None."""
    errors = judgement.errors.values()
    bad, entries = sum(error.bad_entries for error in errors), sum(error.entries for error in errors)
    if judgement.verdict is not Verdict.DIFFERS or bad < SHARE * entries or not entries:
        return None
    alone = replace(answer, values={}, adjoints={})
    for dtype in [name for name in ("float32", "float16", "bfloat16") if DTYPES[name][0] < known.format.bits]:
        if judge(alone, truth(known.tape, known.inputs, Format.of(dtype)), "rounding").verdict is Verdict.AGREES:
            return dtype
    return None
