"""The verdict on an answer: it compares the answer with the oracle, entry by entry. Pure: answers in, records out.

An answer differs if an entry is proved wrong: its error from end to end exceeds the worst error of a correct backend,
or it is not finite where it must be. This holds in every order of sums and products, for distributed and factored
products, and for values that a backend computes again. An answer differs too if rounding does not explain the error of
an entry: the error exceeds `oracle.DOUBT` standard deviations of a correct backend's error, or its bound in one step
from the answer's own earlier values. A step proves nothing. It is only a remark where the entry is as near to the truth
as correct backends usually are (docs/math.md, W6 to W9).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gradcheck.answers import BackendAnswer
from gradcheck.findings import ArrayError, Cause, Kind, WrongStep
from gradcheck.judging.comparison import Compared, compare
from gradcheck.judging.completeness import missing
from gradcheck.judging.evidence import Finding, examine
from gradcheck.judging.symmetric import symmetric_parts
from gradcheck.judging.ties import Unshared, unshared
from gradcheck.oracle import (
    BALL_BITS,
    CONVENTIONS,
    Analysis,
    Format,
    Key,
    Slopes,
    Tape,
    analyse,
    wholes,
)
from gradcheck.oracle.lazy import lazy
from gradcheck.oracle.unbounded import WIDE, why_unbounded
from gradcheck.results import Verdict
from gradcheck.text.wording import change, in_words, out_of

Array = npt.NDArray[np.floating[Any]]
Order = Callable[[Key], Any]

NEXT_TO_NOTHING = 2.0**-20
"""A wrong step whose relative error is this share of a later one's is not named first."""
PROVED = "proved"
BEYOND_ROUNDING = "beyond rounding"
LOSS: Key = ("loss", None)
SLOPES: Key = ("slopes", None)
"""The derivatives along directions, which a witness may give in the place of gradients."""
DERIVATIVES = ("gradient", "slopes")
"""The kinds of arrays in a complete answer."""


@dataclass(frozen=True)
class Truth:
    """The oracle's knowledge about a case in one format."""

    tape: Tape
    inputs: Mapping[str, Array]
    format: Format
    analysis: Analysis

    @lazy
    def undefined(self) -> str | None:
        """The first step that has no real value, in words; for unbounded enclosures."""
        from gradcheck.oracle.balls import undefined  # importing flint takes 30 ms

        return undefined(self.tape, self.inputs, BALL_BITS)

    def resolved(self) -> Iterator[Truth]:
        """The same for each combination of conventions at the existing ties."""
        names = sorted(self.analysis.ties)
        for conventions in itertools.product(CONVENTIONS, repeat=len(names)):
            yield truth(self.tape.resolved(dict(zip(names, conventions, strict=True))), self.inputs, self.format)


def truth(tape: Tape, inputs: Mapping[str, Array], format: Format) -> Truth:
    """The oracle's knowledge about a case in one format."""
    tape = tape.at(inputs)
    return Truth(tape, inputs, format, analyse(tape, inputs, format))


@dataclass(frozen=True)
class Judgement:
    """The verdict on one answer, and why; `undefined` says that the loss or a gradient has no true value."""

    verdict: Verdict
    evidence: str | None = None
    reason: str | None = None
    loss_error: float | None = None
    errors: Mapping[str, ArrayError] = field(default_factory=dict)
    slopes_error: ArrayError | None = None
    first_wrong: WrongStep | None = None
    wrong_steps: tuple[WrongStep, ...] = ()
    cause: Cause | None = None
    remarks: tuple[str, ...] = ()
    undefined: bool = False


def as_computed(_key: Key) -> int:
    """The order of wrong arrays if the backend's own order is unknown: that in which the oracle computes them."""
    return 0


def judge(
    answer: BackendAnswer, truth: Truth, gate: str, order: Order = as_computed, compared: Compared | None = None
) -> Judgement:
    """Judge one answer.

    Where entries tie, it agrees if it follows a convention, and differs if shares do not add up to one (R8, R21). Of
    the adjoint of a symmetric matrix only the symmetric part counts.

    Args:
        answer: the backend's answer.
        truth: the oracle's knowledge about the case in the backend's format.
        gate: "proved" refuses only proved errors, "rounding" and "formula" also errors beyond rounding.
        order: the order of wrong arrays that do not depend on each other, such as two gradients; smaller comes first.
        compared: the answer as `compare` has compared it among others.
    """
    answer = symmetric_parts(answer, truth.tape)
    judged = judge_once(answer, truth, gate, order, compared)
    if judged.verdict is Verdict.DIFFERS or not truth.analysis.ties or judged.undefined:
        return judged
    reasons = set()
    for resolved in truth.resolved():
        again = judge_once(answer, resolved, gate)
        if again.verdict is Verdict.AGREES:
            return again
        reasons.add(again.reason)
    broken = sorted(at_ties(answer, truth, gate), key=lambda each: not each.proved)
    if broken:
        return differs(judged, broken[0].reason, broken[0].proved)
    if reasons == {judged.reason}:
        return judged  # the ties are not why
    unusual = f"no convention for the ties of {', '.join(sorted(truth.analysis.ties))} explains it"
    reason = f"{judged.reason}, and {unusual}" if judged.reason else unusual
    return replace(judged, verdict=Verdict.UNDECIDED, reason=reason)


def at_ties(answer: BackendAnswer, truth: Truth, gate: str) -> Iterator[Unshared]:
    """Where the shares of a tie do not add up to one; a witness, which has its own kind of errors, is not checked."""
    known = iter(()) if answer.estimates else wholes(truth.tape, truth.inputs, truth.format)
    return unshared(answer, known, truth.format, gate)


def judge_once(
    answer: BackendAnswer, truth: Truth, gate: str, order: Order = as_computed, compared: Compared | None = None
) -> Judgement:
    """Judge one answer by the bounds of one tape; see `judge`."""
    if compared is None and (lacking := missing(answer, truth.tape)):
        return Judgement(Verdict.DIFFERS, PROVED, lacking)
    if answer.mutated:
        return Judgement(Verdict.DIFFERS, PROVED, f"it changes its inputs: {', '.join(answer.mutated)}")
    findings = dict(examined(answer, truth, gate, compared))
    measured = {key: each.record() for key, each in findings.items() if key[0] in DERIVATIVES and each.entries}
    judged = Judgement(
        verdict=Verdict.AGREES,
        loss_error=findings["loss", None].largest_error,
        errors={name: error for (_, name), error in measured.items() if name},
        slopes_error=measured.get(SLOPES),
    )
    if why := without_truth({LOSS: findings[LOSS]}, truth):
        return Judgement(Verdict.UNDECIDED, reason=why, undefined=True)  # there is no truth with which to compare
    wrong = {key: findings[key] for key in sorted((key for key in findings if findings[key].bad), key=order)}
    if wrong:
        return refused(judged, findings, wrong, gate)
    if unsteady := varying(answer, findings):
        return differs(judged, *unsteady)
    if answer.fault:
        return differs(judged, answer.fault, proved=True)
    judged = replace(judged, remarks=tuple(remarks(findings)))
    if unresolved := unsure(findings) or undecided(findings, truth):
        why = without_truth(findings, truth)
        return replace(judged, verdict=Verdict.UNDECIDED, reason=why or unresolved, undefined=why is not None)
    return judged


def differs(judged: Judgement, reason: str, proved: bool) -> Judgement:
    """The judgement of an answer that is wrong as a whole, not in a single entry."""
    return replace(judged, verdict=Verdict.DIFFERS, evidence=PROVED if proved else BEYOND_ROUNDING, reason=reason)


def refused(judged: Judgement, findings: Mapping[Key, Finding], wrong: Mapping[Key, Finding], gate: str) -> Judgement:
    """The judgement of an answer with something wrong: proved errors come first, and their first step."""
    proved = [key for key, finding in wrong.items() if finding.proved]
    start = first_wrong(findings, wrong)
    subject = start if start in proved or (start in wrong and not proved) else next(iter(proved or wrong))
    reason = sentence(subject, wrong[subject])
    if not any(key in wrong for key in findings if key[0] in ("loss", *DERIVATIVES)):
        reason += "; the loss and every gradient agree"
    if gate == "proved" and not proved:
        return replace(judged, verdict=Verdict.UNDECIDED, reason=f"{reason}, which proves nothing")

    def weight(key: Key) -> float:
        return findings[key].step_weight

    steps = [key for key, finding in wrong.items() if finding.step_bad]
    if not steps and findings[start].excused:
        steps = [start]
    return replace(
        judged,
        verdict=Verdict.DIFFERS,
        evidence=PROVED if proved else BEYOND_ROUNDING,
        reason=reason,
        first_wrong=wrong_step(start, findings[start]),
        wrong_steps=tuple(wrong_step(key, findings[key]) for key in sorted(steps, key=weight, reverse=True)),
    )


def first_wrong(findings: Mapping[Key, Finding], wrong: Mapping[Key, Finding]) -> Key:
    """The array with the first error: the first wrong step, else an excused one, else a wrong array.

    A step with a tiny error compared with a later one does not help the reader.
    """
    by_step = [key for key, finding in wrong.items() if finding.step_bad]
    heaviest = max((findings[key].step_weight for key in by_step), default=0.0)
    by_step = [key for key in by_step if findings[key].step_weight >= NEXT_TO_NOTHING * heaviest]
    excused = [key for key, finding in findings.items() if finding.excused]
    return next(iter([*by_step, *excused, *wrong]))


def examined(
    answer: BackendAnswer, truth: Truth, gate: str, compared: Compared | None = None
) -> Iterator[tuple[Key, Finding]]:
    """Check every array of an answer, in the order of computation: values, the loss, adjoints backwards, gradients.

    Every array is judged from end to end, and by its own step too. For the loss and the gradients the errors are
    measured.
    """
    limited = gate != "proved"
    if compared is None:
        [compared] = compare([answer], truth.tape, [truth.inputs], truth.format, [truth.analysis], limited)
    arrays = dict(answer.arrays())
    for key in truth.tape.outputs:
        got = arrays.get(key)
        if got is not None:
            step = compared.steps.get(key)
            slack = answer.printed.half_unit(got) if answer.printed else None
            estimate = answer.estimates.get(key[1] or "") if key[0] == "gradient" else None
            yield (
                key,
                examine(
                    got,
                    truth.analysis[key],
                    step if estimate is None else None,
                    truth.format,
                    slack=slack,
                    estimate=estimate,
                    limited=limited,
                    measured=key[0] in ("loss", "gradient"),
                    checked=compared.checked.get(key),
                ),
            )
    if answer.slopes is not None:
        slopes, estimate = Slopes(truth.analysis, answer.directions), answer.estimates["slopes"]
        yield SLOPES, examine(answer.slopes, slopes, None, truth.format, estimate=estimate, limited=True, measured=True)


def varying(answer: BackendAnswer, findings: Mapping[Key, Finding]) -> tuple[str, bool] | None:
    """The array that varies from call to call by more than two correct answers usually do, or None.

    Also whether that is more than any two can differ: a variation within the bound proves nothing (docs/math.md, W13).
    """
    for (kind, name), largest in answer.varies.items():
        if kind == "direction" and answer.slopes is not None:  # then its slopes were not compared
            return f"the directions of {name} vary from call to call: expected the same ones", False
        finding = findings.get((kind, name))
        if finding and not largest <= 2 * finding.threshold:
            proved = finding.bound < math.inf and not largest <= 2 * finding.bound
            return f"{in_words(kind, name)} varies from call to call {change(largest)}", proved
    return None


def remarks(findings: Mapping[Key, Finding]) -> Iterator[str]:
    """Remarks on an answer in which nothing is wrong."""
    apart = [in_words(*key) for key, finding in findings.items() if finding.excused]
    if apart:
        names, verb = (apart[0], "does") if len(apart) == 1 else (", ".join(apart), "do")
        near = "but is as near to the truth" if len(apart) == 1 else "but are as near to the truth"
        yield f"{names} {verb} not follow from the arrays given beside, {near} as correct answers are"


def undecided(findings: Mapping[Key, Finding], truth: Truth) -> str | None:
    """Why an answer with nothing wrong cannot be judged, or None.

    If it has every watched value and adjoint, each step follows from the one before: then it is enough that every step
    has power. Else the checks from end to end must have power.
    """
    chain = len(findings) == len(truth.tape.outputs) and all(finding.step_has_power for finding in findings.values())
    for key, finding in findings.items():
        if key[0] in DERIVATIVES and not finding.has_power and not chain:
            why = unbounded(key, truth) if finding.overflow else "the bound is wider than the values"
            return f"{in_words(*key)} cannot be judged: {why}"
    graph = truth.tape.graph
    is_own = not graph.cotangents and not graph.directions  # else it is a sum that nobody asked for (docs/math.md, W18)
    if findings[LOSS].overflow and is_own and not chain:
        return f"the loss cannot be judged: {unbounded(LOSS, truth)}"
    for key, finding in findings.items():
        if finding.lost and (is_own or key != LOSS):
            where = out_of(finding.lost, finding.entries)
            return f"{in_words(*key)} is not finite{where}, where an intermediate value may overflow"
    return None


def unbounded(key: Key, truth: Truth) -> str:
    """Why an array has no finite bound."""
    if key not in truth.tape.outputs:
        return WIDE
    return why_unbounded(truth.tape, truth.inputs, truth.format, key)


def without_truth(findings: Mapping[Key, Finding], truth: Truth) -> str | None:
    """Why the loss or a gradient has no true value, or None if all have one.

    If the loss has none, its gradients have none either, even if the formulas of some can be evaluated.
    """
    for key, finding in findings.items():
        if key[0] not in ("loss", "gradient") or key not in truth.analysis or not finding.overflow:
            continue
        if not np.isfinite(truth.analysis[key].enclosure.radius).all() and (why := truth.undefined):
            return f"{in_words(*key)} has no true value: {why}"
    return None


def unsure(findings: Mapping[Key, Finding]) -> str | None:
    """The array for which a numerical witness's own estimate is too wide, or None."""
    for key, finding in findings.items():
        if finding.unsure:
            where = out_of(finding.unsure, finding.entries)
            return f"{in_words(*key)} cannot be judged: its own estimate of its error is wider than the bound{where}"
    return None


def wrong_step(key: Key, finding: Finding) -> WrongStep:
    """The record of a wrong array: by its own step, if that is known to be wrong."""
    worst, bad = finding.worst, finding.bad
    if finding.step_bad:
        worst, bad = finding.step_worst, finding.step_bad
    elif not worst:
        worst, bad = finding.excused_worst, finding.excused
    entry = worst[0]
    return WrongStep(
        kind=cast(Kind, key[0]),
        name=key[1],
        index=entry.index,
        got=entry.got,
        true=entry.true,
        bound=entry.bound,
        deviations=entry.deviations,
        by_step=worst is not finding.worst,
        bad_entries=bad,
        entries=finding.entries,
    )


def sentence(key: Key, finding: Finding) -> str:
    """The first error, in one line."""
    what = in_words(*key)
    where = out_of(finding.bad, finding.entries)
    if finding.proved:
        return f"{what} is proved wrong{where}"
    if finding.estimated:
        return f"{what} is further off than rounding and its own estimate of its error explain{where}"
    if not finding.whole_bad:
        return f"{what} does not follow from the arrays given beside it{where}"
    return f"{what} is off by up to {finding.largest_spread_ratio:.3g} standard deviations of rounding{where}"
