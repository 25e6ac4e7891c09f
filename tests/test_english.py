"""Expressions that are hard to read for many users, and that must not come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What not to write -> what to write instead.
INSTEAD = {
    r"\b(is|are|was|were|been?) (told|said)\b": "reports, states, receives",
    r"\bnobody (says|asks|knows|reads|listens|waits)\b": "a sentence with the program as its subject",
    r"\bfor ever\b": "always, without end",
    r"\b(bury|buries|buried)\b": "terminate",
    r"\bcrews?\b": "worker pool",
    r"\bpartings?\b": "divergence",
    r"\blineups?\b": "selection",
    r"\b(lest|whence|thereof|hereof|wherefore)\b": "so that ... not, from which, of it",
    r"\bwont to\b": "usually",
    r"\bmay well\b": "may",
    r"\bof its own accord\b": "by itself",
    r"\banew\b": "again",
    r"\bbut for (one|two|a|the)\b": "except for",
    r"\bwhere (it|they) lives?\b": "in your own process",
    r"\bwhoever\b": "anyone who",
    r"\bif you like\b": "optionally",
    r"\bwhole or not at all\b": "completely or not at all",
    r"\bas it were\b": "nothing",
    r"_(told|said|anybodys|for_ever)(?=[_(])": "reported, stated",
}
FOLDERS = ("gradcheck", "tests", "benchmarks", "tools", "docs", "examples", "configs")
SUFFIXES = (".py", ".md", ".toml", ".txt", ".c", ".cpp")
OWN = Path(__file__).name


def files() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    return sorted(path for path in [*ROOT.glob("*.md"), *found] if path.name != OWN)


@pytest.mark.parametrize("expression", INSTEAD)
def test_no_file_has_the_expression(expression: str) -> None:
    pattern = re.compile(expression, re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path in files()
        for text in [path.read_text(encoding="utf-8")]
        for match in pattern.finditer(text)
    ]
    assert found == [], f"write instead: {INSTEAD[expression]}"


def test_files_are_found() -> None:
    names = {str(path.relative_to(ROOT)) for path in files()}
    assert {"README.md", "docs/math.md", "gradcheck/api.py", "tests/conftest.py", "examples/sigmoid_skip.c"} <= names
