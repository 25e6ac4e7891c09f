"""How fast many cases are: cases a second in each way, the time to resume a finished store, and memory.

python -m benchmarks.sweep
"""

from __future__ import annotations

import contextlib
import itertools
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.common import PROBLEM, Cell, Table, command
from gradcheck import settings
from gradcheck.api import Logged, Session
from gradcheck.outcomes import CaseOutcome
from gradcheck.runs import sweep as runs
from gradcheck.runs.cluster import LOCAL, Cluster
from gradcheck.runs.jobs import Processes
from gradcheck.runs.many import Batches, Executor, OneProcess
from gradcheck.runs.plan import Plan, plan
from gradcheck.runs.runner import Runner

SIZES = (3, 16, 64)
BACKENDS = {"numpy": ("numpy",), "manual, numpy, torch, mxnet": ("manual", "numpy", "torch", "mxnet")}
CASES = {"numpy": 100, "manual, numpy, torch, mxnet": 40}
"""Cases of each way in each round."""
ROUNDS = 3
WARM = 8
STORED = 100_000
SEVERAL = 500
"""Outcomes that are stored in one transaction."""
MEASURED = (500, 1000, 2000)
MEBIBYTE = 1024  # ru_maxrss is in KiB on Linux


def planned(**options: Any) -> Plan:
    """The plan of many cases of the problem of all measurements."""
    return plan(settings.of({"problem": PROBLEM, **options}, many=True))


def measure(small: bool) -> list[Table]:
    """Measure cases a second, one at a time and together, resumed stores, and memory."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            memory(MEASURED[:1] if small else MEASURED),  # first, since it is that of the process so far
            rates(Path(folder), SIZES[:1] if small else SIZES, 1 if small else ROUNDS, small),
            resumed(Path(folder) / "finished.sqlite", SEVERAL if small else STORED),
        ]


def rates(folder: Path, sizes: tuple[int, ...], rounds: int, small: bool) -> Table:
    """Cases a second, medians over rounds in which the ways take turns."""
    table = Table("Cases a second, float64")
    for (name, backends), k in itertools.product(BACKENDS.items(), sizes):
        found: dict[str, list[float]] = {}
        with contextlib.ExitStack() as stack:
            ways = started(stack, folder, k, backends)
            for number, (way, rate) in itertools.product(range(rounds), ways.items()):
                count = WARM if small else CASES[name]
                found.setdefault(way, []).append(rate(range(number * count, (number + 1) * count)))
        row: dict[str, Cell] = {"backends": name, "k": k}
        table.rows.append(row | {way: median(each) for way, each in found.items()})
    return table


def started(
    stack: contextlib.ExitStack, folder: Path, k: int, backends: tuple[str, ...]
) -> dict[str, Callable[[range], float]]:
    """The rate of each way at some seeds; its workers have started."""
    session, runner = stack.enter_context(Session()), stack.enter_context(Runner(Logged()))
    first = planned(k=k, seed=range(WARM), backends=backends)
    alone = OneProcess(runner)
    two = stack.enter_context(contextlib.closing(Processes(2, first, Logged())))
    dask = stack.enter_context(contextlib.closing(Cluster(LOCAL, runner.problem, 2)))
    store = folder / f"{k}-{len(backends)}.sqlite"

    def one_at_a_time(seeds: range) -> float:
        began = time.perf_counter()
        for seed in seeds:
            session.check(PROBLEM, k=k, seed=seed, backends=backends)
        return len(seeds) / (time.perf_counter() - began)

    def way(executor: Executor, **options: Any) -> Callable[[range], float]:
        runs.sweep(first, executor, Logged())
        return lambda seeds: rate(planned(k=k, seed=seeds, backends=backends, **options), executor)

    one_at_a_time(range(1))
    return {
        "one at a time": one_at_a_time,
        "many": way(alone),
        "with a store": way(alone, store=str(store)),
        "2 processes": way(two),
        "Dask, 2 workers": way(dask),
    }


def rate(many: Plan, executor: Executor) -> float:
    """The cases a second of a plan."""
    began = time.perf_counter()
    return runs.sweep(many, executor, Logged()).cases / (time.perf_counter() - began)


def resumed(path: Path, count: int) -> Table:
    """The time of a run whose cases are all in its store; the outcomes of a few stand for those of all."""
    many = planned(k=1, seed=range(count), backends=["numpy"], store=str(path))
    with Runner(Logged()) as runner:
        few = planned(k=1, seed=range(WARM), backends=["numpy"])
        known = [outcome for batch in OneProcess(runner).outcomes(Batches(few)) for outcome in batch]
        with runs.opened(many) as store:
            assert store is not None, "the plan has one"
            cases = outcomes_like(known, many)
            while some := list(itertools.islice(cases, SEVERAL)):
                store.add(some)
        began = time.perf_counter()
        summary = runs.sweep(many, OneProcess(runner), Logged())
        seconds = time.perf_counter() - began
    row: dict[str, Cell] = {"cases": count, "stored before": summary.stored, "seconds": seconds}
    row["cases a second"] = count / seconds
    row["store, MiB"] = path.stat().st_size / 2**20
    return Table("A finished store, k = 1, numpy", [row])


def outcomes_like(known: list[CaseOutcome], many: Plan) -> Iterator[CaseOutcome]:
    """Outcomes of all cases of a plan, by those of some."""
    for case, outcome in zip(many, itertools.cycle(known), strict=False):
        yield msgspec.structs.replace(outcome, key=case.key, seed=case.values["seed"])


class Memory(Logged):
    """Notes the largest memory of this process after some numbers of cases."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        self.largest: dict[int, float] = {}
        self._numbers = numbers

    def progress(self, done: int, total: int) -> None:
        """Some of all cases have an outcome."""
        for number in self._numbers:
            if done >= number:
                self.largest.setdefault(number, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE)


def memory(numbers: tuple[int, ...]) -> Table:
    """The largest memory of this process so far after some cases of one run."""
    listener = Memory(numbers)
    with Runner(listener) as runner:
        runs.sweep(planned(k=3, seed=range(numbers[-1]), backends=["numpy"]), OneProcess(runner), listener)
    rows: list[dict[str, Cell]] = [{"cases": number, "MiB": listener.largest[number]} for number in numbers]
    return Table("Largest memory after some cases of one run, k = 3, numpy", rows)


def median(values: list[float]) -> float:
    """The median."""
    return sorted(values)[len(values) // 2]


main = command(measure)

if __name__ == "__main__":
    main()
