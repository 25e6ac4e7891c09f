"""`gradcheck schema`."""

from __future__ import annotations

import click


@click.command("schema", short_help="Print the JSON Schema of reports, summaries or graphs.")
@click.argument("of", type=click.Choice(["report", "summary", "graph"]), default="report")
def command(of: str) -> None:
    """Print the JSON Schema of reports, of summaries of many cases, or of graphs.

    `gradcheck problems show NAME --graph` prints a graph.
    """
    from gradcheck.graphs import graph
    from gradcheck.outcomes import Summary
    from gradcheck.reports import json

    printed = {"report": json.schema, "summary": lambda: json.schema(Summary), "graph": graph.schema}
    click.echo(printed[of](), nl=False)
