"""The cost of a check: in passes of torch, beside the checkers of torch and JAX, alone, in a small run, of models."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.common import Table, answer, command, draw, problem, selection_of
from benchmarks.models import models, on_a_device
from benchmarks.peers import Peers
from benchmarks.timing import MILLISECONDS, REPEATS, median, peak_memory, timed
from gradcheck.judging.judge import judge, truth
from gradcheck.oracle import Format
from gradcheck.results import Verdict
from tests.recorded import record_tape

IN_TURN = 7
BACKENDS_OF_A_RUN = 4
# Slow gradcheck takes K⁴ steps: above this size it is run once.
LARGEST_REPEATED = 128


def cost(small: bool) -> list[Table]:
    """Time and memory of the whole check of one backend, in this process, of others' checkers, and on a device."""
    sizes = (8, 16, 32) if small else (16, 32, 64, 128, 256)
    large = (64, 256) if small else (256, 1024, 2048, 4096)
    passes = in_passes((64, 256) if small else (16, 64, 1024, 2048))
    return [passes, beside(sizes), alone(large), small_run(), *models(small), on_a_device(64 if small else 1024)]


def in_passes(sizes: Iterable[int]) -> Table:
    """This check in units of one forward and one backward pass of torch, in turn."""
    table = Table(f"Milliseconds, and how many passes of torch a check takes (medians of {IN_TURN})")
    with Peers(selection_of(["torch"]).places["torch"].python) as peers:
        for dtype in ("float32", "float64"):
            for k in sizes:
                check, inputs = prepared(k, dtype), draw(k, dtype).inputs
                peers.call("passes_of_torch", inputs)  # the first is slower
                turns = [(timed(check), peers.call("passes_of_torch", inputs)) for _ in range(IN_TURN)]
                ours, theirs = (statistics.median(seconds) for seconds in zip(*turns, strict=True))
                table.rows.append({
                    "dtype": dtype,
                    "K": k,
                    "this check": ours * MILLISECONDS,
                    "passes of torch": theirs * MILLISECONDS,
                    "this / passes": ours / theirs,
                })  # fmt: skip
    return table


def beside(sizes: Iterable[int]) -> Table:
    """This check, torch's and JAX's, on the same float64 loss."""
    table = Table(f"Milliseconds for one backend in float64 (medians of {REPEATS})")
    places = selection_of(["torch", "jax"]).places
    with Peers(places["torch"].python) as peers, Peers(places["jax"].python) as of_jax:
        for k in sizes:
            check, inputs = prepared(k, "float64"), draw(k, "float64").inputs
            peers.call("gradcheck_of_torch", inputs, fast=True)  # the first is slower
            # In turn, so that other work on the machine affects both.
            turns = [(timed(check), peers.call("gradcheck_of_torch", inputs, fast=True)) for _ in range(REPEATS)]
            ours = statistics.median(seconds for seconds, _ in turns)
            fast, fast_passes = outcome([answered for _, answered in turns])
            of_jax.call("check_grads_of_jax", inputs)
            jax, jax_passes = outcome([of_jax.call("check_grads_of_jax", inputs) for _ in range(REPEATS)])
            slow_repeats = REPEATS if k <= LARGEST_REPEATED else 1
            slow, slow_passes = outcome(
                [peers.call("gradcheck_of_torch", inputs, fast=False) for _ in range(slow_repeats)]
            )
            table.rows.append({
                "K": k,
                "entries judged": 3 * k * k,
                "recording the tape": median(partial(record_tape, problem(), k)) * MILLISECONDS,
                "this check": ours * MILLISECONDS,
                "gradcheck, fast": fast * MILLISECONDS,
                "gradcheck, slow": slow * MILLISECONDS,
                "check_grads of JAX": jax * MILLISECONDS,
                "fast passes": fast_passes,
                "slow passes": slow_passes,
                "JAX passes": jax_passes,
                "fast / this": fast / ours,
                "slow / this": slow / ours,
            })  # fmt: skip
    return table


def outcome(answers: Sequence[Mapping[str, Any]]) -> tuple[float, str]:
    """The median of a peer's seconds, and whether it passes the gradient, which is correct."""
    passes = all(each["passes"] for each in answers)
    return statistics.median(each["seconds"] for each in answers), "yes" if passes else "no"


def alone(sizes: Iterable[int]) -> Table:
    """This check alone, with its memory in addition to inputs and answer."""
    table = Table(f"This check alone (medians of {REPEATS}; memory beside inputs and answer)")
    for dtype in ("float32", "float64"):
        for k in sizes:
            check = prepared(k, dtype)
            matrices = 3 * k * k * (4 if dtype == "float32" else 8)
            table.rows.append({
                "dtype": dtype,
                "K": k,
                "seconds": median(check),
                "peak MiB": (peak := peak_memory(check)) / 2**20,
                "in units of the three matrices": peak / matrices,
            })  # fmt: skip
    return table


def small_run() -> Table:
    """The oracle's part of a run of four backends at K = 3, after all imports."""
    case = draw(3, "float64")
    format, given = Format.of("float64"), answer(case)

    def oracle() -> None:
        known = truth(record_tape(problem(), 3), case.inputs, format)
        for _ in range(BACKENDS_OF_A_RUN):
            judge(given, known, "rounding")

    oracle()
    milliseconds = median(oracle, 10 * REPEATS) * MILLISECONDS
    return Table("A run at K = 3", [{"backends judged": BACKENDS_OF_A_RUN, "milliseconds": milliseconds}])


def prepared(k: int, dtype: str) -> Callable[[], None]:
    """The whole check of a correct answer, its tape recorded before; it has been run once."""
    case = draw(k, dtype)
    tape, given, format = record_tape(problem(), k), answer(case), Format.of(dtype)

    def check() -> None:
        judgement = judge(given, truth(tape, case.inputs, format), "rounding")
        assert judgement.verdict is Verdict.AGREES, judgement.reason

    check()
    return check


if __name__ == "__main__":
    command(cost)()
