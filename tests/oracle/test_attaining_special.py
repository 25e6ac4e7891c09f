"""Worst cases and spreads of erfc and of the functions of Γ (docs/math.md, R12 and R31)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import analyse, record
from gradcheck.oracle.operations import Operation
from gradcheck.oracle.operations.special import DIGAMMA, LGAMMA, TRIGAMMA
from tests.oracle.attaining import SINGLE, U, operation_of, ratio, share, step

ERFC = operation_of(lambda ops, a: ops.erfc(a), ())


def test_erfc_errs_by_the_size_of_its_exponent() -> None:
    for a in (-1.0, 0.5, 3.0, 7.0):
        result = step(ERFC, [a])
        answer = result.float64 * (1 + 12 * U + math.expm1(max(a, 0.0) ** 2 * U))
        assert 0.98 < share(answer, result) <= 1


def test_a_real_square_in_the_exponent_of_erfc_is_rounded() -> None:
    a = np.linspace(7, 9, 2000, dtype=np.float32)
    exact = np.array([math.erfc(entry) for entry in a.astype(float)])
    rounded = exact * np.exp(np.square(a.astype(np.float64)) - (a * a).astype(np.float64))
    assert 0.3 < share(rounded, step(ERFC, [a])) <= 1


def lgamma_terms(a: float) -> float:
    return abs(math.lgamma(a)) + (a + 0.5) * math.log(a + 8) + a + 8


def test_gamma_functions_err_by_the_size_of_their_terms() -> None:
    """At 2, where lgamma is zero, XLA's is 33 u off; its digamma is 17 u off at its zero, 1.46."""
    for a in (0.25, 2.0, 40.0):
        result = step(LGAMMA, [a])
        assert 0.999 < share(result.float64 + 4 * U * lgamma_terms(a), result) <= 1
        result = step(DIGAMMA, [a])
        assert 0.999 < share(result.float64 + 12 * U * (abs(math.log(a)) + 1 / a + 1), result) <= 1
        result = step(TRIGAMMA, [a])
        assert 0.999 < share(result.float64 * (1 + 48 * U), result) <= 1
    assert 33 * U < step(LGAMMA, [2.0]).worst < 70 * U


def test_below_zero_nothing_is_known_of_gamma_functions() -> None:
    for operation in (LGAMMA, DIGAMMA, TRIGAMMA):
        assert np.isinf(step(operation, [-0.5]).worst)
        assert np.isinf(step(operation, [0.5], errors=[0.6]).worst)
        assert np.isfinite(step(operation, [0.5], errors=[0.4]).worst)


PROPAGATED: dict[str, tuple[Operation, float, float]] = {
    "erfc": (ERFC, 0.2, -0.2),
    "lgamma, falling": (LGAMMA, 0.5, -1e-3),
    "lgamma, rising": (LGAMMA, 9.0, 1e-2),
    "digamma": (DIGAMMA, 1.5, -1e-2),
}


@pytest.mark.parametrize("name", PROPAGATED)
def test_errors_of_operands_make_the_error_of_the_result(name: str) -> None:
    operation, a, off = PROPAGATED[name]
    result = step(operation, [a], errors=[abs(off)])
    assert 0.97 < share(operation.value(np.asarray(a + off)), result) <= 1


@pytest.mark.parametrize("name", PROPAGATED)
def test_deviations_of_operands_make_the_deviation_of_the_result(name: str) -> None:
    operation, a, _ = PROPAGATED[name]
    computed = a + 0.002 * np.random.default_rng(0).standard_normal(1000)
    assert 0.9 < ratio(operation.value(computed), step(operation, [a], variances=[0.002**2])) < 1.1


def test_a_function_deviates_by_so_many_roundings() -> None:
    for operation, roundings in (
        (ERFC, math.hypot(3, 4) * math.erfc(2)),
        (LGAMMA, 0.5 * lgamma_terms(2.0)),
        (DIGAMMA, 2 * (math.log(2) + 1.5)),
        (TRIGAMMA, 2 * (math.pi**2 / 6 - 1)),
    ):
        result = step(operation, [2.0])
        errors = roundings * U * np.random.default_rng(0).uniform(-1, 1, 1000)
        assert 0.85 < ratio(result.float64 + errors, result) < 1.1


def test_lgamma_and_its_derivative_are_those_of_the_standard_library() -> None:
    def loss(ops: Any, a: Any) -> Any:
        return ops.sum(ops.lgamma(a))

    a = np.array([0.25, 1.0, 7.5, 100.0], np.float32)
    known = analyse(record(loss, {"a": a.shape}, ("a",)), {"a": a}, SINGLE)
    assert known["loss", None].enclosure.high == pytest.approx(sum(map(math.lgamma, a.tolist())), rel=1e-12)
    slopes = [(math.lgamma(x * (1 + 1e-6)) - math.lgamma(x * (1 - 1e-6))) / (2e-6 * x) for x in a.tolist()]
    assert known["gradient", "a"].enclosure.high == pytest.approx(slopes, rel=1e-6)
