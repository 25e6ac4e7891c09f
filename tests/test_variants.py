"""Legitimate variants of the backpropagation: other orders of summation, other forms. None of them is ever refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.errors import RequestError
from gradcheck.judging import judge
from gradcheck.oracle import Format
from gradcheck.problems import cases
from gradcheck.results import Verdict
from tests.planted import Steps, answer, place
from tests.recorded import record_tape
from tests.variants import VARIANTS, left_to_right

PROBLEM = problems.load("sigmoid_skip")
DTYPES = ("float64", "float32", "float16")


@cache
def truth(k: int, dtype: str, distribution: str) -> judge.Truth | None:
    """None if the inputs cannot be drawn."""
    try:
        case = cases.sample(PROBLEM, k, k, dtype, distribution)
    except RequestError:
        return None
    return judge.truth(record_tape(PROBLEM, k), case.inputs, Format.of(dtype))


def is_finite(given: BackendAnswer) -> bool:
    return all(np.isfinite(array).all() for array in (given.loss, *given.values.values(), *given.gradients.values()))


def assert_accepted(got: BackendAnswer, known: judge.Truth) -> None:
    """Step by step and from end to end. Where the answer is not finite, overflow must have been possible."""
    judged = judge.judge(got, known, "rounding")
    assert judged.verdict != Verdict.DIFFERS, (judged.reason, judged.first_wrong)
    if not is_finite(got):
        assert judged.verdict == Verdict.UNDECIDED


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("distribution", cases.DISTRIBUTIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_correct_variant_is_never_refused(variant: str, distribution: str, dtype: str) -> None:
    for k in (1, 3, 16, 64):
        known = truth(k, dtype, distribution)
        if known is not None:
            assert_accepted(answer(known.inputs, VARIANTS[variant]), known)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", ["left to right", "pairwise", "summed in float64", "σ' = e/(1 + e)²"])
def test_a_correct_variant_is_not_refused_at_256(variant: str, dtype: str) -> None:
    for distribution in ("uniform", "unit-scaled"):
        known = truth(256, dtype, distribution)
        assert_accepted(answer(known.inputs, VARIANTS[variant]), known)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_correct_variant_is_not_refused_without_its_watched_values(variant: str, dtype: str) -> None:
    for distribution in cases.DISTRIBUTIONS:
        known = truth(3, dtype, distribution)
        if known is not None:
            got = answer(known.inputs, VARIANTS[variant])
            assert_accepted(replace(got, values={}, adjoints={}), known)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_correct_variant_agrees_where_nothing_overflows(variant: str, dtype: str) -> None:
    """So undecided answers alone cannot pass the tests above; and a wrong digit in the same case is refused."""
    known = truth(16, dtype, "unit-scaled")
    got = answer(known.inputs, VARIANTS[variant])
    assert judge.judge(got, known, "rounding").verdict == Verdict.AGREES
    off = {name: array * array.dtype.type(1.02) for name, array in got.gradients.items()}
    assert judge.judge(replace(got, gradients=off), known, "rounding").verdict == Verdict.DIFFERS


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("distribution", cases.DISTRIBUTIONS)
def test_a_fused_product_and_sum_is_judged_from_what_it_gives(distribution: str, dtype: str) -> None:
    """z = u + Bx in one product has no v: then it gives none, and z is judged from u and B."""
    fused: Steps = {"z": lambda s: left_to_right(np.column_stack([s.u, s.B * s.x]))}
    for k in (1, 3, 16, 64):
        known = truth(k, dtype, distribution)
        if known is not None:
            got = answer(known.inputs, fused)
            assert_accepted(replace(got, values={name: got.values[name] for name in "yuzw"}), known)


def tanh_form(y: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(y / 2)) / 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_tanh_form_of_the_sigmoid_is_correct_where_it_is_not_small(dtype: str) -> None:
    """Its error is a roundoff of 1, not of σ: good to the last digits for y ≥ 0, and without a digit far below."""
    for k in (1, 3, 16, 64):
        drawn = cases.sample(PROBLEM, k, k, dtype, "unit-scaled").inputs
        inputs = {name: np.abs(array) for name, array in drawn.items()}
        known = judge.truth(record_tape(PROBLEM, k), inputs, Format.of(dtype))
        assert_accepted(answer(inputs, {"u": lambda s: tanh_form(s.y)}), known)


@pytest.mark.parametrize(("dtype", "y"), [("float64", -30.0), ("float32", -12.0), ("float16", -8.0)])
def test_the_tanh_form_of_the_sigmoid_is_refused_where_it_has_lost_its_digits(dtype: str, y: float) -> None:
    inputs = {name: np.full(shape, 1, dtype) for name, shape in PROBLEM.shapes(1).items()}
    inputs["A"] = np.full((1, 1), y, dtype)
    known = judge.truth(record_tape(PROBLEM, 1), inputs, Format.of(dtype))
    judged = judge.judge(answer(inputs, {"u": lambda s: tanh_form(s.y)}), known, "rounding")
    assert judged.verdict == Verdict.DIFFERS
    assert (judged.first_wrong.kind, judged.first_wrong.name) == place("u")
    assert judge.judge(answer(inputs), known, "rounding").verdict == Verdict.AGREES
