"""The graph of a loss: its JSON form, its schema, its lines, and its watched values."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import numpy as np

from gradcheck.backends import Operations
from gradcheck.backends._numpy_vocabulary import PRIMITIVES
from gradcheck.backends._worker.graph import InterpretedGraph
from gradcheck.graphs import record
from gradcheck.graphs.graph import GraphRecord, schema
from tests.conftest import Command

SHAPES = {"A": (3, 3), "x": (3,)}
TABLE = np.array([1.0, 2.0, np.inf])


def loss(ops, A, x):
    h = ops.watch("h", ops.tanh(A @ x)[1:])
    unused = ops.exp(x) * TABLE
    assert unused.shape == (3,)
    return ops.sum(h * TABLE[:2]) + ops.sum(ops.where(x > 0.5, x, float("inf")), axis=0) + ops.max(TABLE * x)


def test_the_json_form_is_the_graph() -> None:
    graph = record(loss, SHAPES)
    decoded = msgspec.json.decode(graph.json(), type=GraphRecord)
    assert decoded.nodes == graph.nodes
    assert decoded.outputs == graph.outputs == {"loss": len(graph.nodes) - 1}
    assert [array.data for array in decoded.constants.values()] == [[1.0, 2.0], [1.0, 2.0, "Infinity"]]


def test_the_schema_accepts_the_graph(gradcheck: Command) -> None:
    printed = gradcheck("schema", "graph").stdout
    assert printed == schema()
    jsonschema.validate(json.loads(record(loss, SHAPES).json()), json.loads(printed))
    shown = json.loads(gradcheck("problems", "show", "lstm_cell", "--k", 2, "--graph").stdout)
    jsonschema.validate(shown, json.loads(printed))


def test_unneeded_nodes_are_left_out() -> None:
    graph = record(loss, SHAPES)
    assert "exp" not in [node.word for node in graph.nodes]
    assert len(graph.constants) == 2


def aside(ops, x, idle):
    result = ops.sum(x * x)
    doubled = 2 * x
    ops.watch("doubled", doubled)
    return result


def test_inputs_and_watched_values_that_the_loss_does_not_need_stay() -> None:
    graph = record(aside, {"x": (3,), "idle": (2,)})
    assert graph.inputs == {"x": (3,), "idle": (2,)}
    ops = Operations(PRIMITIVES, lambda *_: 0.0)
    result = InterpretedGraph(json.loads(graph.json())).loss(ops, x=np.array([1.0, 2.0, 3.0]), idle=np.zeros(2))
    assert result == 14
    assert np.array_equal(ops.values["doubled"], [2.0, 4.0, 6.0])


def test_each_step_has_its_line() -> None:
    graph, first = record(loss, SHAPES), loss.__code__.co_firstlineno
    places = [("adjoint", "h"), ("loss", None), ("gradient", "A"), ("gradient", "x")]
    assert [graph.place_of(*place) for place in places] == [(__file__, first + line) for line in (1, 4, 1, 1)]
    assert graph.place_of("value", "nothing") is None
    doubled = record(aside, {"x": (3,), "idle": (2,)}).place_of("value", "doubled")
    assert doubled == (__file__, aside.__code__.co_firstlineno + 2)  # and not the line of the watch


def test_watching_all_names_every_step_and_changes_no_other() -> None:
    graph = record(loss, SHAPES)
    everything = graph.watching_all()
    assert [node.word for node in everything.nodes if node.word != "watch"] == [
        node.word for node in graph.nodes if node.word != "watch"
    ]
    watched = [node.operands[0] for node in everything.nodes if node.word == "watch"]
    used = [place for node in everything.nodes if node.word != "watch" for place in node.operands]
    assert not set(watched) & set(used)  # later steps take the watched value, so that it has an adjoint
    steps = [node for node in graph.nodes if node.is_step]
    assert len(everything.watched) == len(steps) - 1  # all but the loss; the value h itself had its name
    assert len({node.name for node in everything.nodes if node.word == "watch"}) == len(everything.watched)
