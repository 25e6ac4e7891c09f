"""Legitimate variants of the backpropagation: other orders of summation, other forms. None of them is ever refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from gradcheck import cases, judge, problems
from gradcheck.answers import Answer
from gradcheck.errors import RequestError
from gradcheck.oracle import Format
from gradcheck.results import Verdict
from gradcheck.tapes import record_tape
from tests.planted import CLEAN, Steps, answer, place, sigmoid

PROBLEM = problems.load("sigmoid_skip")
DTYPES = ("float64", "float32", "float16")
Dot = Callable[[np.ndarray, np.ndarray], np.ndarray]
Sum = Callable[[np.ndarray], np.ndarray]


def products(dot: Dot) -> Steps:
    """All sums as matrix-vector products of one kind."""
    return {
        "y": lambda s: dot(s.A, s.x),
        "v": lambda s: dot(s.B, s.x),
        "w": lambda s: dot(s.C, s.z),
        "dz": lambda s: dot(s.C.T, s.dw),
        "loss": lambda s: dot(s.w[None], s.w)[0],
    }


def summed(along: Sum) -> Steps:
    """All sums over the last axis of rounded products."""
    return products(lambda matrix, vector: along(matrix * vector))


def left_to_right(terms: np.ndarray) -> np.ndarray:
    total = terms[..., 0]
    for column in range(1, terms.shape[-1]):
        total = total + terms[..., column]
    return total


def pairwise(terms: np.ndarray) -> np.ndarray:
    while terms.shape[-1] > 1:
        odd = terms[..., terms.shape[-1] // 2 * 2 :]
        terms = np.concatenate([terms[..., 0:-1:2] + terms[..., 1::2], odd], axis=-1)
    return terms[..., 0]


def blocked(terms: np.ndarray, size: int = 8) -> np.ndarray:
    starts = range(0, terms.shape[-1], size)
    return left_to_right(np.stack([left_to_right(terms[..., start : start + size]) for start in starts], axis=-1))


def compensated(terms: np.ndarray) -> np.ndarray:
    """Each sum rounded once."""
    return np.array([math.fsum(row) if np.isfinite(row).all() else np.sum(row) for row in terms.tolist()])


def kahan(terms: np.ndarray) -> np.ndarray:
    total, lost = terms[..., 0], np.zeros_like(terms[..., 0])
    for column in range(1, terms.shape[-1]):
        term = terms[..., column] - lost
        longer = total + term
        total, lost = longer, (longer - total) - term
    return total


def smallest_first(terms: np.ndarray) -> np.ndarray:
    return left_to_right(np.take_along_axis(terms, np.argsort(np.abs(terms), axis=-1), axis=-1))


def wider(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A dot product with no rounding on the way but the last, or nearly so."""
    return np.sum(matrix.astype(np.longdouble) * vector, axis=-1)


def fused_multiply_add(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Products are not rounded before they are added: exact in the next wider dtype, nearly so in longdouble."""
    total = np.zeros(matrix.shape[0], vector.dtype)
    for column, factor in zip(matrix.T.astype(np.longdouble), vector):
        total = np.asarray(total + column * factor, vector.dtype)
    return total


def in_float64(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return matrix.astype(np.float64) @ vector.astype(np.float64)


def decay(y: np.ndarray) -> np.ndarray:
    return np.exp(-np.abs(y))


VARIANTS: dict[str, Steps] = {
    "as planted.CLEAN has it": CLEAN,
    "left to right": summed(left_to_right),
    "right to left": summed(lambda terms: left_to_right(terms[..., ::-1])),
    "pairwise": summed(pairwise),
    "in blocks": summed(blocked),
    "smallest first": summed(smallest_first),
    "compensated": summed(compensated),
    "Kahan": summed(kahan),
    "einsum": products(lambda matrix, vector: np.einsum("ij,j->i", matrix, vector)),
    "fused multiply-add": products(fused_multiply_add),
    "wider accumulator": products(wider),
    "summed in float64": products(in_float64),
    "columns added up": products(lambda matrix, vector: left_to_right(matrix * vector)),
    "σ' = e/(1 + e)²": {"dy": lambda s: s.du * (decay(s.y) / (1 + decay(s.y)) ** 2)},
    "σ' = σ(y)σ(−y)": {"dy": lambda s: s.du * (sigmoid(s.y) * sigmoid(-s.y))},
    "(1 − u)u first": {"dy": lambda s: s.du * ((1 - s.u) * s.u)},
    "dL/du(1 − u) first": {"dy": lambda s: s.du * (1 - s.u) * s.u},
    "u − u·u": {"dy": lambda s: s.du * (s.u - s.u * s.u)},
    "dL/du·u − dL/du·u·u": {"dy": lambda s: s.du * s.u - s.du * s.u * s.u},
    "1/(1 + exp(−y))": {"u": lambda s: 1 / (1 + np.exp(-s.y))},
    "norm(w)²": {"loss": lambda s: np.linalg.norm(s.w) ** 2},
    "w²": {"loss": lambda s: np.sum(s.w**2)},
    "dot(w, w)": {"loss": lambda s: np.dot(s.w, s.w)},
    "w + w": {"dw": lambda s: s.w + s.w},
    "outer products by broadcasting": {
        "dA": lambda s: s.dy[:, None] * s.x,
        "dB": lambda s: s.dv[:, None] * s.x,
        "dC": lambda s: s.dw[:, None] * s.z,
    },
    "outer products of matrices": {
        "dA": lambda s: s.dy[:, None] @ s.x[None],
        "dB": lambda s: s.dv[:, None] @ s.x[None],
        "dC": lambda s: s.dw[:, None] @ s.z[None],
    },
    "dL/dC = 2(w zᵀ)": {"dC": lambda s: 2 * np.outer(s.w, s.z)},
    "A and B stacked": {
        "y": lambda s: (np.concatenate([s.A, s.B]) @ s.x)[: s.x.size],
        "v": lambda s: (np.concatenate([s.A, s.B]) @ s.x)[s.x.size :],
    },
    "vector times matrix": {
        "y": lambda s: s.x @ s.A.T,
        "v": lambda s: s.x @ s.B.T,
        "w": lambda s: s.z @ s.C.T,
        "dz": lambda s: s.dw @ s.C,
    },
}


@cache
def truth(k: int, dtype: str, distribution: str) -> judge.Truth | None:
    """None where the inputs cannot be drawn."""
    try:
        case = cases.sample(PROBLEM, k, k, dtype, distribution)
    except RequestError:
        return None
    return judge.truth(record_tape(PROBLEM, k), case.inputs, Format.of(dtype))


def is_finite(given: Answer) -> bool:
    return all(np.isfinite(array).all() for array in (given.loss, *given.values.values(), *given.gradients.values()))


def assert_accepted(got: Answer, known: judge.Truth) -> None:
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
    """So that the tests above are not passed by being undecided; and a wrong digit in the same case is refused."""
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
