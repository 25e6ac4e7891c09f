"""Backward passes of public code: right ones are never refused as wrong formulas, and real mistakes are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.backends._worker.source import execute
from gradcheck.judging import diagnosis, judge
from gradcheck.oracle import Format
from gradcheck.problems import cases
from gradcheck.results import Verdict
from tests.recorded import record_tape

FILES = {path.stem: path for path in sorted((Path(__file__).parent / "public").glob("[!_]*.py"))}
DTYPES = ("float64", "float32")
DISTRIBUTIONS = ("uniform", "normal")
SIZES = (1, 4, 32)
# 1/(1 + e⁻ˣ) − 1 has no digits for large x: a right formula of the course, whose digits cancel.
LOSES_DIGITS = {("word2vec", "normal", 32)}


@cache
def module(name: str) -> ModuleType:
    return execute(str(FILES[name]))


@cache
def truth(name: str, k: int, dtype: str, distribution: str) -> judge.Truth:
    problem = problems.load(str(FILES[name]))
    case = cases.sample(problem, k, 0, dtype, distribution)
    return judge.truth(record_tape(problem, k), case.inputs, Format.of(dtype))


def mistaken(name: str, mistake: str) -> Callable[..., Any]:
    """The backward pass with a mistake in its source."""
    source, (right, wrong) = FILES[name].read_text(), module(name).MISTAKES[mistake]
    code, separator, rest = source.partition("\nMISTAKES = ")
    assert code.count(right) == 1, right
    namespace: dict[str, Any] = {}
    exec(code.replace(right, wrong) + separator + rest, namespace)
    return namespace["published"]


def answer(backward: Callable[..., Any], inputs: Mapping[str, np.ndarray]) -> BackendAnswer:
    with np.errstate(all="ignore"):
        loss, derivatives, values = backward(**{name: array.copy() for name, array in inputs.items()})
    arrays = {name: np.asarray(array) for name, array in derivatives.items()}
    return BackendAnswer(
        loss=np.asarray(loss),
        gradients={name: array for name, array in arrays.items() if name in inputs},
        values={name: np.asarray(array) for name, array in values.items()},
        adjoints={name: array for name, array in arrays.items() if name not in inputs},
    )


def diagnosed(name: str, k: int, dtype: str, distribution: str, given: BackendAnswer) -> judge.Judgement:
    """The judgement of an answer, with its cause: the backward pass runs once more, as in a worker."""
    known = truth(name, k, dtype, distribution)

    def rerun(other: str) -> tuple[BackendAnswer, judge.Truth]:
        inputs = {name: array.astype(other) for name, array in known.inputs.items()}
        again = answer(module(name).published, inputs)
        if other == diagnosis.LONGDOUBLE:
            return in_float64(again), known
        return again, judge.truth(known.tape, inputs, Format.of(other))

    other = partial(diagnosis.other_dtype, by_hand=True, lacks=lambda _: False)
    return diagnosis.diagnose(given, known, judge.judge(given, known, "rounding"), other, rerun)


def in_float64(given: BackendAnswer) -> BackendAnswer:
    """An answer in longdouble, in the form of a worker's."""
    narrow = {
        group: {name: np.asarray(array, np.float64) for name, array in getattr(given, group).items()}
        for group in ("gradients", "values", "adjoints")
    }
    return replace(given, loss=np.asarray(given.loss, np.float64), **narrow)


def without_watched_values(given: BackendAnswer) -> BackendAnswer:
    return replace(given, values={}, adjoints={})


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FILES)
def test_a_published_backward_pass_is_not_refused(
    name: str, dtype: str, distribution: str, k: int, pytestconfig: pytest.Config
) -> None:
    if (distribution, k) == ("uniform", 32) and not pytestconfig.getoption("--thorough"):
        pytest.skip("normal inputs of this size are wider")
    known = truth(name, k, dtype, distribution)
    got = answer(module(name).published, known.inputs)
    for given in (got, without_watched_values(got)):
        judged = diagnosed(name, k, dtype, distribution, given)
        assert judged.cause is None or judged.cause.kind == "lost digits", judged.reason
        lossy = (name, distribution, k) in LOSES_DIGITS
        assert (judged.verdict is Verdict.DIFFERS) is lossy, judged.reason


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "mistake"), [(name, each) for name in FILES for each in module(name).MISTAKES])
def test_a_mistake_that_people_make_is_found(name: str, mistake: str, dtype: str, distribution: str) -> None:
    known = truth(name, 4, dtype, distribution)
    got = answer(mistaken(name, mistake), known.inputs)
    for given in (got, without_watched_values(got)):
        assert judge.judge(given, known, "rounding").verdict is Verdict.DIFFERS


def test_there_are_at_least_fifteen_with_two_mistakes_each() -> None:
    assert len(FILES) >= 15
    assert {name: len(module(name).MISTAKES) for name in FILES} == dict.fromkeys(FILES, 2)
