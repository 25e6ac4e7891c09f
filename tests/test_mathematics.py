"""The numbers of rules: docs/math.md has those that the code names, and every word has its rules there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradcheck.graphs import OPERATORS, VOCABULARY

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "math.md").read_text()
NUMBER = re.compile(r"\b[RWHD][1-9][0-9]?\b")
NUMBERS = re.findall(r"^### ([RWHD]\d+)\. ", TEXT, re.MULTILINE)
SOURCES = [*(ROOT / "gradcheck").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]


def prose(path: Path) -> str:
    """Docstrings and comments, which have numbers of rules."""
    text = path.read_text()
    return "\n".join([*re.findall(r'"""(.*?)"""', text, re.DOTALL), *re.findall(r"#.*", text)])


def rows() -> dict[str, str]:
    """Word or operator -> its rules, from the table."""
    table = TEXT.partition("## Which rules a word has")[2].partition("\n## ")[0]
    found = {}
    for words, *rules in re.findall(r"^\| (`.*?) \| (.*?) \| (.*?) \|$", table, re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"`(.*?)`", words.replace("\\|", "|")), " ".join(rules))
    return found


def test_no_number_is_given_twice_and_none_is_left_out() -> None:
    assert len(set(NUMBERS)) == len(NUMBERS)
    for kind in "RWHD":
        numbers = sorted(int(number[1:]) for number in NUMBERS if number[0] == kind)
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("path", [path for path in SOURCES if NUMBER.search(prose(path))], ids=lambda path: path.name)
def test_the_rules_that_the_code_names_exist(path: Path) -> None:
    assert set(NUMBER.findall(prose(path))) <= set(NUMBERS)


def test_the_rules_that_rules_name_exist() -> None:
    assert set(NUMBER.findall(TEXT)) == set(NUMBERS)


def test_every_rule_is_named_by_the_code() -> None:
    named = {number for path in (ROOT / "gradcheck").rglob("*.py") for number in numbers_of(prose(path))}
    assert set(NUMBERS) - named == set()


def numbers_of(text: str) -> set[str]:
    """The numbers in a text, and those between two, as in "W6 to W9"."""
    found = set(NUMBER.findall(text))
    for kind, first, last in re.findall(r"\b([RWHD])(\d+) to \1(\d+)\b", " ".join(text.split())):
        found |= {f"{kind}{number}" for number in range(int(first), int(last) + 1)}
    return found


def test_every_word_has_its_rules() -> None:
    table = rows()
    assert set(table) == {*VOCABULARY, *(operator.symbol for operator in OPERATORS.values()), "watch"}
    for word, rules in table.items():
        assert NUMBER.search(rules), word
        assert set(NUMBER.findall(rules)) <= set(NUMBERS), word
