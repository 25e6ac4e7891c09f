"""Found bugs and refused correct variants: of this tool, torch.autograd.gradcheck and tolerances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import Cell, Table, command, draw, problem, selection_of
from benchmarks.peers import NAMES, Peers
from gradcheck.answers import BackendAnswer
from gradcheck.judging.judge import Judgement, judge, truth
from gradcheck.oracle import Format
from gradcheck.results import Verdict
from tests.planted import BUGS, Bug, answer, place
from tests.recorded import record_tape
from tests.variants import VARIANTS

Array = npt.NDArray[np.floating[Any]]

# An answer within this distance of the clean one, in units in the last place, may be equally good.
VISIBLE = 4
OURS, PROVED, UNWATCHED, STEP = "this tool", "proofs alone", "no watched values", "right step named"


@dataclass(frozen=True)
class Section:
    """The kind of case, and how many of them for each lost digit, and for each wrong formula and legitimate variant."""

    dtype: str
    k: int
    digits: int
    others: int
    every: int = 1

    def __str__(self) -> str:
        return f"{self.dtype}, K = {self.k}"


FULL = (Section("float64", 16, 60, 2), Section("float32", 16, 10, 1), Section("float32", 256, 20, 1))
SMALL = (
    Section("float64", 4, 2, 1, every=8),
    Section("float32", 4, 1, 1, every=8),
    Section("float32", 64, 1, 1, every=8),
)
Shares = dict[str, float | None]


def detection(small: bool) -> list[Table]:
    """Plant bugs in a hand-written backend, and legitimate variants, and run every checker on them."""
    with Peers(selection_of(["torch"]).places["torch"].python) as peers:
        return [table for section in (SMALL if small else FULL) for table in tables(section, peers)]


def tables(section: Section, peers: Peers) -> list[Table]:
    """Lost digits one by one, and the means of the others; then the others one by one."""
    numerical = [bug for bug in BUGS if bug.numerical and section.dtype in bug.dtypes]
    formulas = [bug for bug in BUGS if not bug.numerical][:: section.every]
    variants = [Bug(name, steps, (), False, (), "uniform") for name, steps in VARIANTS.items()]
    digits = {str(bug): shares(bug, section, section.digits, peers) for bug in numerical}
    wrong = {str(bug): shares(bug, section, section.others, peers) for bug in formulas}
    legitimate = {variant.name: shares(variant, section, section.others, peers) for variant in variants}
    means = {
        f"mean of {len(wrong)} wrong formulas": averaged(wrong),
        f"mean of {len(legitimate)} legitimate variants": averaged(legitimate),
    }
    return [
        Table(f"Planted bugs found, % of cases: {section}", rows(digits | means)),
        Table(f"Wrong formulas found, % of {section.others} cases: {section}", rows(wrong)),
        Table(f"Legitimate variants refused, % of {section.others} cases: {section}", rows(legitimate)),
    ]


def shares(planted: Bug, section: Section, cases: int, peers: Peers) -> Shares:
    """The share of cases that each checker refuses: of a bug, of those in which it visibly changes the answer."""
    is_bug = bool(planted.wrong)
    seen: list[Mapping[str, bool | None]] = []
    for seed in range(cases):
        case = draw(section.k, section.dtype, seed, planted.distribution)
        got = planted.answer(case.inputs)
        if is_bug and not visible(got, answer(case.inputs)):
            continue
        name = str(planted) if is_bug else planted.name
        seen.append(ours(planted, got, case.inputs, section) | peers.call("refused", case.inputs, planted=name))
    return {checker: share([each[checker] for each in seen]) for checker in (OURS, PROVED, UNWATCHED, STEP, *NAMES)}


def ours(planted: Bug, got: BackendAnswer, inputs: Mapping[str, Array], section: Section) -> dict[str, bool | None]:
    """This tool's verdicts: on the answer, by proofs only, and on the loss and the gradients only."""
    known = truth(record_tape(problem(), section.k), inputs, Format.of(section.dtype))
    judged = judge(got, known, "rounding")
    bare = replace(got, values={}, adjoints={})
    return {
        OURS: judged.verdict is Verdict.DIFFERS,
        PROVED: judge(got, known, "proved").verdict is Verdict.DIFFERS,
        UNWATCHED: judge(bare, known, "rounding").verdict is Verdict.DIFFERS,
        STEP: named(judged) == place(planted.wrong[0]) if planted.wrong else None,
    }


def named(judged: Judgement) -> tuple[str, str | None] | None:
    """The first step that is reported as wrong."""
    return (judged.first_wrong.kind, judged.first_wrong.name) if judged.first_wrong else None


def visible(got: BackendAnswer, clean: BackendAnswer) -> bool:
    """Whether the error of an entry of the answer exceeds `VISIBLE` units in the last place, or is NaN."""
    with np.errstate(invalid="ignore"):
        return any(
            bool(np.any(~(np.abs(one - other) <= VISIBLE * np.spacing(np.abs(other)))))
            for one, other in zip(arrays(got), arrays(clean), strict=True)
        )


def arrays(given: BackendAnswer) -> list[Array]:
    """All arrays of an answer."""
    return [given.loss, *given.values.values(), *given.adjoints.values(), *given.gradients.values()]


def share(refused: Sequence[bool | None]) -> float | None:
    """The share of true ones among the checked ones."""
    compared = [each for each in refused if each is not None]
    return mean(compared) if compared else None


def averaged(several: Mapping[str, Shares]) -> Shares:
    """The mean of each column."""
    columns = next(iter(several.values()))
    known = {column: [each[column] for each in several.values()] for column in columns}
    return {column: mean(cells) if (cells := [x for x in known[column] if x is not None]) else None for column in known}


def rows(several: Mapping[str, Shares]) -> list[dict[str, Cell]]:
    """Rows of a table."""
    return [{"planted": name, **percent(each)} for name, each in several.items()]


def percent(shares: Shares) -> dict[str, Cell]:
    """Shares in per cent."""
    return {checker: None if share is None else 100 * share for checker, share in shares.items()}


if __name__ == "__main__":
    command(detection)()
