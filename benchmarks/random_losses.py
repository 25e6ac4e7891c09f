"""Random losses over the whole vocabulary: enclosures, correct answers and planted errors.

The enclosures are compared with a truth that shares nothing with the oracle; no correct answer may be refused; a
planted error must be found if the stated power promises it, and at its step.

The truth is reverse mode in Arb balls of 400 bits (`benchmarks.random_programs`). The backend `by hand` is the same
reverse mode on NumPy arrays. Where branches tie, more than one gradient is right: such losses have answers, and no
truth, and no errors are planted into them.
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

from benchmarks.common import Cell, Table, command, selection_of
from benchmarks.random_programs import Fault, Key, Program, balls, draw, evaluate
from benchmarks.words.declaration import Array, Tie
from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.errors import RequestError
from gradcheck.execution.messages import Request
from gradcheck.execution.pool import Pool
from gradcheck.execution.selection import Selected
from gradcheck.execution.worker import Failure
from gradcheck.findings import DetectionPower
from gradcheck.judging.judge import Judgement, Truth, judge, truth
from gradcheck.oracle import Enclosure, Format
from gradcheck.problems import cases
from gradcheck.problems.cases import Case
from gradcheck.results import Verdict
from tests.recorded import record_tape

BITS = 400
BY_HAND = "by hand"
ENGINES = ("torch", "autograd")
DTYPES = ("float64", "float32")
NARROW = ("float16", "bfloat16")
TIMEOUT = 120.0
SHOWN = 30
"""How many commands are shown of each kind."""
REASONS = (
    "an intermediate value may overflow",
    "the bound is wider than the values",
    "its bound grew too wide",
    "rounding errors leave open in which order entries are",
    "no convention for the ties",
)
# Every second case is an ordinary one; the others are hostile.
DISTRIBUTIONS = ("uniform", "normal", "uniform", "mixed", "uniform", "tiny", "normal", "saturated", "uniform", "zeros",
                 "normal", "subnormal", "uniform", "cancelling")  # fmt: skip


@dataclass
class Tally:
    """The counts of one backend in one dtype.

    Attributes:
        unsupported: the losses with a word that the engine lacks in the dtype.
        undefined: the answers to losses that have no true value.
    """

    answers: int = 0
    unsupported: int = 0
    entries: int = 0
    false_alarms: int = 0
    undefined: int = 0
    undecided: int = 0


@dataclass
class Enclosures:
    """The counts of enclosures in the format of one dtype; `ties` counts the losses that were left out."""

    losses: int = 0
    ties: int = 0
    entries: int = 0
    missed: int = 0
    unbounded: int = 0


@dataclass
class Planted:
    """The counts of errors that were planted into a gradient computed by hand.

    Attributes:
        planted: how many.
        found: how many of them are refused.
        beyond_power: how many are twice as large as the stated power, in more entries than it leaves out.
        missed: how many of these are not refused: broken promises.
        named, step_right: how many are refused with a step, and how many with the right one.
    """

    planted: int = 0
    found: int = 0
    beyond_power: int = 0
    missed: int = 0
    named: int = 0
    step_right: int = 0


@dataclass
class Seen:
    """All counts."""

    enclosures: dict[str, Enclosures] = field(default_factory=dict)
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    planted: dict[str, Planted] = field(default_factory=dict)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    complaints: list[dict[str, Cell]] = field(default_factory=list)

    def complain(self, what: str, examined: Examined, message: str) -> None:
        """Keep a result that needs a closer look."""
        seed, dtype = examined.loss.seed, examined.case.dtype
        self.complaints.append({"seed": seed, "what": what, "dtype": dtype, "message": message[:150]})


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


def random_losses(
    small: bool, losses: int, answers: int, narrow: int, first: int, engine: tuple[str, ...]
) -> list[Table]:
    """Draw random losses, and check enclosures, answers of backends and planted errors on them."""
    if small:
        losses, answers, narrow = 60, 40, 10
    seen, engines = Seen(), selection_of(engine)
    rows = {row.key: row for row in engines.backends}
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Pool()) as pool:
        pool.start(engines.launches(), TIMEOUT)
        for loss in itertools.islice(drawn(Path(folder), first), losses):
            number = loss.seed - first
            for dtype in DTYPES:
                examine(loss, dtype, seen, pool if number < answers else None, rows)
            for dtype in NARROW if number < narrow else ():
                examine(loss, dtype, seen, pool, rows)
    return tables(seen)


def drawn(folder: Path, first: int) -> Iterator[Loss]:
    """Random losses, with seeds from `first` on."""
    for seed in itertools.count(first):
        program = draw(np.random.default_rng(seed))
        path = folder / f"random_{seed}.py"
        path.write_text(program.source, encoding="utf-8")
        yield Loss(seed, program, path)


@dataclass(frozen=True)
class Examined:
    """A loss in one dtype: its case, the oracle's knowledge about it, and the truth, None where branches tie."""

    loss: Loss
    case: Case
    known: Truth
    true: Mapping[Key, Array] | None


def examine(loss: Loss, dtype: str, seen: Seen, pool: Pool | None, rows: Mapping[str, Selected]) -> None:
    """One loss in one dtype: enclosures and, with workers, answers and planted errors."""
    case = loss.case(dtype)
    known, true = truth(record_tape(case.problem, 1), case.inputs, Format.of(dtype)), None
    with ctx.workprec(BITS), contextlib.suppress(Tie):
        true = evaluate(loss.program, balls(case.inputs))
    examined = Examined(loss, case, known, true)
    enclose(examined, seen)
    if pool is None:
        return
    if dtype != "bfloat16":
        by_hand(examined, seen)
    request = Request(loss.path, known.tape.graph, dtype, known.tape.wrt, case.inputs)
    for name, answer in pool.evaluate(request, [name for name, row in rows.items() if dtype not in row.lacks]):
        if isinstance(answer, Failure) and answer.verdict is Verdict.UNSUPPORTED:
            seen.tallies.setdefault((name, dtype), Tally()).unsupported += 1
            continue
        if isinstance(answer, Failure):
            seen.failures[name, dtype, answer.reason] += 1
            continue
        format = rows[name].format(dtype)
        theirs = known if format == known.format else truth(known.tape, case.inputs, format)
        count(replace(examined, known=theirs), name, answer, seen)


def enclose(examined: Examined, seen: Seen) -> None:
    """Compare every enclosure with the truth."""
    tally = seen.enclosures.setdefault(examined.case.dtype, Enclosures())
    if examined.true is None:
        tally.ties += 1
        return
    tally.losses += 1
    missed = tally.missed
    with ctx.workprec(BITS):
        for key, output in examined.known.analysis.items():
            for number, ball in enumerate(np.asarray(examined.true[key], object).ravel()):
                high, low, radius = (float(part.ravel()[number]) for part in output.enclosure.parts)
                tally.entries += 1
                tally.unbounded += not np.isfinite(radius)
                if np.isfinite(radius) and outside(arb(ball), high, low, radius):
                    if tally.missed == missed:  # later ones may follow from the first
                        seen.complain("enclosure missed", examined, f"{key}, entry {number}: {high} ± {radius}: {ball}")
                    tally.missed += 1


def outside(ball: arb, high: float, low: float, radius: float) -> bool:
    """Whether the truth is certainly not in (high + low) ± radius; NaN is in none."""
    return not ball.is_finite() or bool(abs(ball - arb(high) - arb(low)) > arb(radius))


def by_hand(examined: Examined, seen: Seen) -> None:
    """The correct answer in NumPy, and one with an error planted into it."""
    program, inputs = examined.loss.program, examined.case.inputs
    with np.errstate(all="ignore"):
        correct = evaluate(program, inputs)
    judgement = count(examined, BY_HAND, as_answer(correct), seen)
    if judgement.verdict is not Verdict.AGREES or examined.true is None or examined.known.analysis.ties:
        return
    rng = np.random.default_rng(examined.loss.seed)
    number = int(rng.integers(len(program.steps)))
    operand = int(rng.choice(program.floats_of(program.steps[number])))
    fault = Fault(number, operand, float(10 ** rng.uniform(-14 if examined.case.dtype == "float64" else -6, 0)))
    with np.errstate(all="ignore"):
        plant(examined, fault, judgement, evaluate(program, inputs, fault), examined.true, seen)


def plant(
    examined: Examined,
    fault: Fault,
    clean: Judgement,
    wrong: Mapping[Key, Array],
    true: Mapping[Key, Array],
    seen: Seen,
) -> None:
    """Judge an answer with a planted error: found where it is beyond the stated power, and at its step."""
    tally = seen.planted.setdefault(examined.case.dtype, Planted())
    judgement = judge(as_answer(wrong), examined.known, "rounding")
    found = judgement.verdict is Verdict.DIFFERS
    tally.planted += 1
    tally.found += found
    if any(
        promised(wrong[key], true[key], examined.known.analysis[key].enclosure, clean.errors[str(key[1])].power)
        for key in wrong
        if key[0] == "gradient"
    ):
        tally.beyond_power += 1
        tally.missed += not found
        if not found:
            seen.complain("planted error missed", examined, f"{fault}: {judgement.verdict}: {judgement.reason}")
    if judgement.first_wrong:
        tally.named += 1
        right = (judgement.first_wrong.kind, judgement.first_wrong.name) in shown_by(examined.loss.program, fault)
        tally.step_right += right
        if not right:
            seen.complain("another step named", examined, f"{fault}: {judgement.reason}")


def promised(wrong: Array, true: Array, enclosure: Enclosure, power: DetectionPower) -> bool:
    """Whether the stated power promises to find an error.

    Of the entries that are known not to be zero more than one in a hundred is off by twice the stated size. Twice,
    since the truth may lie elsewhere in the enclosure than its middle; its radius is no larger than what is refused.

    Args:
        wrong: the gradient with the error.
        true: the gradient in Arb balls.
        enclosure: of the gradient.
        power: what was stated of a correct answer.
    """
    sure = (np.abs(enclosure.high) > enclosure.radius).ravel()
    pairs = [(arb(float(got)), arb(ball)) for got, ball in zip(wrong.ravel()[sure], np.ravel(true)[sure], strict=True)]
    off = sum(not bool(abs(got - ball) <= 2 * power.percentile_99 * abs(ball)) for got, ball in pairs)
    return power.percentile_99 < np.inf and off > (len(pairs) - 1) // 100


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


def as_answer(arrays: Mapping[Key, Array]) -> BackendAnswer:
    """Arrays as a backend's answer."""
    groups: dict[str, dict[str, Array]] = {"value": {}, "adjoint": {}, "gradient": {}}
    for (kind, name), array in arrays.items():
        if name is not None:
            groups[kind][name] = array
    return BackendAnswer(arrays["loss", None], groups["gradient"], groups["value"], groups["adjoint"])


def count(examined: Examined, name: str, answer: BackendAnswer, seen: Seen) -> Judgement:
    """Judge a correct answer, as it is and without its watched values; the judgement of it as it is."""
    alone = replace(answer, values={}, adjoints={})
    judgements = [judge(given, examined.known, "rounding") for given in (answer, alone)]
    for judgement in judgements:
        tally = seen.tallies.setdefault((name, examined.case.dtype), Tally())
        tally.answers += 1
        tally.entries += sum(array.size for array in answer.gradients.values())
        if judgement.verdict is Verdict.DIFFERS:
            tally.false_alarms += 1
            seen.complain(f"false alarm: {name}", examined, f"{judgement.evidence}: {judgement.reason}")
        elif judgement.undefined:
            tally.undefined += 1
        elif judgement.verdict is Verdict.UNDECIDED:
            tally.undecided += 1
            seen.reasons[examined.case.dtype, why(judgement, answer)] += 1
    return judgements[0]


def why(judgement: Judgement, answer: BackendAnswer) -> str:
    """Why a correct answer is undecided, and whether it really overflowed."""
    arrays = (answer.loss, *answer.gradients.values(), *answer.values.values(), *answer.adjoints.values())
    reason = str(judgement.reason)
    summary = ", ".join(each for each in REASONS if each in reason) or reason
    return summary if all(np.isfinite(array).all() for array in arrays) else f"{summary}: it overflowed"


def tables(seen: Seen) -> list[Table]:
    """The tables of counts."""
    answers: list[dict[str, Cell]] = [
        {
            "backend": name,
            "dtype": dtype,
            "answers": tally.answers,
            "unsupported": tally.unsupported,
            "entries": tally.entries,
            "false alarms": tally.false_alarms,
            "no true value": tally.undefined,
            "undecided": tally.undecided,
            "undecided %": 100 * tally.undecided / max(tally.answers - tally.undefined, 1),
        }
        for (name, dtype), tally in seen.tallies.items()
    ]
    reasons: list[dict[str, Cell]] = [
        {"dtype": dtype, "reason": summary, "answers": n} for (dtype, summary), n in seen.reasons.most_common()
    ]
    failures: list[dict[str, Cell]] = [
        {"backend": name, "dtype": dtype, "reason": reason[:120], "losses": n}
        for (name, dtype, reason), n in seen.failures.most_common()
    ]
    return [
        Table("Enclosures of random losses", [in_columns(dtype, each) for dtype, each in seen.enclosures.items()]),
        Table("Correct answers to random losses, with watched values and without", answers),
        Table("Errors planted into random losses", [in_columns(dtype, each) for dtype, each in seen.planted.items()]),
        Table("Why correct answers stay undecided", reasons),
        Table("Why engines gave no answer", failures),
        Table("To look into", shown_complaints(seen.complaints)),
    ]


def in_columns(dtype: str, counts: Enclosures | Planted) -> dict[str, Cell]:
    """Counts as a row."""
    return {"dtype": dtype, **{name.replace("_", " "): number for name, number in vars(counts).items()}}


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
        click.Option(["--losses"], default=13_000, help="How many.  [default: 13000]"),
        click.Option(["--answers"], default=3_000, help="For how many of them engines run.  [default: 3000]"),
        click.Option(["--narrow"], default=500, help="For how many in float16 and bfloat16 too.  [default: 500]"),
        click.Option(["--engine"], multiple=True, default=ENGINES, help="Which.  [default: torch, autograd]"),
        click.Option(["--first"], default=0, help="The first seed.  [default: 0]"),
    )()
