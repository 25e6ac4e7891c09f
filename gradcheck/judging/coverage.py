"""Coverage: in how many entries each condition of a loss was true and false. It is no part of a verdict."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from gradcheck.findings import Condition
from gradcheck.graphs import Graph
from gradcheck.graphs.graph import Node
from gradcheck.oracle import Tape, forward_of, plain_values
from gradcheck.problems.condition_lines import in_source

Array = NDArray[Any]
Inputs = Mapping[str, Array]

CONDITIONS = {
    "gt": "a > b",
    "ge": "a >= b",
    "eq": "a == b",
    "ne": "a != b",
    "and": "a & b",
    "or": "a | b",
    "any": "any(a)",
    "all": "all(a)",
}
"""Words that make conditions, and how these are written; ~ makes no new one."""
ABOVE_ZERO = ("relu", "leaky_relu", "elu", "abs")
"""Words with one branch above zero, and one below."""


class _Probe(NamedTuple):
    """A condition of a graph: its line, the steps from whose values it follows, and how it follows."""

    text: str
    file: str
    line: int
    places: tuple[int, ...]
    holds: Callable[..., Array]


class Coverage:
    """The conditions of many cases, added up.

    Args:
        conditions: those of a first case.
    """

    def __init__(self, conditions: Iterable[Condition] = ()) -> None:
        self._found: dict[tuple[str, int, str], Condition] = {}
        self.add(conditions)

    def add(self, conditions: Iterable[Condition]) -> None:
        """Add the conditions of another case."""
        for each in conditions:
            key = each.file, each.line, each.text
            known = self._found.get(key)
            if known is not None:
                each = msgspec.structs.replace(known, true=known.true + each.true, false=known.false + each.false)
            self._found[key] = each

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Each condition once, in the order in which the loss computes them."""
        return tuple(self._found.values())

    @property
    def untried(self) -> list[str]:
        """The branches that no entry took, in words."""
        return [branch for condition in self._found.values() for branch in condition.untried]


def conditions(graph: Graph, inputs: Inputs, shown: Callable[[str], str]) -> tuple[Condition, ...]:
    """The conditions of a loss that depend on its inputs, with the numbers of entries of one case.

    Args:
        graph: the loss.
        inputs: of the case, name -> array.
        shown: the path of a file -> that path in messages.
    """
    probes, tape = _probes(graph)
    if not probes:
        return ()
    values = plain_values(tape, inputs)
    found = Coverage()
    for each in probes:
        with np.errstate(invalid="ignore"):
            holds = np.asarray(each.holds(*(values["value", str(place)] for place in each.places)))
        true = int(np.count_nonzero(holds))
        counts = {"true": true, "false": holds.size - true}
        found.add([Condition(text=each.text, file=each.file, shown=shown(each.file), line=each.line, **counts)])
    return found.conditions


@functools.lru_cache(maxsize=64)
def _probes(graph: Graph) -> tuple[tuple[_Probe, ...], Tape]:
    """The conditions of a graph, and the tape of the steps from which they follow."""
    open_ = _depending_on_inputs(graph)
    lines: dict[tuple[str, int, str], list[int]] = {}
    for place, node in enumerate(graph.nodes):
        if node.file and node.line and place in open_:
            lines.setdefault((node.file, node.line, node.word), []).append(place)
    probes = []
    for (file, line, word), places in lines.items():
        for position, place in enumerate(places):
            texts = in_source(file, line, word, position, len(places))
            for text, needed, holds in _conditions_of(graph, place):
                shown = texts.get(text, text if texts else f"{word}: {text}")
                probes.append((place, _Probe(shown, file, line, needed, holds)))
    ordered = tuple(probe for _, probe in sorted(probes, key=lambda each: each[0]))
    return ordered, forward_of(graph, {place for probe in ordered for place in probe.places})


def _depending_on_inputs(graph: Graph) -> set[int]:
    found: set[int] = set()
    for place, node in enumerate(graph.nodes):
        if node.word == "input" or found & set(node.operands):
            found.add(place)
    return found


def _conditions_of(graph: Graph, place: int) -> Iterator[tuple[str, tuple[int, ...], Callable[..., Array]]]:
    """The conditions of a step: a text with operands a and b, the steps from which it follows, and how."""
    node = graph.nodes[place]
    if node.word in CONDITIONS:
        yield CONDITIONS[node.word], (place,), lambda holds: holds
    elif node.word in ABOVE_ZERO:
        yield "a > 0", node.operands, lambda a: a > 0
    elif node.word == "maximum":
        yield "a > b", node.operands, lambda a, b: a > b
    elif node.word == "minimum":
        yield "a < b", node.operands, lambda a, b: a < b
    elif node.word == "clip":
        yield from _ends(node)
    elif node.word == "where" and _is_given(graph, node.operands[0]):
        yield "a", node.operands[:1], lambda holds: holds


def _ends(node: Node) -> Iterator[tuple[str, tuple[int, ...], Callable[..., Array]]]:
    """The conditions of a clip: a is below its smaller end, and above its larger one."""
    low, high = (node.attributes.get(name) for name in ("min", "max"))
    if low is not None:
        yield "a < min", node.operands, lambda a: a < low
    if high is not None:
        yield "a > max", node.operands, lambda a: a > high


def _is_given(graph: Graph, place: int) -> bool:
    """Whether a condition is an input, moved or negated: no comparison of the loss makes it."""
    node = graph.nodes[place]
    while node.operands and node.word not in CONDITIONS:
        node = graph.nodes[node.operands[0]]
    return node.word == "input"
