"""Worst cases and spreads of functions of two arguments (docs/math.md, R36)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import Format, analyse, record
from gradcheck.oracle.operations import Operation
from gradcheck.oracle.operations.pairs import ATAN2, HYPOT, POWER, ArrayPower
from gradcheck.oracle.operations.terms import DOUBT
from tests.oracle.attaining import LARGEST, SMALLEST, U, ratio, share, step

BELOW = ArrayPower(1).operation()


def test_a_function_may_have_the_largest_error_that_its_authors_state() -> None:
    for operation, operands, units in (
        (POWER, [1.5, 2.25], 8),
        (POWER, [1.5, 20.5], 21.5),
        (HYPOT, [0.5, 2.0], 6),
        (ATAN2, [0.5, -2.0], 8),
    ):
        result = step(operation, operands)
        assert 0.999 < share(result.float64 * (1 + units * U), result) <= 1


def test_the_exponent_of_a_derivative_is_rounded() -> None:
    result = step(BELOW, [1e30, 0.30000001192092896])
    answer = 1e30 ** (0.30000001192092896 - 1 + 0.7 * U)
    assert 0.85 < share(answer * (1 + 8 * U), result) <= 1
    assert step(BELOW, [1e10, 3.0]).worst < 9 * U * 1e20


def test_a_negative_base_has_powers_of_whole_exponents_alone() -> None:
    assert np.isfinite(step(POWER, [-1.5, 3.0]).worst)
    assert np.isinf(step(POWER, [-1.5, 3.0], errors=[None, 1e-3]).worst)
    assert np.isinf(step(POWER, [0.1, 0.5], errors=[0.2, None]).worst)
    assert np.isinf(step(POWER, [-1.0, 2.0**30]).worst)
    known = gradients(lambda ops, a, b: ops.sum(a**b), [-1.5, 0.0, 2.0], [3.0, 2.0, 1.0], ("a",))
    assert known["gradient", "a"].enclosure.high.tolist() == [6.75, 0.0, 1.0]


def test_squares_that_underflow_are_lost_in_a_root() -> None:
    """As TensorFlow's users write it, √(a² + b²)."""
    tiny = np.sqrt(0.4 * SMALLEST)
    assert 0.3 < share(0.0, step(HYPOT, [tiny, 0.0])) <= 1
    assert np.isinf(step(HYPOT, [math.sqrt(LARGEST) * 1.01, 1.0]).worst)


def test_an_angle_may_jump_where_its_point_may_cross_the_axis() -> None:
    assert step(ATAN2, [0.1, -1.0], errors=[0.2, None]).worst > 6.28
    assert step(ATAN2, [0.1, -1.0], errors=[0.05, None]).worst < 0.06
    assert step(ATAN2, [0.1, 1.0], errors=[0.2, None]).worst < 0.3
    assert np.isinf(step(ATAN2, [0.1, 0.1], errors=[0.2, 0.2]).worst)


def test_an_angle_turns_most_at_the_nearest_point() -> None:
    result = step(ATAN2, [0.0, 1.0], errors=[0.4, 0.4])
    assert 0.6 < share(math.atan2(0.4, 0.6), result) <= 1


PROPAGATED: dict[str, tuple[Operation, list[float], list[float], float]] = {
    # operation, operands, how far they are off, and the least share of the bound
    "power, its base": (POWER, [1.5, 2.5], [1e-3, 0.0], 0.97),
    "power, its base below one": (POWER, [0.5, 0.25], [-1e-3, 0.0], 0.97),
    "power, its exponent": (POWER, [3.0, 2.5], [0.0, 1e-3], 0.97),
    "power, both": (POWER, [3.0, 2.5], [1e-3, 1e-3], 0.97),
    "hypot": (HYPOT, [4.0, 0.0], [1e-3, 0.0], 0.97),
    "atan2": (ATAN2, [0.0, 2.0], [1e-3, 0.0], 0.97),
    "atan2, both": (ATAN2, [1.0, 2.0], [1e-3, -0.5e-3], 0.97),
}


@pytest.mark.parametrize("name", PROPAGATED)
def test_errors_of_operands_make_the_error_of_the_result(name: str) -> None:
    operation, operands, off, least = PROPAGATED[name]
    errors = [abs(each) or None for each in off]
    answer = operation.value(*(np.asarray(each + by) for each, by in zip(operands, off)))
    assert least < share(answer, step(operation, operands, errors=errors)) <= 1


@pytest.mark.parametrize(("operation", "operands"), [(POWER, [1.5, 2.5]), (HYPOT, [1.0, 2.0]), (ATAN2, [1.0, -2.0])])
def test_deviations_of_operands_make_the_deviation_of_the_result(operation: Operation, operands: list[float]) -> None:
    random = np.random.default_rng(0)
    computed = [each + 0.002 * random.standard_normal(1000) for each in operands]
    result = step(operation, operands, variances=[0.002**2] * 2)
    assert 0.9 < ratio(operation.value(*computed), result) < 1.1


@pytest.mark.parametrize(
    ("operation", "operands", "roundings"),
    [(POWER, [1.5, 2.5], 3.25), (HYPOT, [1.0, 2.0], 2), (ATAN2, [1.0, -2.0], 1.5)],
)
def test_a_function_deviates_by_so_many_roundings(
    operation: Operation, operands: list[float], roundings: float
) -> None:
    result = step(operation, operands)
    errors = roundings * U * np.random.default_rng(0).uniform(-1, 1, 1000)
    assert 0.85 < ratio(result.float64 * (1 + errors), result) < 1.1


def gradients(loss: Any, a: Any, b: Any, wrt: tuple[str, ...] = ("a", "b")) -> Any:
    inputs = {"a": np.asarray(a, np.float64), "b": np.asarray(b, np.float64)}
    shapes = {name: array.shape for name, array in inputs.items()}
    return analyse(record(loss, shapes, wrt), inputs, Format.of("float64"))


LOSSES = {
    "power": lambda ops, a, b: ops.sum(a**b),
    "logaddexp": lambda ops, a, b: ops.sum(ops.logaddexp(a, b)),
    "hypot": lambda ops, a, b: ops.sum(ops.hypot(a, b)),
    "atan2": lambda ops, a, b: ops.sum(ops.atan2(a, b)),
}
VALUES = {"power": np.power, "logaddexp": np.logaddexp, "hypot": np.hypot, "atan2": np.arctan2}


@pytest.mark.parametrize("name", LOSSES)
def test_values_and_derivatives_are_numpys(name: str) -> None:
    a, b = np.array([[0.5], [2.0]]), np.array([1.25, -0.75, 2.0])
    known, value, off = gradients(LOSSES[name], a, b), VALUES[name], 1e-6
    assert known["loss", None].enclosure.high == pytest.approx(np.sum(value(a, b)), rel=1e-13)
    along_a = np.sum(value(a + off, b) - value(a - off, b), axis=1, keepdims=True) / (2 * off)
    along_b = np.sum(value(a, b + off) - value(a, b - off), axis=0) / (2 * off)
    assert np.allclose(known["gradient", "a"].enclosure.high, along_a, rtol=1e-7, atol=1e-8)
    assert np.allclose(known["gradient", "b"].enclosure.high, along_b, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_sign_of_an_exact_zero_turns_an_angle(sign: float) -> None:
    """0·a is −0 for a negative a, and 0 for any other."""
    on_the_cut, at_zero = step(ATAN2, [[sign * 0.0], [-1.0]]), step(ATAN2, [[0.0], [0.0]])
    assert share([-sign * math.pi], on_the_cut) == pytest.approx(1, abs=1e-5)
    assert on_the_cut.variance is not None
    assert on_the_cut.variance[0] >= (2 * math.pi / DOUBT) ** 2
    assert np.isinf(at_zero.worst).all()
    right_of_it = step(ATAN2, [[0.0], [1.0]])
    assert right_of_it.worst is not None
    assert right_of_it.worst[0] < 1e-30


def test_angles_of_rectified_entries_have_no_false_alarm() -> None:
    """Programs make 0 or −0 of an exact zero, so that ±π and 0 are all right there."""
    tape = record(lambda ops, a: ops.sum(ops.atan2(ops.relu(a), ops.relu(a))), {"a": (3,)}, ("a",))
    found = analyse(tape, {"a": np.array([-1.0, -2.0, -3.0])}, Format.of("float64"))["loss", None]
    assert np.isinf(found.worst)
    assert np.isinf(found.spread) or found.spread * DOUBT > 2 * math.pi
