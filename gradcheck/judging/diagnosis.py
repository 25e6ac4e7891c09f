"""Diagnosis: why a wrong answer is wrong. Its cause, from a run in another precision, and its pattern.

The error of an answer is E(u) = a + b·u, u being the unit roundoff. A wrong formula has an error a that stays in every
precision. Lost digits, from an ill-conditioned formula or a narrower precision in between, have an error that shrinks
with u. Two precisions distinguish the two if the error is visible in both (docs/math.md, D1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from gradcheck.answers import BackendAnswer
from gradcheck.dtypes import DTYPES, LAYOUTS
from gradcheck.findings import Cause
from gradcheck.judging.judge import Judgement, Truth, judge, truth
from gradcheck.judging.patterns import Pattern, Wrong, pattern
from gradcheck.judging.precision import answered_in
from gradcheck.oracle import DOUBT, Format, Key, stages
from gradcheck.results import Verdict
from gradcheck.text.wording import two_digits

Array = npt.NDArray[np.float64]

LONGDOUBLE = "longdouble"
"""NumPy's longdouble, for hand-written gradients; their answers come back rounded to float64."""
SAME = 4.0
"""An error that changes by no more than this factor from one precision to another stays."""
LUCK = 32.0
"""Rounding errors of two runs are random: their ratio may miss that of the unit roundoffs by this factor."""
BEYOND_LUCK = 1024.0
"""In only one of a thousand runs it misses by this factor: the chance that a standard normal is below 1/1024."""
TYPICAL = 1 / 8
"""Errors of a precision reach this share of its standard deviation in their largest entry."""
SHARE = 0.5
"""The share of refused entries that suggests a narrower precision: a single wrong entry has another cause."""

Rerun = Callable[[str], "tuple[BackendAnswer, Truth] | str"]
"""Runs the backend once more, in another dtype: its answer and the truth of that case, or why there is none."""
Other = Callable[[str], "str | None"]
"""The dtype of a run -> the dtype of the next one, `other_dtype`; None if there is none."""


@dataclass(frozen=True)
class Measured:
    """The error of one array in one precision, over the entries that are wrong.

    Attributes:
        dtype: the dtype of the run.
        roundoff: the unit roundoff of that dtype.
        error: the largest error; NaN or infinite where an entry is not finite.
        explained: the largest error that rounding explains.
        size: the largest true value.
    """

    dtype: str
    roundoff: float
    error: float
    explained: float
    size: float


def diagnose(answer: BackendAnswer, known: Truth, judgement: Judgement, other: Other, rerun: Rerun) -> Judgement:
    """Add the cause and the pattern to the judgement of an answer that differs.

    Args:
        answer: the backend's answer.
        known: the truth of the case in the backend's format.
        judgement: of the answer.
        other: the dtype of a second run.
        rerun: runs the backend again.
    """
    step = judgement.first_wrong
    if judgement.verdict is not Verdict.DIFFERS or step is None or answer.estimates:
        return judgement
    key: Key = (step.kind, step.name)
    seen = pattern(wrong(answer, known, key))
    step = msgspec.structs.replace(step, pattern=seen.text if seen else None)
    if not math.isfinite(step.got) or not math.isfinite(step.true):
        return replace(judgement, first_wrong=step)  # there is no size of an error to compare
    if answer.varies:
        cause = Cause(kind="unknown", reason="it varies from call to call")
    else:
        cause = cause_of(answer, known, key, judgement, other, rerun, seen)
    if cause.kind == "unknown" and seen and seen.exact:
        cause = Cause(kind="wrong formula", reason="rounding makes no such pattern")
    return replace(judgement, cause=cause, first_wrong=step)


def passed(judgement: Judgement) -> Judgement:
    """A judgement under the gate "formula": lost digits are reported, and pass."""
    if judgement.cause is None or judgement.cause.kind != "lost digits":
        return judgement
    return replace(judgement, verdict=Verdict.AGREES)


def other_dtype(dtype: str, by_hand: bool, lacks: Callable[[str], bool]) -> str | None:
    """The dtype of a backend's second run.

    Args:
        dtype: that of the first run.
        by_hand: whether it is a hand-written gradient in NumPy, which has longdouble.
        lacks: whether it cannot compute in a dtype.
    """
    if dtype == "float64":
        return LONGDOUBLE if by_hand else "float32"
    wider = "float64" if dtype == "float32" else "float32"
    return None if lacks(wider) else wider


def cause_of(
    answer: BackendAnswer,
    known: Truth,
    key: Key,
    judgement: Judgement,
    other: Other,
    rerun: Rerun,
    seen: Pattern | None,
) -> Cause:
    """The cause of an error in one array; a factor that all entries share may be a number in a narrower dtype."""
    cause = by_rerun(answer, known, key, other, rerun)
    if cause.kind == "lost digits" or not (resembled := narrower(answer, judgement, known)):
        return cause
    if seen:
        return Cause(kind="unknown", reason=f"a factor that all entries share is wrong, or computed in {resembled}")
    return Cause(kind="unknown", reason=f"its errors are as large as those of {resembled}: it may compute in that")


def by_rerun(answer: BackendAnswer, known: Truth, key: Key, other: Other, rerun: Rerun) -> Cause:
    """The cause according to answers in other precisions."""
    dtype = other(known.format.name)
    if dtype is None:
        return Cause(kind="unknown", reason=f"it computes in {known.format.name} alone")
    entries = wrong_entries(answer, known, key)
    first = measured(answer, known, key, entries, known.format.name)
    wider = wider_dtype(answer, known, key)
    second = remeasured(key, entries, wider or dtype, rerun)
    cause = compared(first, second)
    if cause.kind != "wrong formula" or isinstance(second, str):
        return cause
    if second.dtype == LONGDOUBLE:
        return confirmed(cause, first, remeasured(key, entries, "float32", rerun, or_wider=True))
    if wider:  # perhaps the backend computed both answers in this dtype
        return compared(second, remeasured(key, entries, other(wider) or wider, rerun))
    return cause


def compared(first: Measured, second: Measured | str) -> Cause:
    """The cause according to an answer in another precision; unknown if there is none."""
    if isinstance(second, str):
        return Cause(kind="unknown", reason=second)
    if first.roundoff < second.roundoff:
        return from_coarser(first, second)
    return from_finer(first, second)


def wider_dtype(answer: BackendAnswer, known: Truth, key: Key) -> str | None:
    """The dtype of an array if it is wider than the requested one: float64 constants widen NumPy's results."""
    dtype = answered_in(dict(answer.arrays())[key], known.format.name)
    return dtype if LAYOUTS[dtype].bits > known.format.bits else None


def remeasured(
    key: Key, entries: npt.NDArray[np.bool_], dtype: str, rerun: Rerun, or_wider: bool = False
) -> Measured | str:
    """The error of the same entries in another dtype, or why it cannot be measured.

    Args:
        key: of the array.
        entries: where.
        dtype: in which the backend runs again.
        rerun: runs it.
        or_wider: whether an answer in a wider dtype counts, at the inputs of `dtype`.
    """
    given = rerun(dtype)
    if isinstance(given, str):
        return given
    again, there = given
    got = dict(again.arrays()).get(key)
    if got is None or got.shape != entries.shape:
        return f"its answer in {dtype} lacks the array"
    if or_wider and LAYOUTS[got.dtype.name].bits > LAYOUTS[dtype].bits:
        return measured(again, there, key, entries, got.dtype.name)
    if dtype != LONGDOUBLE and got.dtype != LAYOUTS[dtype].container:
        return f"it answers in {got.dtype}, not in the requested {dtype}"
    return measured(again, there, key, entries, dtype)


def measured(answer: BackendAnswer, known: Truth, key: Key, entries: npt.NDArray[np.bool_], dtype: str) -> Measured:
    """The error of some entries of an array."""
    error, allowed, true = held_against(answer, known, key)
    roundoff = known.format.roundoff
    if dtype == LONGDOUBLE:  # the answer was rounded to float64 for the transfer: rounding explains no more than that
        allowed = 2 * roundoff * np.abs(true) + known.format.smallest
        roundoff = float(np.finfo(np.longdouble).eps) / 2
    return Measured(
        dtype,
        roundoff,
        float(np.max(error[entries])),
        float(np.max(allowed[entries])),
        float(np.max(np.abs(true[entries]))),
    )


def held_against(answer: BackendAnswer, known: Truth, key: Key) -> tuple[Array, Array, Array]:
    """Errors from end to end, the part that rounding explains, and the true values."""
    got, output = dict(answer.arrays())[key], known.analysis[key]
    with np.errstate(all="ignore"):
        enclosure = output.enclosure
        error = np.maximum(np.abs(enclosure.distance(got)) - enclosure.radius, 0.0)
        allowed = np.minimum(output.worst, output.spread * DOUBT)
    return error, allowed, enclosure.high


def wrong_entries(answer: BackendAnswer, known: Truth, key: Key) -> npt.NDArray[np.bool_]:
    """The entries that are wrong from end to end; if only the step is wrong, the entry that is nearest to that."""
    error, allowed, _ = held_against(answer, known, key)
    refused = ~(error <= allowed)
    if not refused.any():
        ratios = error / (allowed + known.format.smallest)
        refused = ratios == np.max(ratios)
    return np.asarray(refused)


def from_finer(first: Measured, second: Measured) -> Cause:
    """The cause according to an answer in a finer precision."""
    change = changed(first, second)
    if second.error <= second.explained or second.error <= LUCK * first.error * second.roundoff / first.roundoff:
        return lost(first, change)
    stays = min(first.error / SAME, BEYOND_LUCK * first.error * second.roundoff / first.roundoff)
    if math.isfinite(second.error) and second.error >= stays:
        return Cause(kind="wrong formula", reason=change)
    return Cause(kind="unknown", reason=f"{change}: neither does it stay nor does it shrink with the unit roundoff")


def from_coarser(first: Measured, second: Measured) -> Cause:
    """The cause according to an answer in a coarser precision, which hides small errors."""
    change = changed(first, second)
    if second.error <= second.explained:
        return Cause(kind="unknown", reason=f"{change}: in {second.dtype} rounding explains an error of that size")
    if second.error <= SAME * first.error + second.explained:
        return Cause(kind="wrong formula", reason=change)
    if not second.error < second.size / LUCK:
        return Cause(kind="unknown", reason=f"in {second.dtype} no digit is left to compare")
    if first.error <= LUCK * second.error * first.roundoff / second.roundoff:
        return lost(first, change)
    return Cause(kind="unknown", reason=f"{change}: neither does it stay nor does it grow with the unit roundoff")


def confirmed(cause: Cause, first: Measured, coarse: Measured | str) -> Cause:
    """Rule out that an error stays in longdouble because the code rounds to float64 in between.

    Constants of float64 make NumPy answer in float64, at inputs of float32. A wrong formula has nearly the same error
    there. Rounding to float64 makes another one, which is equal within 1/1024 once in a thousand runs.
    """
    if isinstance(coarse, str):
        return Cause(kind="unknown", reason=f"the error stays in {LONGDOUBLE}, but {coarse}")
    if coarse.dtype == first.dtype:
        if abs(coarse.error - first.error) <= first.error / BEYOND_LUCK:
            return cause
        other = f"is {two_digits(coarse.error)} at inputs rounded to float32"
        reason = f"the error stays in {LONGDOUBLE}, but {other}: the code may round to float64 in between"
        return Cause(kind="unknown", reason=reason)
    if coarse.error > SAME * first.error + coarse.explained:
        reason = f"the error stays in {LONGDOUBLE}, but grows in float32: the code may round to float64 in between"
        return Cause(kind="unknown", reason=reason)
    return cause


def changed(first: Measured, second: Measured) -> str:
    """How an error changes from one precision to the other."""
    return f"{two_digits(first.error)} off in {first.dtype}, {two_digits(second.error)} in {second.dtype}"


def lost(measured: Measured, change: str) -> Cause:
    """The cause of an error that shrinks with the unit roundoff: how many digits are lost."""
    of_bits = round(-math.log2(measured.roundoff))
    bits = of_bits
    if math.isfinite(measured.error) and measured.size > 0:
        bits = min(max(round(math.log2(measured.error / (measured.roundoff * measured.size))), 1), of_bits)
    return Cause(kind="lost digits", reason=change, bits=bits, of_bits=of_bits)


def narrower(answer: BackendAnswer, judgement: Judgement, known: Truth) -> str | None:
    """The narrower dtype whose rounding makes errors like those of an answer that differs, or None."""
    errors = judgement.errors.values()
    bad, entries = sum(error.bad_entries for error in errors), sum(error.entries for error in errors)
    if bad < SHARE * entries or not entries:
        return None
    alone = replace(answer, values={}, adjoints={})
    for dtype in narrower_dtypes(known.format):
        judged = judge(alone, truth(known.tape, known.inputs, Format.of(dtype)), "rounding")
        if judged.verdict is Verdict.AGREES:
            largest = max(error.max_spread_ratio for error in judged.errors.values())
            return dtype if largest >= TYPICAL else None
    return None


def narrower_dtypes(format: Format) -> Iterator[str]:
    """The dtypes with fewer bits, the widest first."""
    yield from (dtype for dtype in DTYPES if LAYOUTS[dtype].bits < format.bits)


def wrong(answer: BackendAnswer, known: Truth, key: Key) -> Wrong:
    """A wrong array and the right one: by its own step if the answer has earlier steps, else from end to end."""
    arrays = dict(answer.arrays())
    got = arrays[key]
    sizes = {size for array in known.inputs.values() for size in (*array.shape, array.size)}
    if answer.printed is None:
        for stage in stages(known.tape, known.inputs, known.format, arrays):
            if (stage.kind, stage.name) == key:
                allowed = np.minimum(stage.bound, DOUBT * stage.spread)
                roundoff, terms = known.format.roundoff, stage.terms
                return Wrong(np.asarray(got, float), stage.expected, allowed, roundoff, terms, sizes, stage.assigned)
    _, allowed, true = held_against(answer, known, key)
    return Wrong(np.asarray(got, np.float64), true, allowed, known.format.roundoff, (), sizes)
