"""`gradcheck backends`."""

from __future__ import annotations

import click

from gradcheck.cli._listener import Listener


@click.group(
    "backends", short_help="List the engines, or build and remove their environments.", invoke_without_command=True
)
@click.pass_context
def command(context: click.Context) -> None:
    """List every engine: its version, where it would run, its dtypes, and whether it is ready or what is missing."""
    if context.invoked_subcommand is None:
        listing()


def listing() -> None:
    """Print two lines for each engine."""
    from gradcheck import runner
    from gradcheck.environments import Environment

    for engine, found in runner.listing():
        if isinstance(found, Environment):
            version, state, where = found.version or "", f"ready ({found.where})", str(found.python)
        else:
            version, state, where = engine.release, "missing", found.reason
        click.echo(f"{engine.name:12} {version:14} {state:18} {' '.join(engine.formats)}")
        click.echo(f"{'':12} {where}")


@command.command("build", short_help="Build an engine's environment.")
@click.argument("spec", metavar="NAME[==VERSION]", nargs=-1, required=True)
def build(spec: tuple[str, ...]) -> int:
    """Build the environment of each engine named, where it is not built yet."""
    from gradcheck import runner
    from gradcheck.environments import Environment
    from gradcheck.results import RunVerdict

    with Listener() as listener:
        built = runner.build(spec, listener)
    for name, where in built.items():
        click.echo(f"{name}: {where.python if isinstance(where, Environment) else f'unavailable: {where.reason}'}")
    complete = all(isinstance(where, Environment) for where in built.values())
    return (RunVerdict.AGREE if complete else RunVerdict.UNANSWERED).exit_code


@command.command("remove", short_help="Remove an engine's environments.")
@click.argument("name", nargs=-1, required=True)
def remove(name: tuple[str, ...]) -> None:
    """Remove every managed environment of each engine named."""
    from gradcheck import runner

    for each, count in runner.remove(name).items():
        click.echo(f"{each}: {count} environment{'s' if count != 1 else ''} removed")
