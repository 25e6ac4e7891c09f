"""`gradcheck report`."""

from __future__ import annotations

from pathlib import Path

import click

from gradcheck.cli._options import option


@click.command("report", short_help="Print reports again, or merged, from stores and JSON.")
@click.argument("file", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@option("format")
@option("report", help="Write the report to a file too, in the format that its ending names.")
@option("details")
@option("show_gradients")
@option("store", help="Add the outcomes to a store.")
def command(
    file: tuple[Path, ...],
    format: str,
    report: tuple[str, ...],
    details: bool,
    show_gradients: bool,
    store: str | None,
) -> int:
    """Print the report of each FILE again, in any format: a JSON report of `gradcheck run`, or a store.

    The outcomes of several files, such as the parts of a run on several machines, are merged to one summary.

    The exit code is that of the run.
    """
    from gradcheck import reports
    from gradcheck.runs import merging

    destinations = reports.destinations(format, report)
    found = merging.merged(file, Path(store) if store else None)
    view = reports.View(details, show_gradients)
    for destination in destinations:
        destination.write(found, view)
    return found.exit_code
