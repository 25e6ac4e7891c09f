"""What `--watch all` costs: warm checks with the named values watched, and with every step, in turn."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.common import PROBLEM, Table, command, selection_of
from benchmarks.timing import MILLISECONDS, timed
from gradcheck import problems
from gradcheck.api import Session, named
from gradcheck.problems.recording import graph_of

BACKENDS = ("numpy", "torch")
WIDTH = 64
REPEATS = 7


def watching(small: bool) -> list[Table]:
    """Milliseconds of whole checks in one session, of a hand-written gradient in NumPy and of PyTorch."""
    table = Table(f"Milliseconds for each check in float64 (medians of {REPEATS} pairs)")
    selection_of(["torch"])  # its environment is built now
    with Session() as session:
        for k in (3, 16) if small else (3, 64, 256):
            measure(table, session, f"{PROBLEM}, K = {k}", PROBLEM, {"k": k})
        steps, width = (20, 8) if small else (200, WIDTH)
        title = f"recurrent network, {steps} steps of width {width}"
        # Weights of that size: larger ones make its rounding errors grow from step to step.
        measure(table, session, title, recurrent(steps, width), {"scale": width**-0.5})
    return [table]


def measure(table: Table, session: Session, title: str, name: str, options: Mapping[str, Any]) -> None:
    """Add a problem's rows: one for each backend."""
    graph = graph_of(problems.load(name), options.get("k"))
    for backend in BACKENDS:
        check = partial(checked, session, name, backend, options)
        check("named")  # imports, and the tape
        check("all")
        pairs = [(timed(partial(check, "named")), timed(partial(check, "all"))) for _ in range(REPEATS)]
        few, every = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
        table.rows.append({
            "loss": title,
            "backend": backend,
            "named": len(graph.watched),
            "all": len(graph.watching_all().watched),
            "named, ms": few * MILLISECONDS,
            "all, ms": every * MILLISECONDS,
            "all / named": statistics.median(each / other for other, each in pairs),
        })  # fmt: skip


def checked(session: Session, name: str, backend: str, options: Mapping[str, Any], watch: str) -> None:
    """One check, of a correct gradient."""
    session.check(name, backends=[backend], watch=watch, **options).assert_agrees()


def recurrent(steps: int, width: int) -> str:
    """The file of h = tanh(W h + U X[t]), step by step, with its gradient in NumPy."""

    def network(ops: Any, W: Any, U: Any, X: Any, h: Any) -> Any:
        for number in range(steps):
            h = ops.tanh(W @ h + U @ X[number])
        return ops.sum(h * h)

    def backward(W: Any, U: Any, X: Any, h: Any) -> Any:
        import numpy as np

        states = [h]
        for row in X:
            states.append(np.tanh(W @ states[-1] + U @ row))
        dW, dU, dX, dh = np.zeros_like(W), np.zeros_like(U), np.zeros_like(X), 2 * states[-1]
        for number in reversed(range(steps)):
            dy = dh * (1 - states[number + 1] ** 2)
            dW += np.outer(dy, states[number])
            dU += np.outer(dy, X[number])
            dX[number] = U.T @ dy
            dh = W.T @ dy
        return np.sum(states[-1] ** 2), {"W": dW, "U": dU, "X": dX}

    shapes = {"W": (width, width), "U": (width, width), "X": (steps, width), "h": (width,)}
    return named(network, inputs=shapes, wrt=("W", "U", "X"), gradients={"numpy": backward})


if __name__ == "__main__":
    command(watching)()
