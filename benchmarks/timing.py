"""Seconds and memory of calls in this process."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable

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
