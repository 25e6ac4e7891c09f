"""`gradcheck run`."""

from __future__ import annotations

from typing import Any

import click

from gradcheck.cli._descendants import DESCENDANTS
from gradcheck.cli._listener import TerminalListener
from gradcheck.cli._options import every_option, given, reader
from gradcheck.settings import OPTIONS

HELP = f"""Evaluate one case of PROBLEM in every backend, and judge the answers.

PROBLEM: {OPTIONS["problem"].command_help}

Settings come from pyproject.toml [tool.gradcheck], --config, GRADCHECK_* variables and options; the last counts.
"""


@click.command("run", short_help="Evaluate one case in every backend, and judge the answers.", help=HELP)
@click.argument("problem", required=False, type=reader(OPTIONS["problem"]))
@every_option
@click.option("--config", metavar="FILE", help="Settings from a TOML file, whose keys are these options' names.")
@click.pass_context
def command(context: click.Context, /, config: str | None, **_: Any) -> int:
    """Evaluate one case, as `HELP` says."""
    import os
    from pathlib import Path

    from gradcheck import reports, settings
    from gradcheck.runs import runner

    chosen = settings.load(given(context), config, os.environ, Path.cwd())
    destinations = reports.destinations(chosen.format, chosen.report)
    DESCENDANTS.adopt()
    with TerminalListener() as listener:
        report = runner.run(chosen, listener)
    for destination in destinations:
        destination.write(report, chosen.show_gradients)
    return report.exit_code
