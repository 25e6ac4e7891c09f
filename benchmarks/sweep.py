"""How fast many cases are: cases a second, the time to resume a finished store, and memory.

python -m benchmarks.sweep
"""

from __future__ import annotations

import contextlib
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import PROBLEM, Cell, Table, command
from gradcheck import settings
from gradcheck.api import Logged, Session
from gradcheck.runs.jobs import Processes
from gradcheck.runs.many import OneProcess
from gradcheck.runs.plan import Plan, plan
from gradcheck.runs.runner import Runner
from gradcheck.runs.sweep import sweep

SIZES = (3, 16, 64)
BACKENDS = {"one NumPy backend": ("numpy",), "four backends": ("manual", "numpy", "torch", "mxnet")}
ROUNDS = 3
MEBIBYTE = 1024  # ru_maxrss is in KiB on Linux


def planned(**options: Any) -> Plan:
    """The plan of many cases of the problem of all measurements."""
    return plan(settings.of({"problem": PROBLEM, **options}, many=True))


def measure(small: bool) -> list[Table]:
    """Measure cases a second, one at a time and many together, with a store, and with two processes."""
    count = 40 if small else 1000
    tables = [rates(count, 1 if small else ROUNDS, SIZES[:1] if small else SIZES)]
    with tempfile.TemporaryDirectory() as folder:
        tables.append(with_store(Path(folder) / "s.sqlite", count if small else 100_000))
    return tables


def rates(count: int, rounds: int, sizes: tuple[int, ...]) -> Table:
    """Cases a second, medians over rounds in which the ways take turns."""
    table = Table("Cases a second, float64")
    for name, backends in BACKENDS.items():
        for k in sizes:
            found: dict[str, list[float]] = {}
            for number in range(rounds):
                for way, rate in of_ways(k, backends, count // (4 if len(backends) > 1 else 1), number):
                    found.setdefault(way, []).append(rate)
            row: dict[str, Cell] = {"backends": name, "k": k}
            table.rows.append(row | {way: median(each) for way, each in found.items()})
    return table


def of_ways(k: int, backends: tuple[str, ...], count: int, number: int) -> Iterator[tuple[str, float]]:
    """The rate of each way; workers have started before."""
    seeds = range(number * count, (number + 1) * count)
    with Session() as session:
        session.check(PROBLEM, k=k, backends=backends)
        began = time.perf_counter()
        for seed in seeds[: max(count // 4, 10)]:
            session.check(PROBLEM, k=k, seed=seed, backends=backends)
        yield "one at a time", max(count // 4, 10) / (time.perf_counter() - began)
    many = planned(k=k, seed=seeds, backends=backends)
    with Runner(Logged()) as runner:
        runner.run(next(iter(many)).settings)
        yield "many", rate(many, OneProcess(runner))
    with contextlib.closing(Processes(2, many, Logged())) as processes:
        sweep(planned(k=k, seed=range(4), backends=backends), processes, Logged())
        yield "many, 2 processes", rate(many, processes)


def rate(many: Plan, executor: OneProcess | Processes) -> float:
    """The cases a second of a plan."""
    began = time.perf_counter()
    return sweep(many, executor, Logged()).cases / (time.perf_counter() - began)


def with_store(path: Path, count: int) -> Table:
    """A store of many cases: the rate, the time to resume it when it is finished, its size, and memory."""
    table = Table(f"A store of {count:,} cases at k = 1, one NumPy backend")
    for what in ("first run", "finished before"):
        with Runner(Logged()) as runner:
            many = planned(k=1, seed=range(count), backends=["numpy"], store=str(path))
            began = time.perf_counter()
            sweep(many, OneProcess(runner), Logged())
            seconds = time.perf_counter() - began
        table.rows.append(
            {
                "run": what,
                "seconds": seconds,
                "cases a second": count / seconds,
                "largest memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE,
                "store, MiB": path.stat().st_size / 2**20,
            }
        )
    return table


def median(values: list[float]) -> float:
    """The median."""
    return sorted(values)[len(values) // 2]


main = command(measure)

if __name__ == "__main__":
    main()
