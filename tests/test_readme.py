"""The README and its pages show the output of the commands; its commands are those of CI."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Command

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TRANSCRIPTS = ("README.md", "backends.md", "records.md")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


SHOWN = [block for page in PAGES if page.name in TRANSCRIPTS for block in blocks("console", page.read_text())]


def pattern(expected: str) -> str:
    """A regular expression for a transcript: `...` stands for anything, and white space for any amount of it."""
    words = [re.escape(word).replace(r"\.\.\.", ".*?") for word in expected.split()]
    return r"\s+".join(words).replace(r"\s+.*?\s+", r"\s.*?\s") + r"\s*"


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.splitlines()[0])
def test_transcripts_match_the_output(gradcheck: Command, tmp_path: Path, block: str) -> None:
    (layer,) = (source for source in blocks("python") if "def backward" in source)
    (tmp_path / "layer.py").write_text(layer)
    shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    first, _, expected = block.partition("\n")
    assert first.startswith("$ gradcheck ")
    printed = gradcheck(*shlex.split(first)[2:]).stdout
    assert re.fullmatch(pattern(expected), printed, re.DOTALL), printed


def test_the_comparison_of_transcripts_can_fail() -> None:
    assert re.fullmatch(pattern("a ... b\n...\n1.0e-16"), "a x b\n y\n z\n1.0e-16\n", re.DOTALL)
    assert not re.fullmatch(pattern("a ... b\n...\n1.0e-16"), "a x b\n y\n z\n1.0e-15\n", re.DOTALL)


def test_the_example_is_short() -> None:
    (layer,) = (source for source in blocks("python") if "def backward" in source)
    assert len([line for line in layer.splitlines() if line.strip()]) <= 20


def test_the_example_with_functions_agrees(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "problems.md").read_text()
    (example,) = (source for source in blocks("python", page) if "gradients={" in source)
    (tmp_path / "softplus.py").write_text(example)
    done = subprocess.run([sys.executable, tmp_path / "softplus.py"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_ci_runs_the_readmes_test_command() -> None:
    (command,) = (line for line in README.splitlines() if ".venv/bin/pytest" in line)
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_ci_runs_what_is_only_for_it() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    files = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    thorough = [path for path in files if 'getoption("--thorough")' in (ROOT / path).read_text()]
    assert [str(path) for path in thorough if str(path) not in run and path.parent.name != "faults"] == []


def test_a_newcomer_has_read_it_soon() -> None:
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_links_to_exist(page: Path) -> None:
    for link in re.findall(r"\]\(([\w/.-]+)(?:#[\w-]+)?\)", page.read_text()):
        assert (page.parent / link).exists(), link
