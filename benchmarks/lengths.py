"""The cost of a long loss: a recurrent network that reads its inputs step by step, and a chain of values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.common import Table, command
from benchmarks.timing import MILLISECONDS, median, peak_memory
from gradcheck.oracle import Format, Tape, analyse, record

WIDTH = 64
REPEATS = 3
ENTRIES = 4
"""Entries of a value of the chain: so few that the cost is that of a node."""


def lengths(small: bool) -> list[Table]:
    """Time and memory of recording a long loss, and of its analysis in float64."""
    return [
        recurrent((50, 100) if small else (250, 500, 1000, 2000), 8 if small else WIDTH),
        chains((10, 100) if small else (10, 100, 1000, 5000)),
    ]


def recurrent(steps: Iterable[int], width: int) -> Table:
    """h = tanh(W h + U X[t]), step by step: every row of X is read once."""
    table = Table(f"A recurrent network of width {width} (medians of {REPEATS})")
    for number in steps:
        shapes = {"W": (width, width), "U": (width, width), "X": (number, width), "h": (width,)}
        recorded = partial(record, partial(network, number), shapes, ("W", "U", "X"))
        rng = np.random.default_rng(0)
        inputs = {name: rng.uniform(-1, 1, shape) / np.sqrt(width) for name, shape in shapes.items()}
        walk = analysis_of(recorded(), inputs)
        peak = peak_memory(walk) / 2**20
        table.rows.append({
            "steps": number,
            "seconds to record": median(recorded, REPEATS),
            "seconds to analyse": median(walk, REPEATS),
            "peak MiB": peak,
            "KiB for each step": 1024 * peak / number,
        })  # fmt: skip
    return table


def network(steps: int, ops: Any, W: Any, U: Any, X: Any, h: Any) -> Any:
    """The sum of the squares of the last state."""
    for number in range(steps):
        h = ops.tanh(W @ h + U @ X[number])
    return ops.sum(h * h)


def chains(sizes: Iterable[int]) -> Table:
    """tanh(tanh(…)), every value watched."""
    table = Table(f"Milliseconds for each node of a chain of watched values (medians of {REPEATS})")
    for size in sizes:
        recorded = partial(record, partial(chain, size), {"x": (ENTRIES,)}, ("x",))
        tape = recorded()
        walk = analysis_of(tape, {"x": np.full(ENTRIES, 0.5)})
        walk()
        table.rows.append({
            "values": size,
            "nodes": len(tape.nodes),
            "recording": median(recorded, REPEATS) * MILLISECONDS / len(tape.nodes),
            "analysis": median(walk, REPEATS) * MILLISECONDS / len(tape.nodes),
        })  # fmt: skip
    return table


def chain(size: int, ops: Any, x: Any) -> Any:
    """The sum of the last value."""
    for number in range(size):
        x = ops.watch(f"x{number}", ops.tanh(x))
    return ops.sum(x)


def analysis_of(tape: Tape, inputs: dict[str, np.ndarray[Any, Any]]) -> Callable[[], object]:
    """The analysis of a case in float64, to be called."""
    return partial(analyse, tape, inputs, Format.of("float64"))


if __name__ == "__main__":
    command(lengths)()
