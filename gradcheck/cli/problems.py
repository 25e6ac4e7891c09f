"""`gradcheck problems`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradcheck.cli._commands import Commands
from gradcheck.cli._completion import known_problems
from gradcheck.cli._listener import TerminalListener
from gradcheck.cli._options import given, option
from gradcheck.errors import ProblemError
from gradcheck.text.escaping import as_argument, escaped, quoted

if TYPE_CHECKING:
    from gradcheck.problems import Problem


@click.group(
    "problems",
    cls=Commands,
    short_help="List the problems with names, show one, or write a new one.",
    invoke_without_command=True,
)
@click.pass_context
def command(context: click.Context) -> None:
    """List the problems with names, show one, or write a new one."""
    if context.invoked_subcommand is None:
        context.invoke(listing)


@command.command("list", short_help="List the problems with names, as without a command.")
def listing() -> None:
    """Print a line for each problem that has a name."""
    from gradcheck import problems

    for name, problem in problems.described():
        title = problem if isinstance(problem, Exception) else problem.title
        click.echo(escaped(f"{name:24} {title}"))


@command.command("show", short_help="Show one problem: its inputs, gradients and backends.")
@click.argument("name", shell_complete=known_problems)
@option("k", help="Size at which to show the shapes.")
@click.option("--graph", is_flag=True, help="Print the loss at size K as a graph of words, in JSON, and nothing else.")
@click.pass_context
def show(context: click.Context, /, name: str, k: int, graph: bool) -> None:
    """Show one problem: its file, its inputs' shapes at size K, its gradients, and its default backends."""
    from gradcheck import problems
    from gradcheck.problems._guard import TIMEOUT
    from gradcheck.runs.runner import authors

    with TerminalListener() as listener, authors(listener, TIMEOUT) as known:
        problem = problems.load(name, authors=known)
        size = problem.sized(k, given="k" in given(context))
        _show(problem, size, graph)


def _show(problem: Problem, size: int | None, graph: bool) -> None:
    """Show a problem at a size."""
    from gradcheck.problems.recording import graph_of
    from gradcheck.problems.sampling import kinds_of, wrt_of

    if graph:
        click.echo(graph_of(problem, size).json())
        return
    if problem.title:
        click.echo(escaped(problem.title))
    click.echo(escaped(f"file       {problem.path}"))
    wrt, kinds = wrt_of(problem, size), kinds_of(problem, size)
    for number, (each, shape) in enumerate(problem.shapes(size).items()):
        label = f"k = {size}" if number == 0 and size is not None else ""
        kind = "" if kinds[each] == "floating" else f"{kinds[each]}, "
        note = "" if each in wrt else f"  ({kind}no gradient)"
        click.echo(f"{label:10} {each:8} {' × '.join(map(str, shape)) or 'scalar'}{note}")
    with contextlib.suppress(ProblemError):  # a loss that cannot be recorded yet has a file to show
        loss = graph_of(problem, size)
        for number, (each, shape) in enumerate(zip(loss.output_names.values(), loss.cotangents.values(), strict=True)):
            label = "" if number else "outputs"
            click.echo(escaped(f"{label:10} {each:8} {' × '.join(map(str, shape)) or 'scalar'}"))
    if problem.engine:
        click.echo(f"engine     {problem.engine}")
    click.echo(f"gradients  {', '.join(problem.gradients) or 'none'}")
    click.echo(escaped(f"backends   {', '.join(problem.backends) or 'none: name some with -b'}"))


@command.command("new", short_help="Write a commented starting file that passes.")
@click.argument("path", type=click.Path(path_type=Path))
def new(path: Path) -> None:
    """Write a starting file to PATH: a two-layer network with a hand-written gradient, for you to change."""
    from gradcheck import problems

    problems.start(path)
    click.echo(f"{escaped(str(path))}: now run: gradcheck run {quoted([as_argument(path)])}")
