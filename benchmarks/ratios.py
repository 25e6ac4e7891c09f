"""What a check costs in units of the same work without it, beside recorded ratios; it fails where one grew by half."""

from __future__ import annotations

import compileall
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

import click

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy reads it when it is imported; idle threads take time too

from benchmarks.common import ROOT, Table, show
from benchmarks.models import Check

CASES = (
    ("sigmoid_skip", 3, "float64"),
    ("sigmoid_skip", 64, "float64"),
    ("sigmoid_skip", 1024, "float32"),
    ("sigmoid_skip", 1024, "float64"),
    ("gpt2_block", 8, "float64"),
    ("gpt2_block", 8, "float32"),
    ("residual_block", 4, "float64"),
    ("lstm", 8, "float64"),
)
RECORDED = ROOT / "benchmarks" / "ratios.json"
REPEATS = 7
TRIES = 3
"""How often a ratio that has grown is measured again, after all others: other work comes and goes."""
FACTOR = 1.5
Pair = tuple[Callable[[], object], Callable[[], object]]
"""A check, and the same work without it."""


@click.command(help=__doc__)
@click.option("--record", is_flag=True, help="Write the ratios to the file.")
@click.option("--only", default="", help="Measure only works whose name has this text.")
@click.argument("file", type=click.Path(path_type=Path), default=RECORDED)
def main(record: bool, only: str, file: Path) -> None:
    """Measure all ratios, print them, and exit with 1 if one has grown."""
    before: dict[str, float] = {} if record else json.loads(file.read_text())
    compileall.compile_dir(ROOT / "gradcheck", quiet=2)  # or commands do, where PYTHONDONTWRITEBYTECODE is set
    with tempfile.TemporaryDirectory() as folder:
        pairs = {work: pair() for work, pair in works(Path(folder)).items() if only in work}
        found = {work: ratio_of(*pair, TRIES * REPEATS if record else REPEATS) for work, pair in pairs.items()}
        for _ in range(TRIES):
            for work in grown(found, before):
                found[work] = min(found[work], ratio_of(*pairs[work]))
    rows = [{"work": work, "ratio": ratio, "recorded": before.get(work)} for work, ratio in found.items()]
    show(
        [Table(f"Seconds on the processor, in units of those of the work beside it (medians of {REPEATS} pairs)", rows)]
    )
    if record:
        file.write_text(json.dumps({work: float(f"{ratio:.3g}") for work, ratio in found.items()}, indent=1) + "\n")
    elif larger := grown(found, before):
        raise click.ClickException(
            f"{'; '.join(larger)}: more than {FACTOR:g} times the ratio in {file.name}: expected a check that costs no "
            "more, or, if it must, python -m benchmarks.ratios --record"
        )


def grown(found: Mapping[str, float], before: Mapping[str, float]) -> list[str]:
    """The works whose ratio is half as large again as it was."""
    return [work for work, ratio in found.items() if work in before and ratio > FACTOR * before[work]]


def works(folder: Path) -> Mapping[str, Callable[[], Pair]]:
    """Each work by its name: whole commands beside imports, and checks beside the gradients by hand that they judge."""
    file = folder / "layer.py"
    run = [sys.executable, "-m", "gradcheck"]
    subprocess.run([*run, "problems", "new", file], stdout=subprocess.DEVNULL, check=True)
    return {
        "run layer.py -b mine / import numpy": partial(started, [*run, "run", str(file), "-b", "mine"], "numpy"),
        "--help / import click": partial(started, [*run, "--help"], "click"),
    } | {
        f"check / gradient by hand of {name}, k = {k}, {dtype}": partial(checked, name, k, dtype)
        for name, k, dtype in CASES
    }


def started(words: list[str], module: str) -> Pair:
    """A command, beside an import in a process of its own."""
    start = partial(subprocess.run, stdout=subprocess.DEVNULL, check=True)
    return partial(start, words), partial(start, [sys.executable, "-c", f"import {module}"])


def checked(name: str, k: int, dtype: str) -> Pair:
    """A check, beside the gradient by hand that it judges."""
    check = Check(name, k, dtype)
    return check.judgement, check.by_hand


def ratio_of(ours: Callable[[], object], beside: Callable[[], object], repeats: int = REPEATS) -> float:
    """The median ratio of two functions' time on the processor, pair by pair: other work matters little to it."""
    ours()
    beside()  # the first calls are slower
    return median(processor_time(ours) / processor_time(beside) for _ in range(repeats))


def processor_time(function: Callable[[], object]) -> float:
    """The seconds on the processor of a call, in this process and in those that it waits for."""
    began = spent()
    function()
    return spent() - began


def spent() -> float:
    """The seconds on the processor of this process and of those that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
