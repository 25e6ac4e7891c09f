"""The command as a whole: help of every command, and and bugs of gradcheck itself."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

import gradcheck.cli
from gradcheck import __version__
from tests.conftest import Command

COMMANDS = sorted(path.stem for path in Path(gradcheck.cli.__file__).parent.glob("[!_]*.py"))
README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_is_in_the_readme(gradcheck: Command, name: str) -> None:
    done = gradcheck(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: gradcheck {name}")
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert f"gradcheck {name}" in README


def test_the_list_of_commands_describes_each_command(gradcheck: Command) -> None:
    printed = gradcheck("--help").stdout
    for name in COMMANDS:
        (line,) = (line for line in printed.splitlines() if line.startswith(f"  {name} "))
        assert line.endswith("."), "no sentence is cut"
    assert "130 interrupted" in printed


def test_the_command_without_arguments_shows_its_help(gradcheck: Command) -> None:
    done = gradcheck()
    assert done.returncode == 2
    assert done.stderr == gradcheck("--help").stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_not_a_bug(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "gradcheck", "schema"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "gradcheck: standard output: No space left on device: expected free space to write\n"


def test_the_version(gradcheck: Command) -> None:
    assert gradcheck("--version").stdout == f"gradcheck, version {__version__}\n"


def test_a_bug_in_gradcheck_is_not_a_verdict() -> None:
    broken = "from gradcheck.reports import json; from gradcheck.cli import main; json.schema = 1; main(['schema'])"
    done = subprocess.run([sys.executable, "-c", broken], capture_output=True, text=True)
    assert done.returncode == 70
    assert "this is a bug in gradcheck" in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_notice_is_seen_when_it_is_written(tmp_path: Path, unbuffered: str) -> None:
    code = (
        "import sys, time\n"
        "from gradcheck.cli import _streams\n"
        "_streams.prepare()\n"
        "sys.stderr.write('seen\\n')\n"
        "sys.stdin.read()\n"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert select.select([process.stderr], [], [], 20)[0], "the process waits, and its line is out"
        assert process.stderr.readline() == "seen\n"
        process.stdin.close()


ENDS_IN_AN_ERROR = """
import os, signal
from gradcheck import cli

def run(*arguments, **options):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        raise KeyError("half built")

cli.gradcheck.main = run
cli.main([])
"""


def test_an_error_that_follows_from_a_signal_is_not_reported_as_a_bug() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS_IN_AN_ERROR], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "gradcheck: interrupted\n")
