"""`gradcheck schema`."""

from __future__ import annotations

import click


@click.command("schema", short_help="Print the JSON Schema of the JSON report, or of a graph.")
@click.argument("of", type=click.Choice(["report", "graph"]), default="report")
def command(of: str) -> None:
    """Print the JSON Schema of the JSON report, or of what `gradcheck problems show NAME --graph` prints."""
    if of == "graph":
        from gradcheck.graphs.graph import schema
    else:
        from gradcheck.reports.json import schema
    click.echo(schema(), nl=False)
