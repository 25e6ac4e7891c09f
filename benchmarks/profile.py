"""Where the time and the memory of a check go, stage by stage: in matrices of size K, and in whole models."""

from __future__ import annotations

import os
import signal
import time
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType, TracebackType

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy reads it when it is imported; idle threads take time too

import gradcheck
from benchmarks.common import PROBLEM, Cell, Table, command
from benchmarks.models import DTYPES, MODELS, Check
from gradcheck import problems, reports
from gradcheck.execution.engines import Spec
from gradcheck.judging.judge import judge, truth
from gradcheck.oracle import Format, tape_of
from gradcheck.problems import cases
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import wrt_of
from gradcheck.runs import assemble
from gradcheck.runs.sources import Sources

PACKAGE = Path(gradcheck.__file__).parent
OF_WALKS = ("running_error", "walks", "batches", "chains", "distribution", "factors", "outer")
STAGES = {
    "balls": ("oracle/balls",),
    "steps": ("oracle/stages",),
    "report": ("runs/", "reports/"),
    "pictures": ("judging/pictures",),
    "walk": tuple(f"oracle/{file}" for file in OF_WALKS),
    "bounds": ("oracle/analysis", "oracle/cancellation"),
    "comparison": ("judging/",),
    "recording": ("problems/recording", "oracle/tape", "graphs/"),
    "drawing": ("problems/cases", "problems/sampling"),
    "loading": ("problems/",),
}
"""The files of each stage; a call belongs to the first of these stages that it is within."""
IN_ORDER = ("loading", "drawing", "recording", "walk", "bounds", "steps", "comparison", "pictures", "balls", "report")
INTERVAL = 0.001
"""Seconds on the processor between two samples; a system may take longer ones."""
SIZES = (3, 64, 1024)
SECONDS = 2.0
"""Checks are repeated until they have taken as long."""


def profile(small: bool) -> list[Table]:
    """Milliseconds on the processor, and the largest memory, of each stage of a check in one process."""
    works = [(PROBLEM, k) for k in (SIZES[:2] if small else SIZES)]
    works += [(name, 3 if small else k) for name, k in MODELS.items()]
    times = Table("Milliseconds of a check on the processor, in each stage")
    memory = Table("Largest memory of a check, in each stage, in MiB")
    for name, k in works:
        for dtype in DTYPES:
            check = whole_check(name, k, dtype)
            check()
            work: dict[str, Cell] = {"problem": name, "K": k, "dtype": dtype}
            times.rows.append(work | spent(check, SECONDS / 10 if small else SECONDS))
            memory.rows.append(work | largest(check))
    return [times, memory]


def spent(check: Callable[[], None], seconds: float) -> dict[str, Cell]:
    """The milliseconds of each stage in one of several checks, which take some seconds together."""
    repeats, sampled = 0, Sampled()
    with sampled:
        while not repeats or sum(sampled.of.values()) < seconds:
            check()
            repeats += 1
    milliseconds = {stage: 1000 * sampled.of.get(stage, 0.0) / repeats for stage in IN_ORDER}
    return {"all": sum(milliseconds.values()), **milliseconds}


def largest(check: Callable[[], None]) -> dict[str, Cell]:
    """The largest memory in MiB while each stage runs, with what earlier ones have left; None if no sample met it."""
    with Peaks() as peaks:
        check()
    return {"all": max(peaks.of.values()), **{stage: peaks.of.get(stage) for stage in IN_ORDER}}


def whole_check(name: str, k: int, dtype: str) -> Callable[[], None]:
    """All of a check of the gradient by hand, without the worker: from the file of the problem to JSON."""
    answer = Check(name, k, dtype).answer

    def run() -> None:
        problem = problems.load(name)  # another one each time: its recording is kept
        case = cases.sample(problem, k, 0, dtype)
        tape = tape_of(graph_of(problem, k), wrt_of(problem, k)).at(case.inputs)
        known = truth(tape, case.inputs, Format.of(dtype))
        judgement = judge(answer, known, "rounding")
        sources = Sources(problem, tape.graph, "numpy")
        backend = assemble.answered(Spec("numpy"), case, answer, judgement, None, sources)
        report = assemble.report(case, "", known, [backend], {"numpy": answer}, {}, sources)
        reports.text(report, "json")

    return run


class Sampled:
    """A context that samples its calls: the seconds on the processor since the last sample are those of its stage.

    Attributes:
        of: the seconds of each stage.
    """

    def __init__(self) -> None:
        self.of: dict[str, float] = {}
        self._last = 0.0

    def __enter__(self) -> Sampled:
        self._last = time.process_time()
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        if stage := stage_of(frame):
            self.add(stage)

    def add(self, stage: str) -> None:
        """Add what has been spent since the last sample to a stage."""
        now = time.process_time()
        self.of[stage] = self.of.get(stage, 0.0) + now - self._last
        self._last = now


class Peaks(Sampled):
    """The same for the largest memory of each stage in MiB; NumPy reports its arrays to tracemalloc."""

    def __enter__(self) -> Peaks:
        tracemalloc.start()
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        tracemalloc.stop()

    def add(self, stage: str) -> None:
        """Take the largest memory since the last sample for that of a stage."""
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.reset_peak()
        self.of[stage] = max(self.of.get(stage, 0.0), peak)


def stage_of(frame: FrameType | None) -> str | None:
    """The stage of a call, by the files of all calls that it is within; None between two stages."""
    found = set()
    while frame is not None:
        found.add(stage_of_file(frame.f_code.co_filename))
        frame = frame.f_back
    return next((stage for stage in STAGES if stage in found), None)


@cache
def stage_of_file(file: str) -> str | None:
    """The stage of a file."""
    path = Path(file)
    place = path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else ""
    matching = (stage for stage, starts in STAGES.items() if place and place.startswith(starts))
    return next(matching, None)


if __name__ == "__main__":
    command(profile)()
