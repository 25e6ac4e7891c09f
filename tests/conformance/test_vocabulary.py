"""Every word on every engine, over ordinary and hostile inputs, through real workers, held against the oracle.

A new engine inherits all of this: its file is found in the folder of backends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from gradcheck import cases, catalogue, environments, judge, problems
from gradcheck.answers import Answer
from gradcheck.catalogue import Spec
from gradcheck.crews import Crew, Post, Question
from gradcheck.environments import Environment
from gradcheck.oracle import Format, Tape, record
from gradcheck.oracle.operations import OPERATORS, VOCABULARY
from gradcheck.results import Verdict
from gradcheck.sessions import Logged
from gradcheck.tapes import record_tape
from gradcheck.workers import Failure
from tests.conformance.words import WORDS, Sample

CASES = [
    *(("uniform", 1), ("uniform", 3), ("uniform", 33)),  # at 33 vectorised kernels have a body and a tail
    *(("saturated", 5), ("mixed", 5), ("cancelling", 6), ("tiny", 4), ("zeros", 4), ("subnormal", 4)),
]
"""Distributions and sizes."""

SOFTRELU = "softrelu returns its argument above 20, off by up to 2e-9: it has no threshold to set, as PyTorch's has"
SOFTRELU_32 = "oneDNN's float32 softrelu is off by up to 2e-6 below zero: -1.9e-6 at -18 instead of 1.5e-8, 0 at -30"
EXPM1 = "the derivative is taken as expm1(a) + 1, 0 far below zero: https://github.com/pytorch/pytorch/issues/192406"
FINDINGS = {
    ("mxnet", "softplus", "float64"): SOFTRELU,
    ("mxnet", "softplus", "float32"): SOFTRELU_32,
    ("torch", "expm1", "float64"): EXPM1,
    ("torch", "expm1", "float32"): EXPM1,
    ("torch", "expm1", "bfloat16"): EXPM1,
}
"""(engine, word, dtype) -> what the engine gets wrong. One that is no longer found is an error."""

SHAPES = "'a': (k,), 'b': (k,), 'M': (k, k), 'N': (k, k)"
SOURCE = """
def inputs(k):
    return {{{shapes}, 'weights': {weights}}}

wrt = ("a", "b", "M", "N")

def loss(ops, a, b, M, N, weights):
    k = a.shape[0]
    return ops.sum(weights * ops.watch("out", {expression}))
"""


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Sample -> its problem at a size."""
    folder = tmp_path_factory.mktemp("words")

    @cache
    def write(sample: Sample, k: int) -> tuple[problems.Problem, Tape]:
        path = Path(folder) / f"problem_{abs(hash((sample, k)))}.py"
        path.write_text(
            SOURCE.format(shapes=SHAPES, weights=shape_of(sample.expression, k), expression=sample.expression)
        )
        problem = problems.load(str(path))
        return problem, record_tape(problem, k)

    return write


def shape_of(expression: str, k: int) -> tuple[int, ...]:
    """The shape that an expression has at a size."""
    loss = eval(f"lambda ops, a, b, M, N: ops.sum(ops.watch('out', {expression}))", {"k": k})
    tape = record(loss, eval(f"{{{SHAPES}}}", {"k": k}), ("a",))
    return tape.nodes[tape.outputs["value", "out"]].shape


@pytest.fixture(scope="session")
def crews() -> Iterator[dict[str, Crew]]:
    """Engine -> its warm worker."""
    running: dict[str, Crew] = {}
    yield running
    for crew in running.values():
        crew.close()


def worker(crews: dict[str, Crew], name: str) -> Crew:
    """The engine's crew, started once."""
    if name not in crews:
        engine = catalogue.engine(name)
        place = environments.find(Spec(name), engine)
        if not isinstance(place, Environment):
            place = environments.Builder(Logged()).build({Spec(name): engine})[Spec(name)]
        assert isinstance(place, Environment), place.reason
        crews[name] = Crew()
        crews[name].start({name: Post(place.python, engine.path, None)}, timeout=120)
    return crews[name]


def inside(values: np.ndarray, domain: str, smallest: float) -> np.ndarray:
    """Inputs moved into a domain: their magnitudes, with ``smallest`` in the place of zero."""
    if domain == "all":
        return values
    if domain == "above −1":
        return np.where(values > -1, values, -values)
    size = np.abs(values) if domain == "positive" else values
    return np.where(size == 0, smallest, size).astype(values.dtype)


def drawn(problem: problems.Problem, sample: Sample, k: int, dtype: str, distribution: str) -> dict[str, np.ndarray]:
    """Inputs of a distribution, and ordinary weights."""
    inputs = dict(cases.sample(problem, k, 1, dtype, distribution).inputs)
    inputs = {name: inside(array, sample.domain, Format.of(dtype).normal) for name, array in inputs.items()}
    return inputs | {"weights": cases.sample(problem, k, 2, dtype).inputs["weights"]}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("name", catalogue.engines())
def test_every_word_agrees_with_the_oracle(name, word, crews, written):
    crew, engine = worker(crews, name), catalogue.engine(name)
    found = [
        (dtype, f"{sample.expression}, {distribution} at k = {k}: {complaint}")
        for dtype in engine.formats
        for sample in WORDS[word]
        for distribution, k in CASES
        for complaint in complaints(crew, engine, written, sample, dtype, distribution, k)
    ]
    known = {dtype for each, which, dtype in FINDINGS if (each, which) == (name, word)}
    assert [f"{dtype}: {what}" for dtype, what in found if dtype not in known] == []
    assert known == {dtype for dtype, _ in found}


def complaints(crew, engine, written, sample, dtype, distribution, k) -> Iterator[str]:
    """What is wrong with an engine's answer, with its watched values and without."""
    problem, tape = written(sample, k)
    inputs = drawn(problem, sample, k, dtype, distribution)
    ((_, outcome),) = crew.evaluate(Question(problem.path, dtype, problem.wrt, inputs), [engine.name])
    if isinstance(outcome, Failure):
        if outcome.verdict is not Verdict.UNSUPPORTED or not outcome.reason:
            yield f"{outcome.verdict}: {outcome.reason} {outcome.details[-300:]}"
        return
    truth = judge.truth(tape, inputs, Format.of(dtype, **engine.formats[dtype]))
    for answer in (outcome, unwatched(outcome)):
        judgement = judge.judge(answer, truth, "rounding")
        if judgement.verdict is Verdict.DIFFERS:
            yield f"{judgement.evidence}: {judgement.reason} {judgement.first_wrong}"
        ordinary = distribution == "uniform" and dtype in ("float64", "float32") and k > 1  # of one entry much cancels
        if judgement.verdict is Verdict.UNDECIDED and ordinary:
            yield f"undecided: {judgement.reason}"


def unwatched(answer: Answer) -> Answer:
    """The answer of a backend that gives its loss and gradients alone."""
    return replace(answer, values={}, adjoints={})


def test_every_word_is_tried():
    assert set(WORDS) == {*VOCABULARY, *OPERATORS, "watch"}
