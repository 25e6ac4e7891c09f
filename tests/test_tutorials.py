"""The tutorials, as a reader follows them: their files are written, their commands run, and they print what is shown.

A block with the title of a file that exists replaces one of its lines: the one that begins most like the block.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from gradcheck.execution.environments import scrubbed
from tests.frameworks import JAX, PACKAGES, TORCH
from tests.test_readme import pattern

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r'^```(?:python title="([\w.]+)"|(console))\n(.*?)^```', re.DOTALL | re.MULTILINE)
FRAMEWORKS = {"torch": TORCH, "jax": JAX}
SLOW = ("torch", "jax", "port", "release")


def shared(left: str, right: str) -> int:
    """How many characters two texts share at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right)))


def mended(text: str, block: str) -> str:
    """A file whose line that begins most like a block is replaced by it."""
    lines = text.splitlines(keepends=True)
    place = max(range(len(lines)), key=lambda each: shared(lines[each], block))
    return "".join([*lines[:place], block, *lines[place + 1 :]])


def commands(transcript: str) -> Iterator[tuple[str, str]]:
    """The commands of a transcript, each with what it prints."""
    for each in re.split(r"^\$ ", transcript, flags=re.MULTILINE)[1:]:
        command, _, printed = each.partition("\n")
        yield command, printed


def words_of(command: str, tutorial: str) -> list[str | Path]:
    """A command, with the interpreters of this machine: that of a framework runs the scripts of its tutorial."""
    first, *others = shlex.split(command)
    if first == "python":
        paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; sys.path.append({str(PACKAGES)!r})"
        script = f"{paths}; import runpy; runpy.run_path({others[0]!r}, run_name='__main__')"
        return [FRAMEWORKS[tutorial].interpreter(), "-W", "ignore", "-c", script]
    return [sys.executable, "-m", first, *others] if first in ("gradcheck", "pytest") else [first, *others]


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_can_be_followed(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if page.stem in SLOW and not request.config.getoption("--thorough"):
        pytest.skip("--thorough follows it: it starts a framework several times")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for title, console, block in BLOCK.findall(page.read_text()):
        if not console:
            path = tmp_path / title
            path.write_text(mended(path.read_text(), block) if path.exists() else block)
            continue
        for command, printed in commands(block):
            text, _, file = command.partition(" > ")
            environment = scrubbed(os.environ) if text.startswith("python") else None
            words = words_of(text, page.stem)
            done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600)
            if file:
                (tmp_path / file).write_text(done.stdout)
            else:
                assert re.fullmatch(pattern(printed), done.stdout, re.DOTALL), done.stdout + done.stderr


def test_every_file_and_transcript_is_found() -> None:
    for page in TUTORIALS:
        text = page.read_text()
        assert len(BLOCK.findall(text)) * 2 == text.count("```") > 0, page.name
