"""Seconds and memory of calls in this process."""

from __future__ import annotations

import multiprocessing
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPEATS = 5
MILLISECONDS = 1000.0


def median(function: Callable[[], object], repeats: int = REPEATS) -> float:
    """The median of several calls' seconds."""
    return statistics.median(timed(function) for _ in range(repeats))


def timed(function: Callable[[], object]) -> float:
    """The seconds of a call."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def peak_memory(function: Callable[[], object]) -> int:
    """The largest memory of a call, in bytes; NumPy reports its arrays to tracemalloc."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def peak_resident(make: Callable[..., Callable[[], object]], *arguments: object) -> int:
    """The largest resident memory of a call beyond that before it, in bytes, in a new process on Linux.

    It counts the memory of every library, and takes no time: tracemalloc would make each of Arb's balls slower.

    Args:
        make: what makes the function that is called; it has a name in a module.
        *arguments: of it.
    """
    context = multiprocessing.get_context("spawn")
    found = context.SimpleQueue()
    process = context.Process(target=_measure, args=(found, make, arguments))
    process.start()
    process.join()
    assert process.exitcode == 0, "it has said why"
    return int(found.get())


def _measure(found: Any, make: Callable[..., Callable[[], object]], arguments: tuple[object, ...]) -> None:
    function = make(*arguments)
    before = _status("VmRSS")
    function()
    found.put(_status("VmHWM") - before)


def _status(name: str) -> int:
    """A number of this process in bytes; getrusage's maximum would be that of its parent, if this is larger."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines[name].split()[0])
