"""The shipped problems: correct gradients agree in every backend, planted bugs are found, the specimen gives NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

import gradcheck
from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.backends._worker.source import execute
from gradcheck.judging import judge
from gradcheck.oracle import Format
from gradcheck.problems import cases
from gradcheck.results import Verdict
from tests.problems.bugs import BUGS, Bug
from tests.recorded import record_tape
from tests.test_planted import visible

NAMES = (
    *("attention", "batch_norm", "contrastive", "conv1d", "crf", "gaussian_mixture", "gaussian_process", "gpt2_block"),
    *("layer_norm", "linear_regression", "logistic_regression", "lstm", "lstm_cell", "mlp", "poisson_regression"),
    *("residual_block", "rope_swiglu", "selective_scan", "sigmoid_skip", "sigmoid_skip_naive"),
    *("softmax_cross_entropy", "vae"),
)
MODELS = (
    *("contrastive", "crf", "gaussian_process", "gpt2_block", "lstm", "poisson_regression"),
    *("residual_block", "rope_swiglu", "selective_scan", "vae"),
)
"""Whole models, each with five bugs, judged at one size: JAX compiles each for seconds."""
OF_LAPACK = ("gaussian_process",)
"""Problems with linear algebra, which NumPy has in float64 and float32 alone."""
DTYPES = ("float64", "float32")
SIZES = (1, 3, 16, 64)
MODEL_SIZES = (4,)
SEEDS = (0, 1)
SPECIMEN = "sigmoid_skip_naive"


def sizes(name: str) -> tuple[int, ...]:
    return MODEL_SIZES if name in MODELS else SIZES


@pytest.fixture(scope="module")
def session() -> Iterator[gradcheck.Session]:
    with gradcheck.Session() as warm:
        yield warm


@cache
def truth(name: str, k: int, seed: int, dtype: str) -> judge.Truth:
    problem = problems.load(name)
    inputs = cases.sample(problem, k, seed, dtype).inputs
    return judge.truth(record_tape(problem, k), inputs, Format.of(dtype))


def by_hand(name: str) -> Callable[..., Any]:
    return execute(str(problems.find(name))).gradients["numpy"]


def answer(gradient: Callable[..., Any], inputs: Mapping[str, np.ndarray]) -> BackendAnswer:
    loss, derivatives, values = gradient(**{name: array.copy() for name, array in inputs.items()})
    arrays = {name: np.asarray(array) for name, array in derivatives.items()}
    return BackendAnswer(
        loss=np.asarray(loss),
        gradients={name: array for name, array in arrays.items() if name in inputs},
        values={name: np.asarray(array) for name, array in values.items()},
        adjoints={name: array for name, array in arrays.items() if name not in inputs},
    )


def planted(bug: Bug) -> Callable[..., Any]:
    source = problems.find(bug.problem).read_text()
    assert source.count(bug.right) == 1, bug
    module: dict[str, Any] = {}
    exec(source.replace(bug.right, bug.wrong), module)
    return module["gradients"]["numpy"]


def test_the_list_of_shipped_problems_is_complete() -> None:
    assert tuple(name for name, path in problems.names().items() if path.parent.name == "shipped") == NAMES


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_backend_agrees(session: gradcheck.Session, name: str, dtype: str) -> None:
    engines = ["torch", "jax"] if name in MODELS else ["torch", "mxnet"]
    for k in sizes(name):
        for seed in SEEDS:
            report = session.check(name, k=k, seed=seed, dtype=dtype)
            hand = ["manual", "numpy"] if name == "sigmoid_skip" else ["numpy"]
            assert [backend.name for backend in report.backends] == [*hand, *engines]
            assert {backend.verdict for backend in report.backends} == {Verdict.AGREES}, (k, seed)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
def test_the_gradient_by_hand_gives_every_array_in_the_dtype_of_the_case(name: str, dtype: str) -> None:
    if name in OF_LAPACK and dtype == "float16":
        pytest.skip("NumPy has no linear algebra in float16")
    known = truth(name, 3, 0, dtype)
    got = dict(answer(by_hand(name), known.inputs).arrays())
    for key in known.tape.outputs:
        assert got[key].dtype == dtype, key


@pytest.mark.parametrize("name", NAMES)
def test_gradients_by_hand_against_central_differences(name: str) -> None:
    gradient, step = by_hand(name), 2.0**-17
    known = truth(name, 3, 0, "float64")
    inputs = dict(known.inputs)
    got = answer(gradient, inputs).gradients
    assert set(got) == set(known.tape.wrt)
    for changed, slopes in got.items():
        for index in np.ndindex(slopes.shape):
            moved = []
            for sign in (1, -1):
                array = inputs[changed].copy()
                array[index] += sign * step
                moved.append(float(gradient(**inputs | {changed: array})[0]))
            assert abs((moved[0] - moved[1]) / (2 * step) - slopes[index]) < 1e-7, (changed, index)


def test_there_are_three_bugs_for_each_problem_and_five_for_each_model() -> None:
    counts = {name: sum(bug.problem == name for bug in BUGS) for name in NAMES}
    assert counts == dict.fromkeys(NAMES, 3) | dict.fromkeys(MODELS, 5)
    assert len({str(bug) for bug in BUGS}) == len(BUGS)


@cache
def outcomes(bug: Bug) -> list[judge.Judgement]:
    """The verdicts on a bug in the cases where it changes the answer."""
    wrong, right, judged = planted(bug), by_hand(bug.problem), []
    for dtype in DTYPES:
        for k in sizes(bug.problem):
            for seed in SEEDS:
                known = truth(bug.problem, k, seed, dtype)
                got = answer(wrong, known.inputs)
                if visible(got, answer(right, known.inputs)):
                    judged.append(judge.judge(got, known, "rounding"))
    return judged


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    assert len(outcomes(bug)) >= len(DTYPES) * len(sizes(bug.problem)) * len(SEEDS) / 2
    assert {judged.verdict for judged in outcomes(bug)} == {Verdict.DIFFERS}


def test_the_right_step_is_named() -> None:
    named = [
        judged.first_wrong is not None and (judged.first_wrong.kind, judged.first_wrong.name) == (bug.kind, bug.name)
        for bug in BUGS
        for judged in outcomes(bug)
    ]
    assert len(named) > 450
    assert np.mean(named) >= 0.9


def without_number(session: gradcheck.Session, name: str, **case: Any) -> list[tuple[Verdict, str]]:
    """For each backend the verdict, and which gradients hold NaN."""
    report = session.check(name, **case)
    return [
        (backend.verdict, "".join(each for each, error in backend.errors.items() if np.isnan(error.max_abs)))
        for backend in report.backends
    ]


@pytest.mark.parametrize(
    ("distribution", "dtype", "nan"),
    [
        ("saturated", "float64", "A"),
        ("saturated", "float32", "A"),
        ("zeros", "float64", "ABC"),
        ("zeros", "float32", "ABC"),
        ("subnormal", "float64", "ABC"),
        ("subnormal", "float32", "ABC"),
        ("tiny", "float32", "ABC"),
    ],
)
def test_the_specimen_gives_nan_where_the_stable_form_does_not(
    session: gradcheck.Session, distribution: str, dtype: str, nan: str
) -> None:
    case = {"k": 16, "distribution": distribution, "dtype": dtype}
    assert without_number(session, SPECIMEN, **case) == [(Verdict.UNDECIDED, nan)] * 3
    assert without_number(session, "sigmoid_skip", **case) == [(Verdict.AGREES, "")] * 4


@pytest.mark.parametrize(
    ("distribution", "dtype"),
    [("tiny", "float64"), *((each, dtype) for each in ("normal", "unit-scaled", "cancelling") for dtype in DTYPES)],
)
def test_elsewhere_the_specimen_is_equally_good(session: gradcheck.Session, distribution: str, dtype: str) -> None:
    case = {"k": 16, "distribution": distribution, "dtype": dtype}
    assert without_number(session, SPECIMEN, **case) == [(Verdict.AGREES, "")] * 3


@pytest.mark.parametrize(("dtype", "lowest"), [("float64", -709.8), ("float32", -88.8)])
def test_the_specimen_gives_nan_where_its_exponential_overflows(
    session: gradcheck.Session, dtype: str, lowest: float
) -> None:
    overflows = set()
    for seed in range(12):
        case = {"k": 3, "seed": seed, "distribution": "mixed", "dtype": dtype}
        inputs = cases.sample(problems.load(SPECIMEN), **case).inputs
        below = bool(np.any(inputs["A"] @ inputs["x"] < lowest))
        found = without_number(session, SPECIMEN, **case)
        assert [nan for _, nan in found] == ["A" if below else ""] * 3, seed
        overflows.add(below)
    assert overflows == {True, False}
