"""Each word is declared three times: in the graph, in the oracle and in every engine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gradcheck.graphs import OPERATORS, VOCABULARY
from gradcheck.oracle.operations import RULES


def test_every_word_of_the_graph_has_its_rules_and_no_rule_is_left_over() -> None:
    RULES.complete()
    assert {*VOCABULARY, *OPERATORS} == set(RULES)


def test_the_rules_of_rare_words_are_imported_when_a_loss_has_one() -> None:
    code = """
from gradcheck.oracle.operations import RULES
assert {"matmul", "tanh", "sum", "exp"} <= {*RULES}, [*RULES]
assert "cholesky" not in RULES
RULES["cholesky"].function
try:
    RULES["choleski"]
except KeyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("'choleski'\n", "")


@pytest.mark.parametrize("name", sorted(VOCABULARY))
def test_a_words_documentation_is_one_sentence(name: str) -> None:
    assert str(VOCABULARY[name].__doc__).splitlines()[0].endswith(".")
