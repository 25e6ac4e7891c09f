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
        ready = isinstance(found, Environment)
        version = (found.version or "") if ready else engine.release
        state = f"ready ({found.where})" if ready else "not built"
        click.echo(f"{engine.name:12} {version:14} {state:18} {' '.join(engine.formats)}")
        click.echo(f"{'':12} {found.python if ready else found.reason}")


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
        ready = isinstance(where, Environment)
        click.echo(f"{name}: {where.python}" if ready else f"{name}: unavailable: {where.reason}")
    return (
        RunVerdict.AGREE.exit_code
        if all(isinstance(where, Environment) for where in built.values())
        else RunVerdict.UNANSWERED.exit_code
    )


@command.command("remove", short_help="Remove an engine's environments.")
@click.argument("name", nargs=-1, required=True)
def remove(name: tuple[str, ...]) -> None:
    """Remove every managed environment of each engine named."""
    from gradcheck import runner

    for each, count in runner.remove(name).items():
        click.echo(f"{each}: {count} environment{'s' if count != 1 else ''} removed")
