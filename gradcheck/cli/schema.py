"""`gradcheck schema`."""

from __future__ import annotations

import click


@click.command("schema", short_help="Print the JSON Schema of the JSON report, of a summary, or of a graph.")
@click.argument("of", type=click.Choice(["report", "summary", "graph"]), default="report")
def command(of: str) -> None:
    """Print the JSON Schema of the JSON report, of the summary of many cases, or of a graph.

    `gradcheck problems show NAME --graph` prints a graph.
    """
    from gradcheck.graphs import graph
    from gradcheck.outcomes import Summary
    from gradcheck.reports import json

    printed = {"report": json.schema, "summary": lambda: json.schema(Summary), "graph": graph.schema}
    click.echo(printed[of](), nl=False)
