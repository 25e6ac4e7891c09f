"""Worst cases and spreads that correct backends attain, of functions of single entries (docs/math.md, R12 and R24)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx

from gradcheck.oracle import Format, analyse, record
from gradcheck.oracle.operations import Operation
from gradcheck.oracle.operations.gaussian import DENSITY, DISTRIBUTION, ERF_DERIVATIVE
from gradcheck.oracle.operations.products import SQUARE
from tests.oracle.attaining import SINGLE, U, operation_of, ratio, share, step

single = np.float32
RUNS = 1000
NEARLY = 0.002
"""A deviation of an operand, relative, much larger than roundings."""


def word_of(name: str) -> Operation:
    return operation_of(lambda ops, a: getattr(ops, name)(a), ())


ELU = operation_of(lambda ops, a: ops.elu(a, 0.75), ())
TAPE = record(lambda ops, a: ops.sum(ops.elu(a, 0.75)), {"a": (1,)}, ("a",))
ELU_DERIVATIVE = next(
    node.operation for node in TAPE.nodes if node.operation is not None and node.operation.name == "elu derivative"
)


def answer_of(loss: Callable[..., Any], a: Any, format: Format = SINGLE) -> Any:
    """The analysis of a loss of one array."""
    inputs = {"a": np.asarray(a, single)}
    return analyse(record(loss, {"a": inputs["a"].shape}, ("a",)), inputs, format)


def exponential(a: np.ndarray) -> np.ndarray:
    """eᵃ in float32, 6 u off before its rounding (NumPy's own differs from processor to processor)."""
    return (np.exp(a.astype(float)) * (1 + 6 * U)).astype(single)


def density(a: float) -> float:
    return math.exp(-a * a / 2) / math.sqrt(2 * math.pi)


# Roundings.

ACCURACIES = {
    # name -> units of u, and the table
    "erf": (8, "measured in XLA and TensorFlow in float32: 5.9; CUDA's erff: 2 ulp"),
    "rsqrt": (6, "measured in TensorFlow in float32, all of [1, 4): 3.96; CUDA's rsqrtf: 2 ulp"),
    "log2": (12, "log's 4 ulp, log 2 and a quotient"),
    "log10": (12, "log's 4 ulp, log 10 and a quotient"),
    "tan": (8, "CUDA's tanf: 4 ulp"),
    "atan": (6, "measured in TensorFlow: 4.3"),
    "asin": (8, "measured in TensorFlow in float32: 6.4; CUDA's asinf: 2 ulp"),
    "acos": (8, "measured in TensorFlow in float32: 4.9; CUDA's acosf: 2 ulp"),
    "asinh": (8, "CUDA's asinhf: 3 ulp; measured in XLA: 3.7"),
    "acosh": (8, "CUDA's acoshf: 4 ulp; measured in XLA: 3.7"),
    "atanh": (8, "CUDA's atanhf: 3 ulp; measured in XLA in float32: 2.9"),
}


@pytest.mark.parametrize("name", ACCURACIES)
def test_a_function_may_have_the_largest_error_that_its_authors_state(name: str) -> None:
    result = step(word_of(name), [1.75 if name == "acosh" else 0.75])
    assert 0.999 < share(result.float64 * (1 + ACCURACIES[name][0] * U), result) <= 1


GROWING = {
    # name -> units of u, and units of u for each unit of the operand
    "exp2": (8, 1.4),
    "sinh": (8, 1.0),
    "cosh": (8, 1.0),
}


@pytest.mark.parametrize("name", GROWING)
def test_a_function_by_exp_of_a_rounded_operand_errs_by_its_size(name: str) -> None:
    accuracy, growth = GROWING[name]
    for a in (1.0, -60.0):
        result = step(word_of(name), [a])
        assert 0.999 < share(result.float64 * (1 + (accuracy + growth * abs(a)) * U), result) <= 1


def test_xla_computes_a_hyperbolic_sine_so() -> None:
    a = np.linspace(40, 80, 30_000).astype(single)
    answer = np.exp((a - single(math.log(2))).astype(np.float64))
    assert 0.4 < share(answer, step(word_of("sinh"), [a])) <= 1


def test_a_hyperbolic_sine_is_open_where_an_exponential_overflows() -> None:
    """PyTorch's float32 kernel gives ∞ at 89.34, where sinh is 3.1e38."""
    assert np.isinf(step(word_of("sinh"), [89.0]).worst)
    assert np.isinf(step(word_of("cosh"), [-89.0]).worst)
    assert np.isfinite(step(word_of("cosh"), [88.0]).worst)


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
    "exp2": (word_of("exp2"), 1.0, 1e-2),
    "log2": (word_of("log2"), 1.0, -1e-2),
    "log10": (word_of("log10"), 1.0, -1e-2),
    "tan": (word_of("tan"), -1.0, -1e-2),
    "sinh": (word_of("sinh"), -1.0, -1e-2),
    "cosh": (word_of("cosh"), -1.0, -1e-2),
    "atan": (word_of("atan"), 0.2, -0.2),
    "asin": (word_of("asin"), -0.5, -1e-2),
    "acos": (word_of("acos"), 0.5, 1e-2),
    "asinh": (word_of("asinh"), 0.2, -0.2),
    "acosh": (word_of("acosh"), 1.75, -1e-2),
    "atanh": (word_of("atanh"), -0.5, -1e-2),
    "leaky_relu, above zero": (word_of("leaky_relu"), 0.5, 0.25),
    "leaky_relu, below zero": (word_of("leaky_relu"), -0.5, 0.25),
    "leaky_relu, across zero": (word_of("leaky_relu"), -0.001, 0.25),
    "elu, above zero": (ELU, 0.5, 0.25),
    "elu, below zero": (ELU, -0.5, 1e-2),
    "elu, across zero": (ELU, -0.001, 0.25),
    "elu derivative, below zero": (ELU_DERIVATIVE, -0.5, 1e-2),
    "elu derivative, across zero": (ELU_DERIVATIVE, -0.001, 0.002),
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


def test_a_tangent_near_a_pole_is_open() -> None:
    for a, error in ((1.57, 0.01), (1.0, 1.6), (0.0, 3.2), (1.57, 3.15)):
        assert np.isinf(step(word_of("tan"), [a], errors=[error]).worst)
    assert np.isfinite(step(word_of("tan"), [0.0], errors=[1.5]).worst)


FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tan": lambda a: single(1) / np.square(np.cos(a) * single(1 + 4 * U)),
    "asinh": lambda a: single(1) / np.cosh(np.arcsinh(a) * single(1 + 8 * U)),
    "acosh": lambda a: single(1) / np.sinh(np.arccosh(a) * single(1 + 8 * U)),
    "atanh": lambda a: single(1) / (single(1) - a * a),
    "asin": lambda a: single(1) / np.sqrt(single(1) - a * a),
    "acos": lambda a: -single(1) / np.sqrt(single(1) - a * a),
    "rsqrt": lambda a: single(-0.5) * (single(1) / np.sqrt(a)) / a,
}


@pytest.mark.parametrize("name", FORMS)
def test_derivatives_of_several_forms_cover_each(name: str) -> None:
    """With functions as far off as their authors state; a² near 1 loses digits of 1 − a²."""
    low, high = {"tan": (-1.0, 0.2), "asinh": (5, 5000), "acosh": (1.01, 5000), "rsqrt": (0.1, 9)}.get(
        name, (0.1, 0.9999)
    )
    a = np.linspace(low, high, 4001, dtype=single)
    gradient = answer_of(lambda ops, a: ops.sum(getattr(ops, name)(a)), a)["gradient", "a"]
    assert np.all(np.abs(gradient.enclosure.distance(FORMS[name](a))) <= gradient.worst)


# Typical errors.

DEVIATING: dict[str, tuple[Operation, float]] = {
    **{name: (word_of(name), 0.7) for name in ("erf", "rsqrt", "exp2", "log2", "log10", "tan", "sinh", "cosh", "atan")},
    **{name: (word_of(name), 0.5) for name in ("asin", "acos", "asinh", "atanh", "log_sigmoid")},
    "acosh": (word_of("acosh"), 1.75),
    "leaky_relu, above zero": (word_of("leaky_relu"), 0.7),
    "leaky_relu, below zero": (word_of("leaky_relu"), -0.7),
    "elu, below zero": (ELU, -0.7),
    "elu derivative, below zero": (ELU_DERIVATIVE, -0.7),
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
    "log2": (word_of("log2"), lambda value: 2 * value),
    "log10": (word_of("log10"), lambda value: 2 * value),
    "tan": (word_of("tan"), lambda value: 1.5 * value),
    "atan": (word_of("atan"), lambda value: 1.5 * value),
    "asinh": (word_of("asinh"), lambda value: 2 * value),
    "acosh": (word_of("acosh"), lambda value: 2 * value),
    "sinh": (word_of("sinh"), lambda value: math.hypot(2, 2) * value),
    "cosh": (word_of("cosh"), lambda value: math.hypot(2, 2) * value),
    "exp2": (word_of("exp2"), lambda value: math.hypot(1.5, 2.8) * value),
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


# R18 and R29: rectifiers and steps.


def test_below_zero_a_rectifier_is_rounded_and_above_zero_it_is_not() -> None:
    assert not np.any(step(word_of("leaky_relu"), [2.0]).worst)
    assert not np.any(step(ELU, [2.0]).worst)
    assert not np.any(step(ELU_DERIVATIVE, [2.0]).worst)
    leaky = step(word_of("leaky_relu"), [-1.5])
    assert 0.99 < share(-1.5 * 0.01 * (1 + U) ** 2, leaky) <= 1
    slopes = np.linspace(-2, -1, 30_000, dtype=single)
    assert 0.5 < share(single(0.01) * slopes, step(word_of("leaky_relu"), [slopes])) <= 1
    for a in (-1e-3, -3.0):
        assert 0.999 < share(0.75 * math.expm1(a) + 7.5 * U, step(ELU, [a])) <= 1
        assert 0.999 < share(0.75 * math.exp(a) + 7.5 * U, step(ELU_DERIVATIVE, [a])) <= 1


def test_a_difference_of_exponentials_loses_the_digits_of_an_elu_near_zero() -> None:
    """MXNet, MLX and TensorFlow have α(eᵃ − 1), and its derivative as v + α."""
    a = np.linspace(-2, -1e-6, 30_001, dtype=single)
    value = single(0.75) * (exponential(a) - single(1))
    assert 0.6 < share(value, step(ELU, [a])) <= 1
    assert 0.6 < share(value + single(0.75), step(ELU_DERIVATIVE, [a])) <= 1


def test_a_rectifier_whose_operand_may_be_on_either_side_of_zero_has_either_slope() -> None:
    assert step(ELU_DERIVATIVE, [0.1], errors=[0.2]).worst > 0.25
    assert step(ELU_DERIVATIVE, [0.3], errors=[0.2]).worst == 0
    known = answer_of(lambda ops, a: ops.sum(ops.leaky_relu(a, 0.25)), [0.0, 1.0, -1.0])
    assert known.ties == {"leaky_relu"}
    gradient = known["gradient", "a"]
    for legitimate in (0.25, 1.0, 0.5):
        assert np.all(np.abs(gradient.enclosure.distance(single([legitimate, 1, 0.25]))) <= gradient.worst)
    assert gradient.worst[0] > 0.3


def test_a_share_that_may_be_a_fraction_is_rounded() -> None:
    """A subnormal operand that is read as zero: the slope below zero, rounded to bfloat16's 0.69921875."""
    format = Format.of("bfloat16", flushes=True)
    gradient = answer_of(lambda ops, a: ops.sum(ops.leaky_relu(a, 0.7)), [1e-39], format)["gradient", "a"]
    share_of_bound = np.abs(gradient.enclosure.distance(single([0.69921875]))) / gradient.worst
    assert 0.9 < share_of_bound[0] <= 1
    assert np.all(np.abs(gradient.enclosure.distance(single([0.69921875]))) <= 32 * gradient.spread)


STEPS = {
    # name -> operand, error, and the values that may come of it
    "sign": [(1.0, 0.5, {1}), (1.0, 1.5, {-1, 0, 1}), (0.0, 0.0, {0}), (0.0, 0.1, {-1, 0, 1})],
    "floor": [(1.5, 0.25, {1}), (1.5, 0.75, {0, 1, 2}), (2.0, 0.0, {2}), (2.0, 0.125, {1, 2})],
    "ceil": [(1.5, 0.25, {2}), (1.5, 0.75, {1, 2, 3}), (2.0, 0.0, {2}), (2.0, 0.125, {2, 3})],
    "round": [(1.25, 0.125, {1}), (1.25, 0.5, {1, 2}), (2.5, 0.0, {2}), (3.5, 0.0, {4}), (2.5, 0.125, {2, 3})],
}


@pytest.mark.parametrize("name", STEPS)
def test_an_operand_near_a_step_may_lie_on_either_side_of_it(name: str) -> None:
    for a, error, values in STEPS[name]:
        result = step(word_of(name), [a], errors=[error])
        assert float(result.worst) == max(abs(value - float(result.float64)) for value in values), (a, error)
        with ctx.workprec(64):
            ball = word_of(name).ball(arb(a, error))
        assert all(ball.contains(value) for value in values)
        assert error or ball == min(values)
    assert step(word_of(name), [0.75]).worst is None


def test_another_step_is_within_32_deviations_after_roundings_of_what_is_added_to_it() -> None:
    """e^(−10⁻¹²a) is 1 in float32, so that an engine is a step above the truth, and its difference is rounded too."""
    a = np.linspace(0.1, 3, 59, dtype=single)
    known = answer_of(lambda ops, a: ops.sum(ops.watch("v", a - 7 * ops.floor(ops.exp(-1e-12 * a)))), a)["value", "v"]
    error = np.abs(known.enclosure.distance(a - single(7)))
    assert np.any(error > 7)
    assert np.all(error <= 32 * known.spread)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_passes_no_gradient_on(name: str) -> None:
    known = answer_of(lambda ops, a: ops.sum(getattr(ops, name)(a) * a), [0.75, -1.25])
    values = {"sign": [1, -1], "floor": [0, -2], "ceil": [1, -1], "round": [1, -1]}[name]
    assert known["gradient", "a"].enclosure.high.tolist() == values


# Whole words.


def sigmoid(a: np.ndarray) -> np.ndarray:
    return single(1) / (single(1) + exponential(-a))


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


def test_the_tanh_form_of_gelu_has_every_digit_of_its_root() -> None:
    """√(2/π) is no number of any format, so that its rounding is an error of the truth too."""
    a = np.linspace(-2, 2, 41, dtype=single)
    known = answer_of(lambda ops, a: ops.sum(ops.watch("v", ops.gelu(a, approximate=True))), a, Format.of("float64"))
    enclosure = known["value", "v"].enclosure
    with ctx.workprec(256):
        for entry, high, low, radius in zip(a.tolist(), *(part.tolist() for part in enclosure.parts)):
            inner = (2 / arb.pi()).sqrt() * (entry + arb(0.044715) * arb(entry) ** 3)
            assert abs(entry / 2 * (1 + inner.tanh()) - high - low) <= radius


@pytest.mark.parametrize(
    ("name", "at_one", "slope"),
    [
        ("erf", "0.842700792949714869341220635082609259", 2 / math.sqrt(math.pi) / math.e),
        ("digamma", "-0.577215664901532860606512090082402431", math.pi**2 / 6),
    ],
)
def test_a_value_by_balls_or_series_has_the_digits_of_its_dtype(name: str, at_one: str, slope: float) -> None:
    """f(1 + 2⁻⁶⁰) and f(1) differ by 2⁻⁶⁰ f′(1), which longdouble holds where it is wider than float64."""
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("this platform's longdouble is float64")
    near, one = word_of(name).value(np.longdouble(1) + np.array([2.0**-60, 0.0], np.longdouble))
    assert float(near - one) * 2.0**60 == pytest.approx(slope, rel=0.1)
    assert abs(float(one - np.longdouble(at_one))) < 1e-19


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


def test_a_tangent_at_a_pole_that_no_float_is_has_no_bound() -> None:
    """acos(0) is π/2, which lies between two numbers of longdouble."""
    tape = record(lambda ops, a: ops.tan(ops.acos(a)), {"a": ()}, ("a",))
    assert np.isinf(analyse(tape, {"a": np.zeros(())}, Format.of("float64"))["loss", None].enclosure.radius)
