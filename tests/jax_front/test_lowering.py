"""Dumps of functions in JAX become graphs, of which the truth is what JAX computes. No test needs JAX."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck.graphs import Graph
from gradcheck.graphs.jax import record
from gradcheck.graphs.jax_reasons import REASONS
from gradcheck.graphs.jax_rows import ROWS
from gradcheck.graphs.sources import RecordingError
from tests.frameworks import JAX, check_truth

INSTEAD = "expected primitives of docs/jax.md, or reference= with the same function written in them"
REFUSED = {
    "noisy": ("jax.random.normal", f"erf_inv: it draws normal random numbers: {INSTEAD}"),
    "products": ("lax.cumlogsumexp", f"cumlogsumexp: the vocabulary has no word for it: {INSTEAD}"),
    "last_axis": (
        "jax.vmap(jnp.linalg.inv, in_axes=2)",
        f"lu: the vocabulary has solve, inv, slogdet and cholesky alone: {INSTEAD}",
    ),
    "narrowed": (
        'x.astype("float16")',
        "convert_element_type: it computes in float16, in a check of float64: expected float64, or inputs in float16",
    ),
    "until": (
        "lax.while_loop(lambda a",
        "the number of turns of a while_loop depends on floating numbers: expected a number that does not",
    ),
    "branching": (
        "lax.cond(x.sum()",
        "a branch of lax.cond depends on floating numbers: expected jax.numpy.where, or a condition that does not",
    ),
    "python_branch": (
        "return x if x.sum()",
        "it makes a Python number or a branch of the values of an array",
    ),
}
"""Functions that have no graph, with their wrong line and the sentence."""


def line_of(text: str) -> int:
    """The number of the line of models.py that has a text."""
    source = Path(__file__).with_name("models.py").read_text()
    return source[: source.index(text)].count("\n") + 1


def graph_of(name: str) -> Graph:
    return record(JAX.dump(name), "float64")


def words_of(name: str) -> list[str]:
    return [node.word for node in graph_of(name).nodes]


@pytest.mark.parametrize("name", [name for name in JAX.names if name not in REFUSED])
def test_the_truth_is_what_jax_computes(name: str) -> None:
    given = JAX.dump(name)
    check_truth(record(given, "float64"), given)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_word_is_refused_with_the_line_of_the_function(name: str) -> None:
    wrong, sentence = REFUSED[name]
    given = JAX.dump(name)
    if "refused" not in given:
        with pytest.raises(RecordingError) as refused:
            record(given, "float64")
        given["refused"] = str(refused.value)
    assert given["refused"] == f"models.py:{line_of(wrong)}: {sentence}"


def test_inputs_are_named_by_their_places_in_trees() -> None:
    names = list(graph_of("gpt_block").inputs)
    assert names[:3] == ["params[down][bias]", "params[down][kernel]", "params[ln_1][bias]"]
    assert names[-2:] == ["x", "cotangent"]


def test_functions_with_a_word_of_their_own_keep_it() -> None:
    assert {"softmax", "gelu", "var"} <= set(words_of("gpt_block"))
    assert {"gelu", "softplus", "silu", "logaddexp", "hypot", "log_sigmoid", "sigmoid"} <= set(words_of("entries"))
    assert {"log_softmax", "logsumexp"} <= set(words_of("reductions"))
    assert {"solve", "inv", "slogdet", "cholesky"} <= set(words_of("algebra"))
    assert "exp" not in words_of("reductions")


def test_a_function_of_the_user_with_the_name_of_one_of_jax_is_its_own_steps() -> None:
    assert "silu" not in words_of("several")


def test_a_function_that_is_nearly_one_with_a_word_is_its_own_steps() -> None:
    assert not {"softmax", "logsumexp", "gelu"} & set(words_of("lookalikes"))


def test_loops_become_the_steps_of_each_turn() -> None:
    assert words_of("recurrent").count("tanh") == 2 * 3
    assert "cos" not in words_of("recurrent"), "the other branch"


def test_the_primal_of_a_function_with_a_rule_is_recorded() -> None:
    assert {"rsqrt", "mean"} & set(words_of("rms_norm"))


def test_steps_have_the_innermost_line_of_the_users_code() -> None:
    node = next(node for node in graph_of("gpt_block").nodes if node.word == "gelu")
    assert (node.file, node.line) == ("models.py", line_of("jax.nn.gelu(layer_norm"))
    inner = next(node for node in graph_of("gpt_block").nodes if node.word == "var")
    assert (inner.file, inner.line) == ("models.py", line_of("return centred * lax.rsqrt"))


def test_each_call_of_a_compiled_function_of_jax_has_its_own_line() -> None:
    lines = {node.line for node in graph_of("algebra").nodes if node.word == "solve_triangular"}
    first = line_of("x = jax.scipy.linalg.solve_triangular")
    assert lines == {first, first + 1}


def test_outputs_in_tuples_and_dictionaries_have_their_places_as_names() -> None:
    assert list(graph_of("several").outputs) == ["loss", "output[0]", "output[1][mean]"]


def test_no_primitive_has_a_row_and_a_reason_for_none() -> None:
    assert not set(ROWS) & set(REASONS)
    assert len(ROWS) > 90
