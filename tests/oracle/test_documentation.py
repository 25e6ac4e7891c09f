"""The page on the vocabulary is the table."""

from __future__ import annotations

from pathlib import Path

from gradcheck.graphs import OPERATORS, VOCABULARY
from gradcheck.graphs.words.making import MAKING
from gradcheck.oracle.operations.documentation import page

PAGE = Path(__file__).parents[2] / "docs" / "vocabulary.md"
HINT = "run: python -m gradcheck.oracle.operations.documentation > docs/vocabulary.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), HINT


def test_every_word_and_operator_has_a_row():
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(VOCABULARY) + len(OPERATORS) + len(MAKING) + 2
    assert all(line.count("|") - line.count("\\|") == 5 for line in rows)
