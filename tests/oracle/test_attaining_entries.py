"""Worst cases and spreads that correct backends attain, of functions of single entries (docs/math.md, R12 and R24)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import Format, analyse, record
from gradcheck.oracle.operations import Operation
from gradcheck.oracle.operations.gaussian import DENSITY, DISTRIBUTION, ERF_DERIVATIVE
from gradcheck.oracle.operations.products import SQUARE
from tests.oracle.attaining import SINGLE, U, operation_of, ratio, share, step

single = np.float32
RUNS = 1000
NEARLY = 0.02
"""A deviation of an operand, relative, much larger than roundings."""


def word_of(name: str) -> Operation:
    return operation_of(lambda ops, a: getattr(ops, name)(a), ())


def density(a: float) -> float:
    return math.exp(-a * a / 2) / math.sqrt(2 * math.pi)


# Roundings.

ACCURACIES = {
    # name -> units of u, and the table
    "erf": (8, "measured in XLA and TensorFlow in float32: 5.9; CUDA's erff: 2 ulp"),
    "rsqrt": (6, "measured in TensorFlow in float32, all of [1, 4): 3.96; CUDA's rsqrtf: 2 ulp"),
}


@pytest.mark.parametrize("name", ACCURACIES)
def test_a_function_may_have_the_largest_error_that_its_authors_state(name: str) -> None:
    result = step(word_of(name), [0.75])
    assert 0.999 < share(result.float64 * (1 + ACCURACIES[name][0] * U), result) <= 1


def test_a_square_is_rounded_once() -> None:
    near_one = single(1 + 2.0**-12)
    assert 0.99 < share(near_one * near_one, step(SQUARE, [near_one])) <= 1


@pytest.mark.parametrize(
    ("operation", "rate", "roundings", "accuracy"), [(ERF_DERIVATIVE, 1.0, 1, 8), (DENSITY, 0.5, 5, 12)]
)
def test_a_rounded_exponent_moves_a_density_by_its_size(
    operation: Operation, rate: float, roundings: int, accuracy: float
) -> None:
    """−a² rounded once; or (a·√½)², each factor rounded twice."""
    for a in (0.25, 1.0, 5.0):
        result = step(operation, [a])
        exact = np.asarray(result.float64)
        answer = exact * math.exp(rate * a * a * roundings * U) * (1 + accuracy * U)
        assert 0.999 < share(answer, result) <= 1


def test_a_real_exponent_is_rounded_to_the_nearest_number() -> None:
    a = np.random.default_rng(0).uniform(5, 6, 30_000).astype(single)
    exact = 2 / math.sqrt(math.pi) * np.exp(-np.square(a.astype(np.float64)))
    rounded = 2 / math.sqrt(math.pi) * np.exp(-(a * a).astype(np.float64))
    assert 0.4 < np.max(np.abs(rounded - exact) / step(ERF_DERIVATIVE, [a]).worst) <= 1


def test_the_normal_distribution_has_an_absolute_error() -> None:
    """PyTorch's float32 kernel is off by 5.1 u at −3.4, where Φ itself is 3·10⁻⁴."""
    for a in (-5.0, 0.0, 3.0):
        result = step(DISTRIBUTION, [a])
        answer = result.float64 + 8 * U + 2 * U * abs(a) * density(a)
        assert 0.999 < share(answer, result) <= 1


def test_a_real_sum_of_one_and_erf_loses_the_digits_of_the_normal_distribution() -> None:
    a = np.linspace(-4, 0, 2001, dtype=single)
    erf = np.array([math.erf(entry / math.sqrt(2)) for entry in a]).astype(single)
    result = step(DISTRIBUTION, [a])
    assert np.max(np.abs((1 + erf) / 2 - result.float64) / (U * result.float64)) > 1000
    assert share((single(1) + erf) / single(2), result) <= 1


# Errors of operands.

PROPAGATED: dict[str, tuple[Operation, float, float]] = {
    # operation, its operand, and how far that is off towards the steepest slope nearby
    "erf": (word_of("erf"), 0.2, -0.2),
    "rsqrt": (word_of("rsqrt"), 1.0, -1e-2),
    "square": (SQUARE, -1.5, -0.5),
    "normal distribution": (DISTRIBUTION, 0.2, -0.2),
    "erf derivative, on its slope": (ERF_DERIVATIVE, 2.0, -1e-2),
    "erf derivative, over its steepest point": (ERF_DERIVATIVE, math.sqrt(0.5) - 0.01, 0.02),
    "normal density, over its steepest point": (DENSITY, 1.01, -0.02),
    "normal density, below its steepest point": (DENSITY, 0.5, 1e-2),
}


@pytest.mark.parametrize("name", PROPAGATED)
def test_errors_of_operands_make_the_error_of_the_result(name: str) -> None:
    operation, a, off = PROPAGATED[name]
    result = step(operation, [a], errors=[abs(off)])
    assert 0.97 < share(operation.value(np.asarray(a + off)), result) <= 1


# Typical errors.

DEVIATING: dict[str, tuple[Operation, float]] = {
    "erf": (word_of("erf"), 0.7),
    "rsqrt": (word_of("rsqrt"), 0.7),
    "square": (SQUARE, 1.5),
    "square, near zero": (SQUARE, 0.0),
    "normal distribution": (DISTRIBUTION, 0.7),
    "erf derivative": (ERF_DERIVATIVE, 0.7),
    "normal density": (DENSITY, 0.7),
}


@pytest.mark.parametrize("name", DEVIATING)
def test_deviations_of_operands_make_the_deviation_of_the_result(name: str) -> None:
    operation, a = DEVIATING[name]
    computed = a + NEARLY * np.random.default_rng(0).standard_normal(RUNS)
    assert 0.9 < ratio(operation.value(computed), step(operation, [a], variances=[NEARLY**2])) < 1.1


TYPICAL: dict[str, tuple[Operation, Callable[[Any], Any]]] = {
    # name -> operation, value -> its roundings, in units of u
    "erf": (word_of("erf"), lambda value: 2 * value),
    "rsqrt": (word_of("rsqrt"), lambda value: 1.5 * value),
    "square": (SQUARE, lambda value: value),
    "normal distribution": (DISTRIBUTION, lambda value: math.hypot(1, value)),
    "erf derivative": (ERF_DERIVATIVE, lambda value: math.hypot(2, 4) * value),
    "normal density": (DENSITY, lambda value: math.hypot(2, 2) * value),
}


@pytest.mark.parametrize("name", TYPICAL)
def test_a_function_deviates_by_so_many_roundings(name: str) -> None:
    operation, roundings = TYPICAL[name]
    result = step(operation, [2.0])
    errors = roundings(result.float64) * U * np.random.default_rng(0).uniform(-1, 1, RUNS)
    assert 0.85 < ratio(result.float64 + errors, result) < 1.1


# Whole words.


def answer_of(loss: Callable[..., Any], a: Any, format: Format = SINGLE) -> Any:
    """The analysis of a loss of one array."""
    inputs = {"a": np.asarray(a, single)}
    return analyse(record(loss, {"a": inputs["a"].shape}, ("a",)), inputs, format)


def sigmoid(a: np.ndarray) -> np.ndarray:
    return single(1) / (single(1) + np.exp(-a))


def test_a_gradient_of_silu_with_common_factors_is_within_the_bounds() -> None:
    """σ(1 + a(1 − σ)), as PyTorch and TensorFlow have it: far above zero it loses a times the digits of 1 − σ."""
    a = np.linspace(-20, 20, 4001, dtype=single)
    gradient = sigmoid(a) * (single(1) + a * (single(1) - sigmoid(a)))
    output = answer_of(lambda ops, a: ops.sum(ops.silu(a)), a)["gradient", "a"]
    error = np.abs(output.enclosure.distance(gradient))
    assert np.all(error <= output.worst)
    assert np.all(error <= 32 * output.spread)
    assert np.max(error / output.worst) > 0.1


def test_a_gelu_far_below_zero_has_the_error_of_a_sum_of_one_and_erf() -> None:
    a = np.linspace(-6, 6, 4001, dtype=single)
    erf = np.array([math.erf(entry * math.sqrt(0.5)) for entry in a.astype(float)]).astype(single)
    output = answer_of(lambda ops, a: ops.sum(ops.watch("gelu", ops.gelu(a))), a)["value", "gelu"]
    assert np.all(np.abs(output.enclosure.distance(single(0.5) * a * (single(1) + erf))) <= output.worst)
    zero = np.abs(output.enclosure.distance(np.zeros_like(a)))
    assert np.all(zero[a < -5.5] <= output.worst[a < -5.5])
    assert np.all(zero[np.abs(a) > 0.01][1000:] > output.worst[np.abs(a) > 0.01][1000:])


def test_gelu_is_as_the_standard_library_has_it() -> None:
    for a in (-3.0, -0.375, 0.0, 0.75, 5.0):
        exact = a * math.erfc(-a / math.sqrt(2)) / 2
        by_tanh = a / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)))
        for approximate, true in ((False, exact), (True, by_tanh)):
            known = answer_of(lambda ops, a, form=approximate: ops.sum(ops.gelu(a, approximate=form)), [a])
            assert known["loss", None].enclosure.high == pytest.approx(true, rel=2e-7)


def test_a_value_by_balls_has_the_digits_of_its_dtype() -> None:
    """erf(1 + 2⁻⁶⁰) and erf(1) differ by 2⁻⁶⁰ erf′(1), which longdouble holds where it is wider than float64."""
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("this platform's longdouble is float64")
    near, one = word_of("erf").value(np.longdouble(1) + np.array([2.0**-60, 0.0], np.longdouble))
    assert float(near - one) * 2.0**60 == pytest.approx(2 / math.sqrt(math.pi) / math.e, rel=0.1)
    assert abs(float(one - np.longdouble("0.842700792949714869341220635082609259"))) < 1e-19


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu_without_a_factor_of_one_half_is_refused(approximate: bool) -> None:
    a = np.linspace(-2, 2, 41, dtype=single)
    output = answer_of(lambda ops, a: ops.sum(ops.watch("v", ops.gelu(a, approximate=approximate))), a)["value", "v"]
    true = output.enclosure.high
    assert np.all(np.abs(output.enclosure.distance(true.astype(single))) <= output.worst)
    assert np.sum(np.abs(output.enclosure.distance((2 * true).astype(single))) > output.worst) == 40


# R18: ends of intervals.


def test_the_ends_of_clip_are_rounded_to_the_dtype_and_its_gradient_there_is_open() -> None:
    def loss(ops: Any, a: Any) -> Any:
        return ops.sum(ops.watch("clipped", ops.clip(a, -0.25, 0.1)))

    known = answer_of(loss, [-1.0, -0.25, 0.0, 0.1, 1.0])
    value, gradient = known["value", "clipped"], known["gradient", "a"]
    assert np.all(np.abs(value.enclosure.distance(single([-0.25, -0.25, 0, 0.1, 0.1]))) <= value.worst)
    assert value.worst[:3].tolist() == [0, 0, 0]
    for legitimate in ([0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0.5, 1, 0.5, 0]):
        assert np.all(np.abs(gradient.enclosure.distance(single(legitimate))) <= gradient.worst)
    assert gradient.worst[[0, 2, 4]].tolist() == [0, 0, 0]


def test_clip_and_maximum_may_follow_different_conventions() -> None:
    known = answer_of(lambda ops, a: ops.sum(ops.clip(a, min=0) + ops.maximum(a, -a)), [0.0, 1.0])
    assert known.ties == {"clip", "maximum"}


def test_a_minimum_passes_on_the_error_of_the_smaller_operand() -> None:
    smaller = answer_of(lambda ops, a: ops.sum(ops.watch("least", ops.minimum(a, 0.1))), [1.0, -1.0])["value", "least"]
    assert np.abs(smaller.worst[0] - 0.1 * U) < 1e-3 * U
    assert smaller.worst[1] == 0
