"""Each word is declared three times: in the graph, in the oracle and in every engine."""

from __future__ import annotations

import pytest

from gradcheck.graphs import OPERATORS, VOCABULARY
from gradcheck.oracle.operations import RULES


def test_every_word_of_the_graph_has_its_rules_and_no_rule_is_left_over() -> None:
    assert {*VOCABULARY, *OPERATORS} == set(RULES)


@pytest.mark.parametrize("name", sorted(VOCABULARY))
def test_a_words_documentation_is_one_sentence(name: str) -> None:
    assert str(VOCABULARY[name].__doc__).splitlines()[0].endswith(".")
