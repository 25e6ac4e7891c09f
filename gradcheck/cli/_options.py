"""Options of commands, from the declarations of settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from gradcheck.cli._completion import completion_of
from gradcheck.settings import OPTIONS
from gradcheck.settings.option import Option

Function = TypeVar("Function", bound=Callable[..., Any])


def reader(option: Option) -> Callable[[Any], Any]:
    """The function that reads and checks a value of a flag, according to the option's declaration."""
    one = replace(option, repeated=False)  # click gives the values of a repeated flag one by one

    def read(value: Any) -> Any:
        is_default = not isinstance(value, str)
        return value if is_default else one.read_several(value, f"{one.flag} {value}", is_text=True)

    return read


def option(name: str, **others: Any) -> Callable[[Function], Function]:
    """The flag of a setting, with one value; a command may override attributes of `Option`."""
    return flag(replace(OPTIONS[name], **{"several": False, **others}))


def flag(declared: Option) -> Callable[[Function], Function]:
    """The flag of a declared option."""
    flags = [declared.letter, declared.flag] if declared.letter else [declared.flag]
    if declared.is_switch:
        return click.option(*flags, is_flag=True, help=declared.command_help)
    return click.option(
        *flags,
        type=reader(declared),
        multiple=declared.repeated,
        default=declared.default,
        metavar=declared.metavar,
        help=declared.command_help,
        shell_complete=completion_of(declared),
    )


def given(context: click.Context) -> dict[str, Any]:
    """The settings whose flags are on the command line."""
    return {
        name: value
        for name, value in context.params.items()
        if name in OPTIONS and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


def every_option(function: Function) -> Function:
    """The flags of all settings except the problem, which is an argument."""
    for name in reversed(OPTIONS):
        function = function if name == "problem" else option(name, several=OPTIONS[name].several)(function)
    return function
