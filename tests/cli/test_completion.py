"""Completion in shells: what TAB offers, and the lines of docs/commands.md that switch it on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from gradcheck import problems
from gradcheck.cli import gradcheck as cli
from gradcheck.execution import engines
from tests.conftest import Command

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()


def offered(*words: str) -> list[str]:
    """What TAB offers after these words, the last of which is not complete; a file is "file: its beginning"."""
    found = BashComplete(cli, {}, "gradcheck", "_GRADCHECK_COMPLETE").get_completions([*words[:-1]], words[-1])
    return [each.value if each.type == "plain" else f"{each.type}: {each.value}" for each in found]


def test_commands_and_options_are_offered() -> None:
    assert offered("r") == ["report", "run"]
    assert offered("run", "--dt") == ["--dtype"]


def test_run_offers_problems_and_files_of_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layer.py").touch()
    (tmp_path / "notes.txt").touch()
    assert offered("run", "") == [*problems.names(), "layer.py"]
    assert offered("run", "sigmoid_skip", "lay") == ["layer_norm", "layer.py"]
    assert offered("run", "folder/l") == ["file: folder/l"]


def test_backends_are_offered() -> None:
    assert offered("run", "-b", "") == [*engines.paths(), "all", "exec:"]
    assert offered("hunt", "layer.py", "--backend", "jax") == ["jax", "jax-eager", "jax-forward"]
    assert offered("backends", "build", "m") == ["mlx", "mxnet"]


@pytest.mark.parametrize(
    ("option", "incomplete", "expected"),
    [
        ("--dtype", "float", ["float64", "float32", "float16"]),
        ("--dtype", "float64,f", ["float64,float32", "float64,float16"]),
        ("--distribution", "u", ["uniform", "unit-scaled"]),
        ("--gate", "", ["rounding", "formula", "proved"]),
        ("--gate", "rounding,", []),
        ("--report", "pa", ["file: pa"]),
        ("--config", "pa", ["file: pa"]),
        ("--seed", "1", []),
    ],
)
def test_values_of_options_are_offered(option: str, incomplete: str, expected: list[str]) -> None:
    assert offered("run", option, incomplete) == expected


def test_nothing_is_offered_after_a_wrong_command_line() -> None:
    assert offered("rin", "sig") == []
    assert offered("run", "--dtype", "float63", "--ga") == ["--gate"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_page_has_the_line_of_each_shell(gradcheck: Command, shell: str) -> None:
    (line,) = re.findall(rf"^\| {shell} .*", PAGE, re.MULTILINE)
    (instruction,) = re.findall(r"_GRADCHECK_COMPLETE=(\w+) gradcheck", line)
    done = gradcheck(_GRADCHECK_COMPLETE=instruction)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_GRADCHECK_COMPLETE" in done.stdout


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("bash"), reason="needs a current bash")
def test_bash_completes() -> None:
    """Where the line of the page is in ~/.bashrc."""
    (line,) = re.findall(r"`(eval \S*bash_source[^`]*)`", PAGE)
    words = "COMP_WORDS=(gradcheck run sigm); COMP_CWORD=2; _gradcheck_completion gradcheck; echo ${COMPREPLY[@]}"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", f"{line}; {words}"], capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    assert (done.stdout, done.stderr) == ("sigmoid_skip sigmoid_skip_naive\n", "")


def test_an_empty_variable_asks_for_nothing(gradcheck: Command) -> None:
    assert gradcheck("nonsense", _GRADCHECK_COMPLETE="").returncode == 2
