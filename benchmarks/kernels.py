"""Mistakes in functions with a backward pass by hand: who finds them, who refuses correct ones, and how long it takes.

Twelve functions, each correct and with four mistakes. In PyTorch `gradcheck.torch.check` checks them,
`torch.autograd.gradcheck`, and two rules of tests of kernels; in JAX `gradcheck.jax.check` and
`jax.test_util.check_grads`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from benchmarks.common import ROOT, Cell, Table, command, selection_of
from gradcheck.execution.environments import scrubbed

PACKAGES = Path(msgspec.__file__).parents[1]
DTYPES = ("float64", "float32", "bfloat16")
FRAMEWORKS = {"PyTorch": ("torch", "kernel_checkers", DTYPES), "JAX": ("jax", "jax_kernels", DTYPES[:2])}
"""Each with its engine, the module that measures in its interpreter, and its dtypes."""
CORRECT = "correct"
Outcomes = list[dict[str, Any]]


def kernels(small: bool, seeds: int, frameworks: Sequence[str]) -> list[Table]:
    """Kernels with and without mistakes, beside the framework's own checks and the rules of kernels' tests."""
    tables = []
    for framework in frameworks:
        engine, module, dtypes = FRAMEWORKS[framework]
        chosen = (dtypes[0], dtypes[-1]) if small else dtypes
        outcomes = measured(engine, module, chosen, 1 if small else seeds, 1 if small else 12)
        title = "Kernels refused: the false refusals of correct ones, and the mistakes found"
        unexpected = "To look into: correct ones that this tool does not accept, and mistakes that it does not refuse"
        tables += [
            Table(f"{framework}. {title}", rows_of(outcomes)),
            Table(f"{framework}. Median milliseconds of a check", milliseconds(outcomes)),
            Table(f"{framework}. {unexpected}", missed(outcomes)),
            Table(f"{framework}. No verdict", failures(outcomes)),
        ]
    return tables


def measured(engine: str, module: str, dtypes: Sequence[str], seeds: int, functions: int) -> Outcomes:
    """The outcomes of every checker, measured by the interpreter that has the framework.

    Raises:
        click.ClickException: that interpreter has another Python, which cannot import this one's packages.
    """
    python = selection_of([engine]).places[engine].python
    # The packages of this interpreter come last, so that the framework keeps its NumPy.
    code = f"import sys; sys.path.append({str(PACKAGES)!r}); from benchmarks.{module} import main; main()"
    arguments = [str(seeds), str(functions), *dtypes]
    done = subprocess.run(
        [python, "-c", code, *arguments], cwd=ROOT, env=scrubbed(os.environ), stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise click.ClickException(f"{python} cannot measure: its error is above")
    found: Outcomes = json.loads(done.stdout)
    return found


def rows_of(outcomes: Outcomes) -> list[dict[str, Cell]]:
    """A row for each dtype and mistake. A mistake that changes no bit of an answer does not count."""
    rows = []
    for dtype, planted in dict.fromkeys((each["dtype"], each["planted"]) for each in outcomes):
        found = [each for each in outcomes if (each["dtype"], each["planted"]) == (dtype, planted)]
        counted = [each for each in found if planted == CORRECT or each["size"]]
        ours = [each for each in counted if each["checker"] == "this tool"]
        sizes = [each["size"] for each in ours]
        row: dict[str, Cell] = {"dtype": dtype, "planted": planted, "cases": len(ours)}
        row["spacings"] = None if planted == CORRECT or not sizes else statistics.median(sizes)
        refusals = Counter(each["checker"] for each in counted if each["verdict"] == "differ")
        row |= {"this tool": refusals["this tool"], "undecided": sum(each["verdict"] == "undecided" for each in ours)}
        rows.append(row | {checker: refusals[checker] for checker in dict.fromkeys(each["checker"] for each in found)})
    return rows


def milliseconds(outcomes: Outcomes) -> list[dict[str, Cell]]:
    """The median of each checker by dtype."""
    rows = []
    for dtype in dict.fromkeys(each["dtype"] for each in outcomes):
        row: dict[str, Cell] = {"dtype": dtype}
        found = [each for each in outcomes if each["dtype"] == dtype]
        for checker in dict.fromkeys(each["checker"] for each in found):
            row[checker] = statistics.median(each["milliseconds"] for each in found if each["checker"] == checker)
        rows.append(row)
    return rows


def missed(outcomes: Outcomes) -> list[dict[str, Cell]]:
    """The functions by dtype, mistake and verdict, with the largest size of a mistake."""
    rows: dict[tuple[str, str, str, str], float] = {}
    for each in outcomes:
        expected = "agree" if each["planted"] == CORRECT or not each["size"] else "differ"
        if each["checker"] == "this tool" and each["verdict"] != expected:
            key = each["dtype"], each["planted"], each["function"], each["verdict"]
            rows[key] = max(rows.get(key, 0.0), each["size"])
    return [
        {"dtype": dtype, "planted": planted, "function": function, "this tool": found, "spacings": size}
        for (dtype, planted, function, found), size in rows.items()
    ]


def failures(outcomes: Outcomes) -> list[dict[str, Cell]]:
    """Why a checker has no verdict."""
    reasons = Counter(
        (each["checker"], each["dtype"], each["reason"].partition("\n")[0])
        for each in outcomes
        if each["verdict"] not in ("agree", "differ", "undecided")
    )
    return [
        {"checker": checker, "dtype": dtype, "reason": reason, "cases": cases}
        for (checker, dtype, reason), cases in reasons.items()
    ]


if __name__ == "__main__":
    seeds = click.Option(["--seeds"], default=2, show_default=True, help="Draws of each function's inputs.")
    frameworks = click.Option(
        ["--framework", "frameworks"], type=click.Choice(list(FRAMEWORKS)), multiple=True, default=list(FRAMEWORKS),
        show_default=True, help="May be given twice.",
    )  # fmt: skip
    command(kernels, seeds, frameworks)()
