"""`gradcheck verify`."""

from __future__ import annotations

from typing import Any

import click

from gradcheck.cli._completion import files
from gradcheck.cli._listener import TerminalListener
from gradcheck.cli._options import option
from gradcheck.text.escaping import escaped


@click.command("verify", short_help="Judge gradients that were computed elsewhere.")
@click.argument("record", nargs=-1, required=True, metavar="RECORD...", shell_complete=files)
@option("gate")
@option("allow")
@option("format")
@option("report", help="Write a report to a file too (one RECORD only).")
@option("details")
@option("show_gradients")
@option("problem", default=None, help="The problem, a name or a file, in place of the one that the record names.")
@option("timeout", help="Time limit for code of the problem's file.")
@click.option("--trust", is_flag=True, help="Run the file that a record names even if it is not beside the record.")
def command(
    record: tuple[str, ...],
    gate: str,
    allow: str,
    format: str,
    report: tuple[str, ...],
    details: bool,
    show_gradients: bool,
    problem: str | None,
    timeout: float,
    trust: bool,
) -> int:
    """Judge gradients that were computed elsewhere: each RECORD is a .json or .npz file.

    \b
    It holds   problem   a problem's name, or the path of its file from the record's folder
               inputs    the inputs by name
               answers   by name: dtype, loss, gradients; and if known values and adjoints of
                         watched values, and printed: {"decimals": 4} or {"significant": 8}

    A problem's file is code. gradcheck runs a file that lies beside the record, and reports that on standard error. Any
    other file needs --trust, or --problem.
    """
    from pathlib import Path

    from gradcheck import reports
    from gradcheck.errors import RequestError
    from gradcheck.results import RunVerdict
    from gradcheck.runs import verify

    def notice(text: str) -> None:
        click.echo(f"gradcheck: {escaped(text)}", err=True)

    if report and len(record) > 1:
        raise RequestError(f"--report {report[0]}: {len(record)} records: expected one with --report")
    destinations = reports.destinations(format, report)
    with TerminalListener() as listener:
        options: dict[str, Any] = {"problem": problem, "trust": trust, "timeout": timeout, "running": notice}
        found = [verify.verify_file(Path(path), gate, **options, building=listener).allowing(allow) for path in record]
    view = reports.View(details, show_gradients)
    for each in found:
        for destination in destinations:
            destination.write(each, view)
    verdict = RunVerdict.of([backend.verdict for each in found for backend in each.backends])
    return 0 if verdict == allow else verdict.exit_code
