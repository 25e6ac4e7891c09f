"""`gradcheck run`."""

from __future__ import annotations

from typing import Any

import click

from gradcheck.cli._descendants import DESCENDANTS
from gradcheck.cli._listener import TerminalListener


@click.command("run", short_help="Evaluate one case in every backend, and judge the answers.")
@click.argument("problem", required=False)
@click.option("--k", metavar="K", help="Size of the problem.  [default: 3]")
@click.option("--seed", metavar="N", help="Seed of the random inputs.  [default: 0]")
@click.option("--dtype", metavar="DTYPE", help="float64, float32, float16 or bfloat16.  [default: float64]")
@click.option(
    "-b", "--backend", multiple=True, metavar="SPEC",
    help="NAME, NAME==VERSION, NAME@/path/to/python or exec:/path/to/program; may be repeated.  [default: what the "
    "problem's file names, else its own gradients]",
)  # fmt: skip
@click.option(
    "--distribution", metavar="NAME",
    help="uniform, normal, saturated, tiny, mixed, zeros, unit-scaled, subnormal or cancelling.  [default: uniform]",
)  # fmt: skip
@click.option("--scale", metavar="FACTOR", help="Factor on all inputs.  [default: 1.0]")
@click.option("--inputs", metavar="FILE", help="Inputs from a .json or .npz file instead of a seed; they say K.")
@click.option("--device", metavar="NAME", help="Where engines compute: cpu, cuda or cuda:N.  [default: cpu]")
@click.option("--tf32", is_flag=True, help="Let float32 matrix products on the device round their operands to TF32.")
@click.option("--timeout", metavar="SECONDS", help="For a backend to start, and again to answer.  [default: 120]")
@click.option(
    "--gate", metavar="NAME",
    help="rounding: refuse what rounding cannot explain; formula: refuse wrong formulas, and not lost digits; "
    "proved: refuse proofs alone.  [default: rounding]",
)  # fmt: skip
@click.option("--no-build", is_flag=True, help="Never build an environment.")
@click.option("--show-gradients", is_flag=True, help="Print the gradients also above k = 4, up to k = 16.")
@click.option("--format", metavar="NAME", help="What goes to standard output: table or json.  [default: table]")
@click.option(
    "--report", multiple=True, metavar="PATH",
    help="Write a report to a file too, in the format of its ending; may be repeated.",
)  # fmt: skip
@click.option("--config", metavar="FILE", help="Settings from a TOML file, whose keys are these options' names.")
def command(config: str | None, **given: Any) -> int:
    """Evaluate one case of PROBLEM in every backend, and judge the answers.

    PROBLEM is a name from `gradcheck problems` or the path of a problem's file.  [default: sigmoid_skip]

    Settings come from pyproject.toml [tool.gradcheck], --config, GRADCHECK_* variables and options; the last counts.
    """
    import os
    from pathlib import Path

    from gradcheck import reports, settings
    from gradcheck.runs import runner

    flags = {name.replace("_", "-"): value for name, value in given.items() if value not in (None, (), False)}
    chosen = settings.load(flags, config, os.environ, Path.cwd())
    destinations = reports.destinations(chosen.format, chosen.report)
    DESCENDANTS.adopt()
    with TerminalListener() as listener:
        report = runner.run(chosen, listener)
    for destination in destinations:
        destination.write(report, chosen.show_gradients)
    return report.exit_code
