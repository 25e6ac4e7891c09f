"""Completion in shells: what a word on the command line may become. click has the scripts of bash, zsh and fish."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from gradcheck.settings.option import Option

VARIABLE = "_GRADCHECK_COMPLETE"
"""What a shell sets when it asks for completions, or for the script that asks."""
FILES = ("FILE", "PATH")
"""What the values of options that are files are called."""
Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files: the shell lists them itself."""
    return [CompletionItem(incomplete, type="file")]


def known_problems(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Problems by name, and Python files of this folder; or files, where no name begins so."""
    from gradcheck.problems import names

    found = beginning([*names(), *sorted(path.name for path in Path().glob("*.py"))], incomplete)
    return found or files(context, parameter, incomplete)


def known_backends(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Engines by name, `all`, and the prefix of programs."""
    from gradcheck.settings.declared import PROGRAM

    return [*known_engines(context, parameter, incomplete), *beginning(["all", PROGRAM], incomplete)]


def known_engines(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Engines by name."""
    from gradcheck.execution import engines

    return beginning(engines.paths(), incomplete)


def completion_of(option: Option) -> Completion | None:
    """The completion of an option's value; None if only the user knows it."""
    if option.name in NAMED:
        return NAMED[option.name]
    if option.validator.choices:
        return lambda context, parameter, incomplete: choices(option, incomplete)
    return files if option.metavar in FILES else None


def choices(option: Option, incomplete: str) -> list[CompletionItem]:
    """Values of an option that has few; after a comma, those that are not there yet."""
    before, comma, last = incomplete.rpartition(",")
    named = before.split(",")
    return [
        CompletionItem(f"{before}{comma}{each}")
        for each in (*option.validator.choices, *(["all"] if option.several and not comma else []))
        if each.startswith(last) and each not in named and (option.several or not comma)
    ]


def beginning(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """The names that begin with a text."""
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


NAMED: Mapping[str, Completion] = {"problem": known_problems, "backend": known_backends}
"""Options by name -> the completion of their values."""
