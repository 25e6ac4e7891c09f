"""Correct answers of real engines compared with the oracle: their distance from a refusal.

e is an entry's error beyond the possible error of our own reference, s its typical deviation in a correct backend, and
the bound is the largest error of a correct backend; from end to end, and of each step from the backend's own earlier
values.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.common import PROBLEM, Table, command, draw, problem, selection_of
from gradcheck.answers import BackendAnswer
from gradcheck.execution import selection
from gradcheck.execution.messages import Request
from gradcheck.execution.pool import Pool
from gradcheck.execution.worker import Failure
from gradcheck.judging.judge import Truth, judge, truth
from gradcheck.oracle import stages
from gradcheck.problems.cases import DISTRIBUTIONS, Case
from gradcheck.results import Verdict
from gradcheck.runs import replaying
from gradcheck.settings import Settings
from tests.recorded import record_tape

Array = npt.NDArray[np.floating[Any]]

ENGINES = ("numpy", "torch", "mxnet")
DTYPES = ("float64", "float32")
SIZES = (1, 2, 3, 5, 8, 16, 33, 64, 128, 256)
SMALL_SIZES = (1, 3, 16)
TIMEOUT = 120.0
WAYS = ("end to end", "by step")
UNITS = ("e/s", "e/bound")
# No error at all, then by powers of two: 1 is a proof in units of the bound, 32 is refused in units of s.
EDGES = np.concatenate([[0.0, np.finfo(float).tiny], 2.0 ** np.arange(-10, 6), [np.inf]])
BAR = 40


@dataclass
class Tally:
    """The counts of one engine in one dtype."""

    cases: int = 0
    entries: int = 0
    unbounded: int = 0
    alarms: list[str] = field(default_factory=list)
    undecided: int = 0
    histograms: dict[tuple[str, str], npt.NDArray[np.int64]] = field(default_factory=dict)
    largest: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict)

    def add(self, way: str, unit: str, ratios: Array, where: str) -> None:
        """Add ratios."""
        counts = np.histogram(ratios, EDGES)[0]
        self.histograms[way, unit] = self.histograms.get((way, unit), 0) + counts
        self.largest[way, unit] = max(self.largest.get((way, unit), (0.0, "")), (float(ratios.max()), where))


def false_alarms(small: bool, entries: int) -> list[Table]:
    """Judge correct answers of engines, over dtypes, distributions, sizes and seeds."""
    tallies = {(engine, dtype): Tally() for engine in ENGINES for dtype in DTYPES}
    engines = selection_of(ENGINES)
    with contextlib.closing(Pool()) as pool:
        pool.start(engines.launches(), TIMEOUT)
        for turn in itertools.count():
            for case in round_of_cases(turn, small):
                evaluate(case, pool, tallies, {row.key: row for row in engines.backends})
            if small or sum(tally.entries for tally in tallies.values()) >= entries:
                break
    histograms = [histogram(unit, way, tallies) for unit in UNITS for way in WAYS]
    return [summary(tallies), places_of_largest(tallies), *histograms, alarms(tallies)]


def round_of_cases(turn: int, small: bool) -> Iterator[Case]:
    """Every distribution and size in every dtype, small sizes with more seeds; other seeds in every turn."""
    for k in SMALL_SIZES if small else SIZES:
        seeds = 1 if small else max(64 // k, 1)
        for dtype, name, seed in itertools.product(DTYPES, DISTRIBUTIONS, range(seeds)):
            yield draw(k, dtype, turn * seeds + seed, name)


def evaluate(
    case: Case, pool: Pool, tallies: Mapping[tuple[str, str], Tally], rows: Mapping[str, selection.Selected]
) -> None:
    """Evaluate a case in every engine, and judge the answers."""
    tape = record_tape(problem(), case.k)
    formats = {name: row.format(case.dtype) for name, row in rows.items()}
    truths = {format: truth(tape, case.inputs, format) for format in set(formats.values())}
    request = Request(problem().path, tape.graph, case.dtype, tape.wrt, case.inputs)
    for name, answer in pool.evaluate(request, list(rows)):
        if isinstance(answer, Failure):
            raise click.ClickException(f"{replay(case, name)}: {answer.reason}")
        known, tally = truths[formats[name]], tallies[name, case.dtype]
        tally.cases += 1
        # As it is, and like `gradcheck verify` with an answer without its watched values.
        for seen in (answer, replace(answer, values={}, adjoints={})):
            judgement = judge(seen, known, "rounding")
            if judgement.verdict is Verdict.DIFFERS:
                tally.alarms.append(f"{replay(case, name)}  # {judgement.reason}")
        tally.undecided += judge(answer, known, "rounding").verdict is Verdict.UNDECIDED
        with np.errstate(all="ignore"):
            collect(answer, known, tally, replay(case, name))


def collect(answer: BackendAnswer, known: Truth, tally: Tally, command: str) -> None:
    """Add the ratios of every entry of an answer."""
    arrays = dict(answer.arrays())
    for key, output in known.analysis.items():
        got = arrays[key]
        tally.entries += got.size
        tally.unbounded += int(np.count_nonzero(np.isinf(output.worst)))
        radius = output.enclosure.radius
        error = np.maximum(np.abs(output.enclosure.distance(got)) - radius, 0)
        where = f"{key[0]} {key[1] or ''}: {command}"
        add(tally, "end to end", error, output.spread, output.worst, where)
    for stage in stages(known.tape, known.inputs, known.format, arrays):
        where = f"{stage.kind} {stage.name or ''}: {command}"
        add(tally, "by step", stage.error, stage.spread, stage.bound, where)


def add(tally: Tally, way: str, error: Array, spread: Array, bound: Array, where: str) -> None:
    """Add errors in both units; an entry without a bound does not count."""
    for unit, allowed in zip(UNITS, (spread, bound), strict=True):
        tally.add(way, unit, np.where((error == 0) | np.isinf(allowed), 0.0, error / allowed), where)


def replay(case: Case, engine: str) -> str:
    """The command that runs one engine on a case again."""
    drawn = {name: getattr(case, name) for name in ("k", "seed", "dtype", "distribution")}
    return replaying.replay(Settings(problem=PROBLEM, backend=(engine,), **drawn), case.problem, case.k)


def summary(tallies: Mapping[tuple[str, str], Tally]) -> Table:
    """One row for each engine and dtype, and their totals."""
    table = Table("False alarms on correct answers")
    for (engine, dtype), tally in tallies.items():
        largest = {f"largest {unit} {way}": tally.largest[way, unit][0] for unit in UNITS for way in WAYS}
        table.rows.append({"engine": engine, "dtype": dtype, **counts(tally), **largest})
    columns = list(counts(Tally()))
    totals = {column: sum(int(row[column] or 0) for row in table.rows) for column in columns}
    table.rows.append({"engine": "all", "dtype": "", **totals})
    return table


def counts(tally: Tally) -> dict[str, int]:
    """The columns that are counts."""
    return {
        "cases": tally.cases,
        "entries": tally.entries,
        "false alarms": len(tally.alarms),
        "undecided": tally.undecided,
        "unbounded entries": tally.unbounded,
    }


def places_of_largest(tallies: Mapping[tuple[str, str], Tally]) -> Table:
    """Where the largest ratios are."""
    table = Table("Where the largest are")
    for unit, way in itertools.product(UNITS, WAYS):
        value, where = max(tally.largest[way, unit] for tally in tallies.values())
        table.rows.append({"ratio": f"{unit} {way}", "largest": value, "where": where})
    return table


def histogram(unit: str, way: str, tallies: Mapping[tuple[str, str], Tally]) -> Table:
    """How many entries have which ratio, over all engines and dtypes."""
    table = Table(f"{unit} {way}")
    total = np.sum([tally.histograms[way, unit] for tally in tallies.values()], axis=0)
    for low, high, count in zip(EDGES[:-1], EDGES[1:], total.tolist(), strict=True):
        label = "0" if low == 0 else f"{low if low > EDGES[1] else 0:.3g} to {high:.3g}"
        bar = "█" * round(BAR * count / max(total))
        table.rows.append({"ratio": label, "entries": count, "%": 100 * count / sum(total.tolist()), "": bar})
    return table


def alarms(tallies: Mapping[tuple[str, str], Tally]) -> Table:
    """Every false alarm with the command that shows it."""
    commands = [command for tally in tallies.values() for command in tally.alarms]
    return Table(f"Commands that show false alarms: {len(commands)}", [{"command": command} for command in commands])


if __name__ == "__main__":
    option = click.Option(["--entries"], default=5_000_000, help="How many to compare at least.  [default: 5000000]")
    command(false_alarms, option)()
