"""The command line: one file in this folder is one command. It parses and prints, and decides nothing.

A command's file defines `command`. Files are imported for `--help`, so they import what is heavy inside functions.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import click

from gradcheck._version import __version__
from gradcheck.cli import _completion, _signals, _streams
from gradcheck.cli._commands import Commands
from gradcheck.cli._descendants import DESCENDANTS
from gradcheck.errors import Interrupted, RequestError
from gradcheck.system import idle_threads
from gradcheck.text.escaping import escaped
from gradcheck.text.suggestions import did_you_mean

WRONG_REQUEST = 2
INTERRUPTED = 130
INTERNAL_ERROR = 70  # sysexits.h: Python's own 1 would look like a verdict
FEW_COLLECTIONS = 100_000
"""Objects between two collections of garbage: imports make 40,000 that stay; Python's default, 700, costs 15 ms."""
DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class CommandFolder(Commands):
    """A group whose commands are the files of this folder."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names."""
        return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"gradcheck.cli.{cmd_name}").command
        return command


@click.command(cls=CommandFolder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gradcheck")
def gradcheck() -> None:
    """Evaluate one loss and its gradients in many engines, and say which of them is wrong.

    \b
    Exit codes: 0 every backend agrees, 1 one differs, 2 the request is wrong,
    3 a backend gave no answer, 4 undecided, 130 interrupted.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    if sys.platform == "win32":
        _say("Windows is not supported: expected Linux or macOS (WSL works)")
        sys.exit(WRONG_REQUEST)
    if os.environ.get(_completion.VARIABLE):
        gradcheck.main(arguments, prog_name="gradcheck", complete_var=_completion.VARIABLE)  # ends the process
    _streams.prepare()
    idle_threads.let_sleep(os.environ)
    gc.set_threshold(FEW_COLLECTIONS)
    code = _until_interrupted(arguments)
    _signals.ignore()
    DESCENDANTS.end()
    _streams.settle()
    gc.freeze()  # or the interpreter's end looks twice for garbage among all that was imported
    sys.exit(code)


def _until_interrupted(arguments: list[str] | None) -> int:
    """Run the command line, and return its exit code, which reports an arrived signal even if the run went on."""
    interrupt = _signals.Interrupt()
    try:
        interrupt.install()
        code = _run(arguments, interrupt)
    except (Interrupted, click.Abort):
        code = INTERRUPTED
    interrupt.is_over = True  # no call comes before it, and Python runs handlers at calls: nothing can raise here
    if interrupt.has_arrived or code == INTERRUPTED:
        _say("interrupted")
        return INTERRUPTED
    return code


def _run(arguments: list[str] | None, interrupt: _signals.Interrupt) -> int:
    """Run the command line, and return its exit code; an error after a signal is a consequence of that."""
    try:
        code: int = gradcheck.main(arguments, prog_name="gradcheck", standalone_mode=False)
        sys.stdout.flush()
        return code
    except (Interrupted, click.Abort):
        raise
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return WRONG_REQUEST
    except (click.ClickException, RequestError, MemoryError) as error:
        _say(_in_words(error))
        return error.exit_code if isinstance(error, RequestError) else WRONG_REQUEST
    except BaseException as error:  # also SystemExit, with which a library may end: its 1 would look like a verdict
        if interrupt.has_arrived:
            raise Interrupted from error
        return _failed(error)


def _in_words(error: Exception) -> str:
    """A wrong request in one line."""
    if isinstance(error, click.NoSuchOption) and not error.possibilities and error.ctx:
        options = [option for parameter in error.ctx.command.params for option in parameter.opts]
        return f"{error.option_name}: no such option: {did_you_mean(error.option_name, options)}see --help"
    if isinstance(error, click.MissingParameter) and error.ctx:
        usage = " ".join([error.ctx.command_path, *error.ctx.command.collect_usage_pieces(error.ctx)])
        return f"{error.format_message().removesuffix('.')}: expected {usage}"
    if isinstance(error, click.ClickException):
        return " ".join(error.format_message().split())
    return f"{error}: expected a size for which there is memory" if isinstance(error, MemoryError) else str(error)


def _failed(error: BaseException) -> int:
    """Report a failure that is not the request's: a full disk, a folder that does not exist, or a bug of gradcheck."""
    if isinstance(error, OSError) and error.errno in DISK_TROUBLE:
        _say(f"{error.strerror}: expected free space to write")
        return WRONG_REQUEST
    if isinstance(error, FileNotFoundError) and _current_folder_is_gone():
        _say("the current folder does not exist: expected an existing one")
        return WRONG_REQUEST
    traceback.print_exception(error)
    _say("this is a bug in gradcheck: it says nothing about the backends")
    return INTERNAL_ERROR


def _current_folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _say(message: str) -> None:
    print(f"gradcheck: {escaped(message)}", file=sys.stderr, flush=True)
