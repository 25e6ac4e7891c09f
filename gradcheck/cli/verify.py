"""`gradcheck verify`."""

from __future__ import annotations

import click

from gradcheck.text.escaping import escaped


@click.command("verify", short_help="Judge gradients that were computed elsewhere.")
@click.argument("record", nargs=-1, required=True, metavar="RECORD...")
@click.option(
    "--gate", metavar="NAME", default="rounding", show_default=True, help="rounding, formula or proved, as for `run`."
)
@click.option("--format", metavar="NAME", default="table", show_default=True, help="table or json.")
@click.option("--report", multiple=True, metavar="PATH", help="Write a report to a file too (one RECORD only).")
@click.option("--show-gradients", is_flag=True, help="Print the gradients also above k = 4, up to k = 16.")
@click.option("--problem", metavar="PROBLEM", help="The problem, whatever the record names: a name or a file.")
@click.option("--timeout", metavar="SECONDS", default="120", show_default=True, help="For code of the problem's file.")
@click.option("--trust", is_flag=True, help="Run the file that a record names also where it is not beside the record.")
def command(
    record: tuple[str, ...],
    gate: str,
    format: str,
    report: tuple[str, ...],
    show_gradients: bool,
    problem: str | None,
    trust: bool,
    timeout: str,
) -> int:
    """Judge gradients that were computed elsewhere: each RECORD is a .json or .npz file.

    \b
    It holds   problem   a problem's name, or the path of its file from the record's folder
               inputs    the inputs by name
               answers   by name: dtype, loss, gradients; and if known values and adjoints of
                         watched values, and printed: {"decimals": 4} or {"significant": 8}

    A problem's file is code, and is run. One that lies beside the record is run, which standard error says; any other
    one needs --trust, or --problem.
    """
    from pathlib import Path

    from gradcheck import reports, settings
    from gradcheck.errors import RequestError
    from gradcheck.results import RunVerdict
    from gradcheck.runs import verify

    def notice(text: str) -> None:
        click.echo(f"gradcheck: {escaped(text)}", err=True)

    if report and len(record) > 1:
        raise RequestError(f"--report {report[0]}: {len(record)} records: expected one with --report")
    settings.checked(settings.Given("gate", gate, f"--gate {gate}", is_text=True))
    seconds = settings.checked(settings.Given("timeout", timeout, f"--timeout {timeout}", is_text=True))
    destinations = reports.destinations(format, report)
    found = [
        verify.verify(Path(path), gate, problem=problem, trust=trust, timeout=seconds, running=notice)
        for path in record
    ]
    for each in found:
        for destination in destinations:
            destination.write(each, show_gradients)
    return RunVerdict.of([backend.verdict for each in found for backend in each.backends]).exit_code
