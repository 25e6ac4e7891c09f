"""Cases whose answers are known before their reports are made: small ones are walked and judged together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradcheck.execution.worker import Failure

if TYPE_CHECKING:
    from gradcheck.answers import BackendAnswer
    from gradcheck.judging.judge import Judgement, Order, Truth
    from gradcheck.oracle import Format, Tape
    from gradcheck.problems.cases import Case

    Answers = Mapping[str, BackendAnswer | Failure]


@dataclass(frozen=True)
class JudgedCase:
    """What is known about a case.

    Attributes:
        answers: by the key of the backend; None before any is asked.
        truths: the oracle's knowledge, by format.
        judgements: on the answers that are judged.
    """

    answers: Answers | None = None
    truths: dict[Format, Truth] = field(default_factory=dict)
    judgements: dict[str, Judgement] = field(default_factory=dict)


def judged_together(
    cases: Sequence[tuple[Case, Tape]],
    answers: Sequence[Answers],
    formats: Mapping[str, Format],
    gate: str,
    order_of: Callable[[str], Order],
) -> list[JudgedCase]:
    """Walk some cases, and judge the answers to them; those that cannot be walked together are left as they are.

    Args:
        cases: with their tapes.
        answers: to each case, by the key of the backend.
        formats: of the backends, by key.
        gate: of the run.
        order_of: the key of a backend -> the order of its wrong arrays.
    """
    from gradcheck.judging.several import judge_several, truths
    from gradcheck.oracle import most_together

    found = [JudgedCase(each) for each in answers]
    if any(tape is not cases[0][1] for _, tape in cases):
        return found
    tape, inputs = cases[0][1], [case.inputs for case, _ in cases]
    for format in dict.fromkeys(formats.values()):
        if most_together(tape, format) < 2:
            continue  # its truth is found while workers compute
        for each, truth in zip(found, truths(tape, inputs, format), strict=True):
            each.truths[format] = truth
        given = [
            (place, key, answer)
            for place, each in enumerate(answers)
            for key, answer in each.items()
            if formats[key] == format and not isinstance(answer, Failure)
        ]
        known = [found[place].truths[format] for place, _, _ in given]
        orders = [order_of(key) for _, key, _ in given]
        judgements = judge_several([answer for _, _, answer in given], known, gate, orders)
        for (place, key, _), judgement in zip(given, judgements, strict=True):
            found[place].judgements[key] = judgement
    return found
