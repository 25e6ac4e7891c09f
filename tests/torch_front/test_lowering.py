"""Dumps of functions in PyTorch become graphs, of which the truth is what PyTorch computes. No test needs PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck.graphs import Graph
from gradcheck.graphs.sources import RecordingError
from gradcheck.graphs.torch import record
from gradcheck.graphs.torch_reasons import REASONS
from gradcheck.graphs.torch_rows import ROWS
from tests.frameworks import TORCH, check_truth

INSTEAD = "expected operators of docs/torch.md, or reference= with the same function written in them"
REFUSED = {
    "dropped": (
        "functional.dropout(",
        "aten.native_dropout.default: dropout with p = 0.5 in training draws random numbers: write model.eval(), or "
        "p = 0",
    ),
    "noisy": ("torch.randn_like", f"aten.randn_like.default: it draws random numbers: {INSTEAD}"),
    "extremes": ('"amax"', "aten.scatter_reduce.two: reduce='amax': expected sum or mean"),
    "transformed": ("rfft", f"aten._fft_r2c.default: the vocabulary has no word for it: {INSTEAD}"),
    "rescaled": (
        'x[None, None], (4, 7), mode="bilinear"',
        "aten.upsample_bilinear2d.vec: 3 entries become 4, with rounded weights: expected a factor of a power of two",
    ),
    "narrowed": (
        "x.half()",
        "aten._to_copy.default: it computes in float16, in a check of float64: expected float64, or inputs in float16",
    ),
}
"""Functions that have no graph, with their wrong line and the sentence."""


def line_of(text: str) -> int:
    """The number of the line of models.py that has a text."""
    lines = Path(__file__).with_name("models.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def graph_of(name: str) -> Graph:
    return record(TORCH.dump(name), "float64")


@pytest.mark.parametrize("name", [name for name in TORCH.names if name not in REFUSED])
def test_the_truth_is_what_pytorch_computes(name: str) -> None:
    given = TORCH.dump(name)
    check_truth(record(given, "float64"), given)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_word_is_refused_with_the_line_of_the_function(name: str) -> None:
    wrong, sentence = REFUSED[name]
    with pytest.raises(RecordingError) as refused:
        graph_of(name)
    assert str(refused.value) == f"models.py:{line_of(wrong)}: {sentence}"


def test_inputs_are_parameters_buffers_and_floating_arguments_by_name() -> None:
    assert list(graph_of("text").inputs) == [
        *("embedding.weight", "lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l0", "lstm.bias_hh_l0"),
        *("norm.weight", "norm.bias", "head.weight", "head.bias", "cotangent"),
    ]
    assert [*graph_of("in_place").inputs] == ["x", "y", "cotangent"]


def test_operators_with_a_word_of_their_own_keep_it() -> None:
    words = [node.word for node in graph_of("encoder_layer").nodes]
    assert words.count("scaled_dot_product_attention") == 1
    assert {"gelu", "softplus", "std", "logaddexp"} <= {node.word for node in graph_of("entries").nodes}


def test_steps_have_the_innermost_line_of_the_users_code() -> None:
    node = next(node for node in graph_of("text").nodes if node.word == "log_softmax")
    assert (node.file, node.line) == ("models.py", line_of("return functional.cross_entropy"))
    inner = next(node for node in graph_of("encoder_layer").nodes if node.word == "relu")
    assert inner.file == "torch/nn/modules/transformer.py"


def test_outputs_in_tuples_and_dictionaries_have_their_places_as_names() -> None:
    assert list(graph_of("several").outputs) == ["loss", "output[0]", "output[1][mean]"]


def test_no_operator_has_a_row_and_a_reason_for_none() -> None:
    assert not {name.split(".")[1] for name in ROWS} & set(REASONS)
    assert len(ROWS) > 150
