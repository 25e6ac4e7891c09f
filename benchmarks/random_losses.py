"""Random losses over the whole vocabulary: enclosures, correct answers and planted errors.

The enclosures are held against a truth that shares nothing with the oracle; no correct answer may be refused; a planted
error must be found, and at its step.

The truth is reverse mode in Arb balls of 400 bits (`benchmarks.random_programs`). The backend `by hand` is the same
reverse mode on NumPy arrays.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import numpy as np
from flint import arb, ctx

from benchmarks.common import Cell, Table, command, lineup
from benchmarks.random_programs import Array, Fault, Key, Program, Tie, balls, draw, evaluate
from gradcheck import cases, problems
from gradcheck.answers import Answer
from gradcheck.cases import Case
from gradcheck.crews import Crew, Question
from gradcheck.errors import RequestError
from gradcheck.judge import Judgement, Truth, judge, truth
from gradcheck.lineups import Row
from gradcheck.oracle import Format
from gradcheck.results import Verdict
from gradcheck.tapes import record_tape
from gradcheck.workers import Failure

BITS = 400
BY_HAND = "by hand"
ENGINES = ("torch", "autograd")
DTYPES = ("float64", "float32")
NARROW = ("float16", "bfloat16")
TIMEOUT = 120.0
SHOWN = 20
"""How many commands are shown of each kind."""
# Every second case is an ordinary one; the others are hostile.
DISTRIBUTIONS = ("uniform", "normal", "uniform", "mixed", "uniform", "tiny", "normal", "saturated", "uniform", "zeros",
                 "normal", "subnormal", "uniform", "cancelling")  # fmt: skip


@dataclass
class Tally:
    """What was seen of one backend in one dtype."""

    answers: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    entries: int = 0


@dataclass
class Enclosures:
    """How enclosures in the format of one dtype did."""

    losses: int = 0
    entries: int = 0
    missed: int = 0
    unbounded: int = 0


@dataclass
class Planted:
    """What became of errors that were planted, of those beyond the stated power."""

    planted: int = 0
    beyond_power: int = 0
    missed: int = 0
    undecided: int = 0
    named: int = 0
    step_right: int = 0


@dataclass
class Seen:
    """Everything that was counted."""

    enclosures: dict[str, Enclosures] = field(default_factory=dict)
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    planted: dict[str, Planted] = field(default_factory=dict)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    complaints: list[dict[str, Cell]] = field(default_factory=list)

    def complain(self, what: str, loss: Loss, dtype: str, said: object) -> None:
        """Keep what somebody has to look into."""
        self.complaints.append({"seed": loss.seed, "what": what, "dtype": dtype, "said": str(said)[:150]})


@dataclass(frozen=True)
class Loss:
    """A random program, the seed that it comes from, and its file."""

    seed: int
    program: Program
    path: Path

    def case(self, dtype: str) -> Case:
        """Its inputs; uniform ones where those of its distribution overflow or underflow."""
        problem = problems.load(str(self.path))
        with contextlib.suppress(RequestError):
            return cases.sample(problem, 1, self.seed, dtype, DISTRIBUTIONS[self.seed % len(DISTRIBUTIONS)])
        return cases.sample(problem, 1, self.seed, dtype)


def random_losses(small: bool, losses: int, answers: int, narrow: int, first: int) -> list[Table]:
    """Draw random losses, and hold enclosures, answers of backends and planted errors against them."""
    if small:
        losses, answers, narrow = 60, 40, 10
    seen, engines = Seen(), lineup(ENGINES)
    rows = {row.key: row for row in engines.rows}
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Crew()) as crew:
        crew.start(engines.posts(), TIMEOUT)
        for loss in itertools.islice(drawn(Path(folder), first), losses):
            number = loss.seed - first
            for dtype in DTYPES:
                examine(loss, dtype, seen, crew if number < answers else None, rows)
            for dtype in NARROW if number < narrow else ():
                examine(loss, dtype, seen, crew, rows)
    return tables(seen)


def drawn(folder: Path, first: int) -> Iterator[Loss]:
    """Random losses, with seeds from `first` on."""
    for seed in itertools.count(first):
        program = draw(np.random.default_rng(seed))
        path = folder / f"random_{seed}.py"
        path.write_text(program.source, encoding="utf-8")
        yield Loss(seed, program, path)


def examine(loss: Loss, dtype: str, seen: Seen, crew: Crew | None, rows: Mapping[str, Row]) -> None:
    """One loss in one dtype: enclosures and, with workers, answers and planted errors."""
    case = loss.case(dtype)
    known = truth(record_tape(case.problem, 1), case.inputs, Format.of(dtype))
    with ctx.workprec(BITS), contextlib.suppress(Tie):
        enclose(loss, dtype, known, evaluate(loss.program, balls(case.inputs)), seen)
    if crew is None:
        return
    if dtype != "bfloat16":
        by_hand(loss, case, known, seen)
    question = Question(loss.path, dtype, case.problem.wrt, case.inputs)
    for name, answer in crew.evaluate(question, [name for name, row in rows.items() if dtype not in row.lacks]):
        if isinstance(answer, Failure):
            raise click.ClickException(f"seed {loss.seed}: {name}: {answer.reason}")
        format = rows[name].format(dtype)
        theirs = known if format == known.format else truth(known.tape, case.inputs, format)
        count(loss, name, dtype, answer, theirs, seen)


def enclose(loss: Loss, dtype: str, known: Truth, true: Mapping[Key, Array], seen: Seen) -> None:
    """Hold every enclosure against the truth."""
    tally = seen.enclosures.setdefault(dtype, Enclosures())
    tally.losses += 1
    for key, output in known.analysis.items():
        enclosure = output.enclosure
        for number, ball in enumerate(np.asarray(true[key], object).ravel()):
            high, low, radius = (float(part.ravel()[number]) for part in enclosure.parts)
            tally.entries += 1
            if not np.isfinite(radius):
                tally.unbounded += 1
            elif not outside(arb(ball), high, low, radius):
                continue
            else:
                tally.missed += 1
                seen.complain("enclosure missed", loss, dtype, f"{key}, entry {number}: {high} ± {radius}: {ball}")


def outside(ball: arb, high: float, low: float, radius: float) -> bool:
    """Whether the truth is certainly not in (high + low) ± radius; what is not a number is in none."""
    return not ball.is_finite() or bool(abs(ball - arb(high) - arb(low)) > arb(radius))


def by_hand(loss: Loss, case: Case, known: Truth, seen: Seen) -> None:
    """The correct answer in NumPy, and one with an error planted into it."""
    with np.errstate(all="ignore"):
        correct = evaluate(loss.program, case.inputs)
    judgement = count(loss, BY_HAND, case.dtype, as_answer(correct), known, seen)
    if judgement.verdict is not Verdict.AGREES:
        return
    rng = np.random.default_rng(loss.seed)
    number = int(rng.integers(len(loss.program.steps)))
    operand = int(rng.integers(len(loss.program.steps[number].operands)))
    fault = Fault(number, operand, float(10 ** rng.uniform(-14 if case.dtype == "float64" else -6, 0)))
    with np.errstate(all="ignore"):
        wrong = evaluate(loss.program, case.inputs, fault)
    plant(loss, case.dtype, fault, judgement, correct, wrong, known, seen)


def plant(
    loss: Loss,
    dtype: str,
    fault: Fault,
    clean: Judgement,
    correct: Mapping[Key, Array],
    wrong: Mapping[Key, Array],
    known: Truth,
    seen: Seen,
) -> None:
    """Judge an answer with a planted error: found where it is beyond the stated power, and at its step."""
    tally = seen.planted.setdefault(dtype, Planted())
    tally.planted += 1
    judgement = judge(as_answer(wrong), known, "rounding")
    beyond = any(
        change(correct["gradient", name], wrong["gradient", name]) > 2 * error.power.percentile_99
        for name, error in clean.errors.items()
        if error.power is not None
    )
    if beyond:
        tally.beyond_power += 1
        tally.missed += judgement.verdict is Verdict.AGREES
        tally.undecided += judgement.verdict is Verdict.UNDECIDED
        if judgement.verdict is Verdict.AGREES:
            seen.complain("planted error missed", loss, dtype, fault)
    if judgement.first_wrong:
        tally.named += 1
        name = judgement.first_wrong.name
        right = (judgement.first_wrong.kind, name if judgement.first_wrong.kind != "loss" else None) in shown_by(
            loss.program, fault
        )
        tally.step_right += right
        if not right:
            seen.complain("another step named", loss, dtype, f"{fault}: {judgement.reason}")


def change(correct: Array, wrong: Array) -> float:
    """The largest relative change of an entry."""
    with np.errstate(all="ignore"):
        ratios = np.abs(np.float64(wrong) - np.float64(correct)) / np.abs(np.float64(correct))
    return float(np.max(ratios, initial=0.0, where=np.isfinite(ratios)))


def shown_by(program: Program, fault: Fault) -> set[Key]:
    """The outputs in which a planted error shows first: what flows there passes no other output."""
    found: set[Key] = set()
    waiting = [program.steps[fault.step].operands[fault.operand]]
    while waiting:
        value = waiting.pop()
        if name := program.name(value):
            found.add(("gradient" if value < len(program.inputs) else "adjoint", name))
        else:
            waiting.extend(program.steps[value - len(program.inputs)].operands)
    return found


def as_answer(arrays: Mapping[Key, Array]) -> Answer:
    """Arrays as a backend's answer."""
    groups: dict[str, dict[str, Array]] = {"value": {}, "adjoint": {}, "gradient": {}}
    for (kind, name), array in arrays.items():
        if name is not None:
            groups[kind][name] = array
    return Answer(arrays["loss", None], groups["gradient"], groups["value"], groups["adjoint"])


def count(loss: Loss, name: str, dtype: str, answer: Answer, known: Truth, seen: Seen) -> Judgement:
    """Judge a correct answer, as it is and without its watched values."""
    tally = seen.tallies.setdefault((name, dtype), Tally())
    for given in (answer, replace(answer, values={}, adjoints={})):
        judgement = judge(given, known, "rounding")
        tally.answers += 1
        tally.entries += sum(array.size for array in given.gradients.values())
        tally.verdicts[judgement.verdict] += 1
        if judgement.verdict is Verdict.DIFFERS:
            seen.complain(f"false alarm: {name}", loss, dtype, f"{judgement.evidence}: {judgement.reason}")
        if judgement.verdict is Verdict.UNDECIDED:
            seen.reasons[dtype, (judgement.reason or "").partition(": ")[2]] += 1
    return judge(answer, known, "rounding")


def tables(seen: Seen) -> list[Table]:
    """What was counted."""
    enclosures: list[dict[str, Cell]] = [{"dtype": dtype, **vars(each)} for dtype, each in seen.enclosures.items()]
    answers: list[dict[str, Cell]] = [
        {
            "backend": name,
            "dtype": dtype,
            "answers": tally.answers,
            "entries": tally.entries,
            "false alarms": tally.verdicts[Verdict.DIFFERS],
            "undecided": tally.verdicts[Verdict.UNDECIDED],
            "undecided %": 100 * tally.verdicts[Verdict.UNDECIDED] / tally.answers,
        }
        for (name, dtype), tally in seen.tallies.items()
    ]
    planted: list[dict[str, Cell]] = [{"dtype": dtype, **vars(each)} for dtype, each in seen.planted.items()]
    reasons: list[dict[str, Cell]] = [
        {"dtype": dtype, "reason": why, "answers": n} for (dtype, why), n in seen.reasons.most_common()
    ]
    return [
        Table("Enclosures of random losses", enclosures),
        Table("Correct answers to random losses, with watched values and without", answers),
        Table("Errors planted into random losses", planted),
        Table("Why correct answers stay undecided", reasons),
        Table(f"To look into: {len(seen.complaints)}", shown_complaints(seen.complaints)),
    ]


def shown_complaints(
    complaints: Sequence[dict[str, Cell]],
) -> list[dict[str, Cell]]:
    """The first few of each kind."""
    kinds = Counter[object]()
    chosen = []
    for each in complaints:
        kinds[each["what"]] += 1
        if kinds[each["what"]] <= SHOWN:
            chosen.append(each)
    return chosen


if __name__ == "__main__":
    command(
        random_losses,
        click.Option(["--losses"], default=10_000, help="How many.  [default: 10000]"),
        click.Option(["--answers"], default=3_000, help="For how many of them engines are asked.  [default: 3000]"),
        click.Option(["--narrow"], default=500, help="For how many in float16 and bfloat16 too.  [default: 500]"),
        click.Option(["--first"], default=0, help="The first seed.  [default: 0]"),
    )()
