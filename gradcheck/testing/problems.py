"""Problems made of samples of words, their tapes, and their inputs.

One problem has many samples, each with its own watched values and adjoints, so that a compiling engine compiles a dozen
times and not thousands.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gradcheck import problems
from gradcheck.backends._worker.stream import Stream
from gradcheck.dtypes import Kind
from gradcheck.errors import RequestError
from gradcheck.graphs import Graph, record
from gradcheck.oracle import Format, Tape, tape_of
from gradcheck.problems import cases
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import wrt_of
from gradcheck.testing.words import DOMAINS, WORDS, Sample

Arrays = dict[str, npt.NDArray[Any]]

SAMPLES = [sample for several in WORDS.values() for sample in several]
WORD_OF = [word for word, several in WORDS.items() for _ in several]
"""The word of each sample."""
SOURCE = """
import numpy as np

def inputs(k):
    return {inputs}

wrt = {wrt}

def sample(rng, k):
    places = np.where(np.arange(k) % 2 == 0, k // 2, np.arange(k)[::-1])
    structured = {{"i": np.arange(k) % 3, "j": places, "m": np.arange(k) % 2 == 0}}
    return {{name: structured[name[0]] for name in inputs(k) if name[1] == "_" and name[0] in structured}}

def loss(ops, **given):
    total = 0.0
{samples}
    return total
"""
PART = """
    {operands} = {watched}
    k = {first}.shape[0]
    total = total + ops.sum(given["weights_{number}"] * ops.watch("out_{number}", {expression}))
"""
SHAPES = {"a": "(k,)", "b": "(k,)", "M": "(k, k)", "N": "(k, k)", "i": "(k,)", "j": "(k,)", "m": "(k,)"}
KINDS: dict[str, Kind] = {"i": "integer", "j": "integer", "m": "boolean"}


class Written(NamedTuple):
    """Samples as one problem at a size: the problem's file and its tape."""

    problem: problems.Problem
    tape: Tape


def write(folder: Path, numbers: tuple[int, ...], k: int, order: int = 1) -> Written:
    """Write samples as a problem's file, and record it.

    Args:
        folder: of the file.
        numbers: of the samples.
        k: the size of vectors, and of the sides of matrices.
        order: 2 for the products of the Hessian with directions of all inputs.
    """
    path = folder / f"problem_{numbers[0]}_{hash(numbers)}_{k}.py"
    path.write_text(source(numbers, k))
    problem = problems.load(str(path))
    graph, wrt = graph_of(problem, k), wrt_of(problem, k)
    return Written(problem, tape_of(graph if order == 1 else graph.along(wrt), wrt))


def source(numbers: Iterable[int], k: int) -> str:
    """A problem whose loss is the weighted sum of samples; inputs are shared by the samples of a domain."""
    samples = {number: SAMPLES[number] for number in numbers}
    domains = {
        f"{name}_{DOMAINS.index(sample.domain)}": SHAPES[name]
        for sample in samples.values()
        for name in operands_of(sample)
    }
    shapes = {f"weights_{number}": str(shape_of(sample.expression, k)) for number, sample in samples.items()}
    inputs = ", ".join(f"{name!r}: {shape}" for name, shape in (domains | shapes).items())
    return SOURCE.format(
        inputs=f"{{{inputs}}}",
        wrt=repr(tuple(name for name in domains if name[0] not in KINDS)),
        samples="".join(part(number, sample) for number, sample in samples.items()),
    )


def part(number: int, sample: Sample) -> str:
    """The lines of a sample in the loss."""
    operands = operands_of(sample)
    given = [(name, f"given['{name}_{DOMAINS.index(sample.domain)}']") for name in operands]
    watched = [entry if name in KINDS else f"ops.watch('{name}_in_{number}', {entry})" for name, entry in given]
    return PART.format(
        number=number,
        expression=sample.expression,
        first=operands[0],
        operands=", ".join(operands),
        watched=", ".join(watched),
    )


def operands_of(sample: Sample) -> list[str]:
    """The inputs that an expression uses."""
    used = {node.id for node in ast.walk(ast.parse(sample.expression)) if isinstance(node, ast.Name)}
    return [name for name in SHAPES if name in used]


@cache
def shape_of(expression: str, k: int) -> tuple[int, ...]:
    """The shape that an expression has at a size."""
    loss = eval(f"lambda ops, a, b, M, N, i, j, m: ops.sum(ops.watch('out', {expression}))", {"k": k, "np": np})
    shapes = {name: eval(shape, {"k": k}) for name, shape in SHAPES.items()}
    tape = tape_of(record(loss, shapes, KINDS), ("a",))
    return tape.nodes[tape.outputs["value", "out"]].shape


def number_of(name: str) -> int:
    """The sample to which a watched value belongs; some watch values of their own."""
    tail = name.rpartition("_")[2]
    return int(tail) if tail.isdigit() else next(n for n, each in enumerate(SAMPLES) if f"'{name}'" in each.expression)


def inside(values: npt.NDArray[Any], domain: str, smallest: float) -> npt.NDArray[Any]:
    """Inputs moved into a domain: their magnitudes, with ``smallest`` in the place of zero."""
    if domain == "all":
        return values
    if domain == "above −1":
        return np.where(values > -1, values, -values)
    size = np.abs(values) if domain == "positive" else values
    return np.where(size == 0, smallest, size).astype(values.dtype)


def drawn(problem: problems.Problem, k: int, dtype: str, distribution: str) -> Arrays:
    """Inputs of a distribution, and ordinary weights."""
    ordinary, inputs = cases.sample(problem, k, 2, dtype).inputs, {}
    for name, array in cases.sample(problem, k, 1, dtype, distribution).inputs.items():
        kind, _, number = name.partition("_")
        drawn_apart = kind == "weights" or kind in KINDS
        inputs[name] = ordinary[name] if drawn_apart else inside(array, DOMAINS[int(number)], Format.of(dtype).normal)
    return inputs


def directions(graph: Graph, dtype: str) -> Arrays:
    """The directions of a graph of order 2."""
    shapes, stream = graph.inputs, Stream(7)
    return {name: cases.round_to(cases.cotangent(stream, shapes[name]), dtype) for name in graph.directions.values()}


def exists(problem: problems.Problem, k: int, dtype: str, distribution: str) -> bool:
    """Whether a distribution has inputs in the dtype: tiny ones become zero in float16, and are refused."""
    try:
        cases.sample(problem, k, 1, dtype, distribution)
    except RequestError:
        return False
    return True


def with_words_of(reason: str, numbers: Iterable[int]) -> Iterator[int]:
    """The samples with the words that a reason names: the others run together, since engines compile for seconds."""
    words = re.findall(r"ops\.(\w+)", reason)
    yield from (number for number in numbers if any(f"ops.{word}(" in SAMPLES[number].expression for word in words))
