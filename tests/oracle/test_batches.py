"""Several cases are walked at once, and each has what it has alone, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.judging.judge import as_computed, judge, truth
from gradcheck.judging.several import judge_several, truths
from gradcheck.oracle import (
    Format,
    Key,
    NotTogetherError,
    Tape,
    analyse,
    analyse_together,
    most_together,
    record,
    stages,
    stages_together,
    tape_of,
)
from gradcheck.problems import cases
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import wrt_of
from gradcheck.testing.problems import SAMPLES, WORD_OF, Arrays, Written, inside, write
from gradcheck.testing.words import DOMAINS

CASES = 2
DTYPES = ("float64", "float32")


def inputs_of(problem: problems.Problem, k: int, dtype: str) -> list[Arrays]:
    """Inputs of some seeds, inside the domain of a sample's word."""
    found = []
    for seed in range(CASES):
        inputs = cases.sample(problem, k, seed, dtype).inputs
        found.append(
            {
                name: inside(array, DOMAINS[int(name[-1])], 1.0) if name[0] in "abMN" and name[1] == "_" else array
                for name, array in inputs.items()
            }
        )
    return found


def are_same(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Whether arrays have the same entries, NaN too, dtypes and shapes."""
    pairs = zip(map(np.asarray, first), map(np.asarray, second), strict=True)
    return all(
        one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other, equal_nan=True)
        for one, other in pairs
    )


def assert_same(tape: Tape, several: list[Arrays], dtype: str) -> None:
    """Compare the blocks, the steps and the verdicts of cases that are walked together with those alone."""
    format = Format.of(dtype)
    together = analyse_together(tape, several, format)
    given: list[Mapping[Key, Any]] = []
    for inputs, analysis in zip(several, together, strict=True):
        alone = analyse(tape, inputs, format)
        assert analysis.ties == alone.ties
        for key, output in alone.items():
            one, other = output._whole, analysis[key]._whole
            assert are_same([*one.enclosure.parts, *one[2:]], [*other.enclosure.parts, *other[2:]]), key
        given.append({key: output.enclosure.high.astype(dtype) for key, output in alone.items()})
    steps = stages_together(tape, several, format, given)
    for inputs, answer, some in zip(several, given, steps, strict=True):
        for step in stages(tape, inputs, format, answer):
            other = some[step.kind, step.name]
            pair = [(each.expected, each.bound, each.spread, each.error, *each.terms) for each in (step, other)]
            assert are_same(*pair), step.name


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Written]]:
    """The samples of words that need no integers."""
    folder = tmp_path_factory.mktemp("batches")
    written = [(WORD_OF[number], write(folder, (number,), 3)) for number in range(len(SAMPLES))]
    return [(word, each) for word, each in written if most_together(each.tape, Format.of("float64")) > 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_cases_of_every_word_have_the_bounds_that_they_have_alone(
    samples: list[tuple[str, Written]], dtype: str
) -> None:
    alone, together = set(), set()
    for word, (problem, tape) in samples:
        try:
            assert_same(tape, inputs_of(problem, 3, dtype), dtype)
            together.add(word)
        except NotTogetherError:
            alone.add(word)
    assert len(together) > 60
    assert len(alone - together) < 12


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name", ["sigmoid_skip", "mlp", "attention", "conv1d", "layer_norm", "linear_regression", "softmax_cross_entropy"]
)
def test_cases_of_a_problem_have_the_bounds_that_they_have_alone(name: str, dtype: str) -> None:
    problem = problems.load(name)
    k = problem.sized(6, given=False)
    several = [cases.sample(problem, k, seed, dtype).inputs for seed in range(CASES)]
    tape = tape_of(graph_of(problem, k), wrt_of(problem, k)).at(several[0])
    assert_same(tape, several, dtype)


@pytest.mark.parametrize(
    ("name", "k", "dtype", "distribution"),
    [
        ("mlp", 3, "float16", "cancelling"),  # in some cases errors leave open which branch of relu is taken
        ("selective_scan", 1, "float32", "uniform"),  # axes of length one, whose strides mean nothing
        ("sigmoid_skip", 3, "float64", "mixed"),
        ("softmax_cross_entropy", 2, "float32", "saturated"),
    ],
)
def test_cases_have_the_bounds_that_they_have_alone_whether_walked_together_or_not(
    name: str, k: int, dtype: str, distribution: str
) -> None:
    problem, format = problems.load(name), Format.of(dtype)
    several = [cases.sample(problem, k, seed, dtype, distribution).inputs for seed in range(8)]
    tape = tape_of(graph_of(problem, k), wrt_of(problem, k)).at(several[0])
    for inputs, known in zip(several, truths(tape, several, format), strict=True):
        for key, output in analyse(tape, inputs, format).items():
            one, other = output._whole, known.analysis[key]._whole
            assert are_same([*one.enclosure.parts, *one[2:]], [*other.enclosure.parts, *other[2:]]), key


def test_transposed_matrices_have_the_bounds_that_they_have_alone() -> None:
    """BLAS takes other steps for a transposed matrix than for its copy."""
    tape = record(
        lambda ops, A, x: ops.sum(ops.watch("u", ops.matmul(x + x * x, ops.permute_dims(A + x, (1, 0))))),
        {"A": (8, 9), "x": (1, 9)},
        ("A", "x"),
    )
    drawn = np.random.default_rng(0)
    assert_same(
        tape, [{name: drawn.standard_normal(shape) for name, shape in tape.graph.inputs.items()}] * 2, "float64"
    )


def answer_of(tape: Tape, inputs: Arrays, change: float = 0.0) -> BackendAnswer:
    """The truth, with a change in an entry of the first gradient."""
    known = analyse(tape, inputs, Format.of("float64"))
    given: dict[str, dict[str, Any]] = {"value": {}, "adjoint": {}, "gradient": {}}
    for (kind, name), output in known.items():
        if name is not None:
            given[kind][name] = output.enclosure.high.copy()
    next(iter(given["gradient"].values())).flat[0] += change
    loss = known["loss", None].enclosure.high
    return BackendAnswer(loss, given["gradient"], given["value"], given["adjoint"])


def test_answers_that_differ_among_others_have_the_verdicts_that_they_have_alone() -> None:
    """A wrong entry, one that is not finite, a missing array, and changed inputs."""
    problem = problems.load("sigmoid_skip")
    tape = tape_of(graph_of(problem, 3), wrt_of(problem, 3))
    several = [cases.sample(problem, 3, seed, "float64").inputs for seed in range(6)]
    changes = [0.0, 1e-9, 0.0, np.nan, 0.0, 0.0]
    answers = [answer_of(tape, inputs, change) for inputs, change in zip(several, changes, strict=True)]
    answers[2] = replace(answers[2], gradients={"A": answers[2].gradients["A"]})
    answers[5] = replace(answers[5], mutated=["A"])
    format = Format.of("float64")
    known = truths(tape, several, format)
    together = judge_several(answers, known, "rounding", [as_computed] * len(answers))
    alone = [
        judge(answer, truth(tape, each, format), "rounding") for answer, each in zip(answers, several, strict=True)
    ]
    assert [str(each.verdict) for each in together] == ["agrees", "differs", "differs", "differs", "agrees", "differs"]
    assert repr(together) == repr(alone)


@pytest.mark.parametrize(("steps", "expected"), [(1, 32), (100, 6), (1000, 1)])
def test_fewer_cases_are_walked_together_the_longer_a_loss_is(steps: int, expected: int) -> None:
    """A walk keeps the arrays of all of its steps."""

    def loss(ops: Any, a: Any) -> Any:
        for _ in range(steps):
            a = ops.tanh(a)
        return ops.sum(a)

    tape = record(loss, {"a": (32, 32)}, ("a",))
    assert most_together(tape, Format.of("float64")) == expected


def test_cases_that_may_overflow_are_walked_alone() -> None:
    tape = record(lambda ops, a: ops.sum(a * a * a), {"a": (3,)}, ("a",))
    several = [{"a": np.full(3, size)} for size in (1.0, 1e200)]
    with pytest.raises(NotTogetherError):
        analyse_together(tape, several, Format.of("float64"))
    first, second = truths(tape, several, Format.of("float64"))
    assert np.isfinite(first.analysis["gradient", "a"].worst).all()
    assert np.isinf(second.analysis["loss", None].worst)
