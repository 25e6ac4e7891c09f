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
    """Walk some cases, and judge the answers to them; cases of several tapes are left to be judged alone.

    Args:
        cases: with their tapes.
        answers: to each case, by the key of the backend.
        formats: of the backends, by key.
        gate: of the run.
        order_of: the key of a backend -> the order of its wrong arrays.
    """
    from gradcheck.judging.several import judge_several, truths

    found = [JudgedCase(each) for each in answers]
    if any(tape is not cases[0][1] for _, tape in cases):
        return found
    inputs = [case.inputs for case, _ in cases]
    for format in dict.fromkeys(formats.values()):
        for each, truth in zip(found, truths(cases[0][1], inputs, format), strict=True):
            each.truths[format] = truth
    for key, format in formats.items():
        given = {place: each[key] for place, each in enumerate(answers) if key in each}
        some = {place: each for place, each in given.items() if not isinstance(each, Failure)}
        known = [found[place].truths[format] for place in some]
        judgements = judge_several([*some.values()], known, gate, order_of(key))
        for place, judgement in zip(some, judgements, strict=True):
            found[place].judgements[key] = judgement
    return found
