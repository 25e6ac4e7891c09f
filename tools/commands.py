"""The page on the commands, made from their declarations: `python -m tools.commands > docs/commands.md`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator

import click

from gradcheck.cli import gradcheck

INTRODUCTION = r"""# Commands

`gradcheck COMMAND --help` prints the same in a terminal. `python -m tools.commands`
makes this page from the declarations.

Shells complete commands, options and their values, problems and backends, if one of these lines is in the file beside
it:

| shell | file | line |
| --- | --- | --- |
| bash | `~/.bashrc` | `eval "$(_GRADCHECK_COMPLETE=bash_source gradcheck)"` |
| zsh | `~/.zshrc` | `eval "$(_GRADCHECK_COMPLETE=zsh_source gradcheck)"` |
| fish | `~/.config/fish/completions/gradcheck.fish` | `_GRADCHECK_COMPLETE=fish_source gradcheck \| source` |
"""
ELSEWHERE = {"gradcheck run": "Its options are on [a page of their own](options.md).\n"}
"""Commands whose options another page has."""
KEPT = "\b\n"
"""What a paragraph of help begins with if its lines are not wrapped."""


def page() -> str:
    """The page."""
    context = click.Context(gradcheck, info_name="gradcheck")
    return "\n".join([INTRODUCTION, *sections(gradcheck, context)])


def sections(command: click.Command, context: click.Context) -> Iterator[str]:
    """The section of a command, and those of the commands in it.

    Args:
        command: the command.
        context: its own, whose path is "gradcheck backends".
    """
    if context.parent:
        yield f"{'#' * (1 + context.command_path.count(' '))} {context.command_path}\n"
    yield f"```text\n{' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n```\n"
    yield prose(command.help or "")
    if context.command_path in ELSEWHERE:
        yield ELSEWHERE[context.command_path]
    else:
        yield from options(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from sections(inner, click.Context(inner, parent=context, info_name=name))


def prose(text: str) -> str:
    """The help of a command as Markdown; a paragraph that begins with `\\b` keeps its lines, as in a terminal."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return (
        "\n\n".join(
            f"```text\n{each.removeprefix(KEPT)}\n```" if each.startswith(KEPT) else escaped(" ".join(each.split()))
            for each in paragraphs
        )
        + "\n"
    )


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    """The table of a command's options, without `--help`, which all commands have."""
    records = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
    rows = [f"| {code(flags)} | {escaped(' '.join(text.split()))} |" for flags, text in filter(None, records)]
    if rows:
        yield "\n".join(["| option | what it is |", "| --- | --- |", *rows, ""])


def code(flags: str) -> str:
    """A cell with the name of an option."""
    return f"`{flags}`".replace("|", r"\|")


def escaped(text: str) -> str:
    """Text whose characters mean nothing in Markdown, except for pieces in backticks."""
    pieces = text.split("`")
    return "`".join(
        re.sub(r"([\\*_<>|\[\]])", r"\\\1", each) if place % 2 == 0 else each for place, each in enumerate(pieces)
    )


if __name__ == "__main__":
    sys.stdout.write(page())
