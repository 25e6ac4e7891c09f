"""`gradcheck schema`."""

from __future__ import annotations

import click


@click.command("schema", short_help="Print the JSON Schema of the JSON report.")
def command() -> None:
    """Print the JSON Schema of the JSON report."""
    from gradcheck.reports import json

    click.echo(json.schema(), nl=False)
