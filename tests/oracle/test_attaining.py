"""Worst cases that correct backends attain: so that no constant of a rule can be halved (docs/math.md).

Real roundings are NumPy's, of single operations. If no library reaches the worst case of a rule (a function's accuracy,
errors of operands), the tests use the worst case that its hypothesis allows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import Format, analyse, record
from gradcheck.oracle.enclosure import bound_of, spread_of
from gradcheck.oracle.operations import Operation
from gradcheck.oracle.operations.arithmetic import ACCUMULATE
from gradcheck.oracle.operations.base import constant
from gradcheck.oracle.operations.branches import AND, EQUAL, NOT, NOT_EQUAL, OR, connected
from gradcheck.oracle.operations.exponentials import Along
from gradcheck.oracle.operations.products import SCALE
from gradcheck.oracle.operations.shares import MAXIMUM_SHARE, Mask
from gradcheck.oracle.operations.signs import SIGNED
from gradcheck.oracle.operations.smooth import SIGMOID_DERIVATIVE, SOFTPLUS_DERIVATIVE, TANH_DERIVATIVE
from gradcheck.oracle.operations.structure import of_conditions
from gradcheck.oracle.operations.terms import Bounded, Decision
from gradcheck.oracle.operations.triples import THREE
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.tape import WATCH
from gradcheck.problems.cases import round_to
from tests.oracle.attaining import LARGEST, NORMAL, SINGLE, U, operation_of, share, step

single = np.float32

NEAR_ONE = single(1 + 2.0**-12)
"""Its square, 1 + 2⁻¹¹ + 2⁻²⁴, is half-way between two numbers: rounding it errs by u."""


def in_order(terms: np.ndarray) -> np.ndarray:
    """A plain loop."""
    return np.cumsum(terms, axis=0, dtype=terms.dtype)[-1]


def to_bfloat16(values: Any) -> np.ndarray:
    fractions, exponents = np.frexp(np.asarray(values, np.float64))
    return np.ldexp(np.rint(np.ldexp(fractions, 8)), exponents - 8)


# R9, R10, R14 and R15: one rounding, and several.

ADD, SUBTRACT, MULTIPLY, DIVIDE = (
    operation_of(word, (), ())
    for word in (lambda ops, a, b: a + b, lambda ops, a, b: a - b, lambda ops, a, b: a * b, lambda ops, a, b: a / b)
)
OUTER = operation_of(lambda ops, a, b: ops.outer(a, b), (1,), (1,))
SUM = operation_of(lambda ops, a: ops.sum(a), (100,))
DOT = operation_of(lambda ops, a, b: a @ b, (100,), (100,))


def test_one_rounding_errs_by_the_unit_roundoff() -> None:
    assert 0.99 < share(single(1) + single(U), step(ADD, [1, U])) <= 1
    assert 0.99 < share(single(1 + 2 * U) - single(U), step(SUBTRACT, [1 + 2 * U, U])) <= 1
    for product in (MULTIPLY, SCALE, OUTER):
        shape = (1,) if product is OUTER else ()
        factors = np.full(shape, NEAR_ONE)
        answer = NEAR_ONE * NEAR_ONE
        assert 0.99 < share(answer, step(product, [factors, factors])) <= 1, product.name


def test_a_number_of_the_problem_is_rounded_once() -> None:
    assert 0.99 < share(single(1 + U), step(constant(1 + U), [])) <= 1
    assert step(constant(1 + 2 * U), []).worst is None


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_each_entry_of_an_array_of_the_problem_is_rounded_once(dtype: str) -> None:
    format = Format.of(dtype)
    u, tiny = format.roundoff, format.smallest
    inexact = np.array([1 + u, -3 * (1 + u), 0.1, 1.5 * tiny, 100.25 * tiny])
    exact = np.array([1 + 2 * u, -0.5, 0.0, np.inf, format.normal, format.largest / 2])
    result = step(constant(np.concatenate([inexact, exact])), [], format=format)
    assert result.worst is not None
    assert result.variance is not None
    sent = round_to(result.float64, dtype)  # what engines get
    errors = np.abs(sent[:5].astype(np.float64) - inexact)
    assert np.all(errors <= result.worst[:5])
    shares = errors / result.worst[:5]
    assert shares[0] > 0.99
    assert shares[3] > 0.49  # of an underflow η is allowed, where rounding to nearest loses half of it
    assert np.all(result.variance[:5] > 0)
    assert not result.worst[5:].any()
    assert not result.variance[5:].any()
    assert np.array_equal(sent[5:].astype(np.float64), exact)


def test_an_array_of_the_problem_that_the_format_holds_has_no_error_and_one_beyond_it_no_bound() -> None:
    assert step(constant(np.array([1 + 2 * U, 0.25])), []).worst is None
    worst = step(constant(np.array([0.1, 2 * LARGEST])), []).worst
    assert worst is not None
    assert np.isfinite(worst).tolist() == [True, False]


def test_a_quotient_by_the_reciprocal_errs_twice() -> None:
    generator = np.random.default_rng(0)
    a, b = (generator.uniform(low, high, 300_000).astype(single) for low, high in ((1, 1.1), (1.9, 2)))
    assert 0.85 < share(a * (single(1) / b), step(DIVIDE, [a, b])) <= 1


def test_each_addition_of_a_sum_errs_by_the_unit_roundoff() -> None:
    terms = np.array([1] + 99 * [U], single)
    assert in_order(terms) == 1
    assert 0.98 < share(in_order(terms), step(SUM, [terms])) <= 1
    assert 0.98 < share(in_order(terms), step(DOT, [terms, np.ones(100)])) <= 1
    assert 0.99 < share(in_order(terms[:5]), step(ACCUMULATE, list(terms[:5]))) <= 1


def test_our_own_sums_are_pairwise_along_every_axis() -> None:
    """A plain loop over 10⁵ equal terms loses four digits."""
    terms = np.full((100_000, 2), single(0.1))
    rows = operation_of(lambda ops, a: ops.sum(a, axis=0), terms.shape)
    assert np.allclose(rows.value(terms), 10_000, rtol=1e-6, atol=0)
    assert not np.allclose(in_order(terms), 10_000, rtol=1e-4, atol=0)


def test_the_distance_of_two_computed_values_has_the_roundings_of_both() -> None:
    both = SINGLE.against(SINGLE)
    roundoffs = (both.roundoff, both.accumulator_roundoff, both.function_roundoff)
    assert roundoffs == (2 * U, 2 * U, 2 * U)


def test_contributions_that_cancel_are_rounded_by_their_size() -> None:
    terms = np.array([1, U, -1], single)
    assert in_order(terms) == 0
    assert 0.24 < share(in_order(terms), step(ACCUMULATE, list(terms))) <= 1


def test_a_product_of_three_is_rounded_twice() -> None:
    generator = np.random.default_rng(0)
    a, b, c = generator.uniform(1, 1.05, (3, 300_000)).astype(single)
    assert 0.85 < share(a * (b * c), step(THREE, [a, b, c])) <= 1


def test_a_product_that_is_stored_in_parts_is_rounded_twice() -> None:
    """Sums of halves in float32, each stored in bfloat16 and added there, as matrix products in pieces are."""
    u = 2.0**-8
    format = Format.of("bfloat16", accumulator="float32")
    terms = np.array([1, u, u / 2, u / 2])
    answer = to_bfloat16(to_bfloat16(terms[0] + terms[1]) + to_bfloat16(terms[2] + terms[3]))
    assert answer == 1
    product = operation_of(lambda ops, a, b: a @ b, (4,), (4,))
    assert 0.98 < share(answer, step(product, [terms, np.ones(4)], format=format)) <= 1


def test_the_gradient_of_what_is_broadcast_over_matrices_may_be_stored_once_for_each() -> None:
    """Products of single terms, each stored in bfloat16 and added there: 1 + u + u + … loses every u."""
    u = 2.0**-8
    terms = np.array([1.0] + 9 * [u])
    total = terms[0]
    for term in terms[1:]:
        total = to_bfloat16(total + term)
    assert total == 1
    inputs = {"a": np.ones((1, 1)), "b": np.ones((10, 1, 1)), "weights": terms.reshape(10, 1, 1)}
    tape = record(
        lambda ops, a, b, weights: ops.sum(weights * (a @ b)), {key: each.shape for key, each in inputs.items()}, ("a",)
    )
    gradient = analyse(tape, inputs, Format.of("bfloat16", accumulator="float32"))["gradient", "a"]
    assert gradient.enclosure.high == terms.sum()
    assert 0.7 < 9 * u / gradient.worst[0, 0] <= 1


def test_products_of_vectors_may_be_stored_one_by_one_in_gradients_too() -> None:
    """The same 1 + u + u + … in the gradient of the vector that all others are multiplied with."""
    u = 2.0**-8
    terms = np.array([1.0] + 9 * [u])
    inputs = {"a": np.ones(2), "b": np.ones((10, 2)), "weights": terms}
    tape = record(
        lambda ops, a, b, weights: ops.sum(weights * ops.vecdot(b, a)),
        {key: each.shape for key, each in inputs.items()},
        ("a",),
    )
    gradient = analyse(tape, inputs, Format.of("bfloat16", accumulator="float32"))["gradient", "a"]
    assert np.all(gradient.enclosure.high == terms.sum())
    assert 0.7 < 9 * u / gradient.worst[0] <= 1


def test_a_sum_of_products_of_three_may_be_one_loop() -> None:
    terms = np.array([1] + 99 * [U], single)
    total = operation_of(lambda ops, a, b, c: ops.einsum("i,i,i->", a, b, c), (100,), (100,), (100,))
    ones = np.ones(100)
    assert 0.97 < share(in_order(terms), step(total, [ones, terms, ones])) <= 1
    generator = np.random.default_rng(0)
    a, b, c = generator.uniform(1, 1.05, (3, 300_000, 1)).astype(single)
    single_terms = operation_of(lambda ops, a, b, c: ops.einsum("ki,ki,ki->k", a, b, c), a.shape, a.shape, a.shape)
    assert 0.85 < share((a * b * c)[:, 0], step(single_terms, [a, b, c])) <= 1


def test_a_sum_of_products_may_be_distributed_over_another_sum() -> None:
    """a·(Σb) of a Σb that cancels: each product a·b is rounded by itself."""
    a, b, c = np.array([NEAR_ONE]), np.array([[NEAR_ONE, -1]], single), np.ones(2, single)
    total = operation_of(lambda ops, a, b, c: ops.einsum("i,ij,j->", a, b, c), (1,), (1, 2), (2,))
    result = step(total, [a, b, c])
    answer = np.sum((a[:, None] * b) * c)
    assert abs(answer - result.float64) > 1000 * U * abs(result.float64)
    assert 0.15 < share(answer, result) <= 1


def test_two_factors_of_a_sum_of_products_may_underflow_beside_a_large_one_or_overflow_beside_a_small_one() -> None:
    total = operation_of(lambda ops, a, b, c: ops.einsum("i,i,i->", a, b, c), (2,), (2,), (2,))
    a, b, c = (np.full(2, single(2.0**power)) for power in (100, -80, -80))
    assert np.sum(a * (b * c)) == 0
    assert share(0.0, step(total, [a, b, c])) <= 1
    a, b, c = (np.full(2, 2.0**power) for power in (-100, 80, 80))
    assert np.isinf(step(total, [a, b, c]).worst or 0.0)
    lone = operation_of(lambda ops, a, b: ops.einsum("ij,k->k", a, b), (2, 2), (1,))
    assert np.isinf(step(lone, [np.full((2, 2), LARGEST / 2), [2.0**-60]]).worst).all()


def test_both_operands_of_a_product_are_rounded_to_tensor_floats() -> None:
    """TF32 has eleven bits: 1 + 2⁻¹¹ is half-way between two numbers."""
    format = Format.of("float32", operand_rounding=2.0**-11)
    product = operation_of(lambda ops, a, b: a @ b, (1,), (1,))
    assert 0.99 < share(1.0, step(product, [[1 + 2.0**-11], [1 + 2.0**-11]], format=format)) <= 1


# R11: underflow and flushing.


def test_a_result_that_underflows_errs_by_half_the_smallest_number() -> None:
    """Rounded to nearest; the bound allows for any rounding, and for a product and a sum."""
    tiny = single(2.0**-75)
    assert tiny * tiny == 0
    assert 0.24 < share(tiny * tiny, step(MULTIPLY, [tiny, tiny])) <= 1
    third = single(2.0**100)
    assert 0.49 < share(third * (tiny * tiny), step(THREE, [third, tiny, tiny])) <= 1


@pytest.mark.parametrize(
    ("word", "shapes", "product"),
    [
        (lambda ops, a, b: a * b, ((500,), (500,)), np.multiply),
        (lambda ops, a, b: ops.outer(a, b), ((50,), (50,)), np.outer),
        (lambda ops, a, b: a @ b, ((50, 1), (1, 50)), np.matmul),
        (lambda ops, a, b: a @ b, ((50, 3), (3,)), np.matmul),
    ],
)
def test_what_the_bound_itself_loses_to_underflow_is_multiplied_by_a_large_factor_too(
    word: Callable[..., Any], shapes: tuple[tuple[int, ...], ...], product: Callable[..., Any]
) -> None:
    """R14: in float64, in which bounds are computed, u·|b| is no number for a subnormal b, but a·b is large."""
    random = np.random.default_rng(0)
    a = random.uniform(1, 2, shapes[0]) * 10.0 ** random.uniform(0, 250, shapes[0])
    b = random.uniform(1, 2, shapes[1]) * 10.0 ** random.uniform(-322, -306, shapes[1])
    tape = record(lambda ops, a, b: ops.sum(ops.watch("v", word(ops, a, b))), {"a": a.shape, "b": b.shape}, ("a",))
    value = analyse(tape, {"a": a, "b": b}, Format.of("float64"))["value", "v"]
    errors = np.abs(value.enclosure.distance(product(a, b))) / (value.worst + value.enclosure.radius)
    assert 1e-3 < errors.max() <= 1


def test_a_kernel_that_builds_results_from_their_halves_flushes_below_twice_the_smallest_normal_number() -> None:
    """As oneDNN builds 2ⁿ from 2ⁿ⁻¹."""
    flushing = Format.of("float32", flushes_results=True)
    size = 1.99 * NORMAL
    for operation, operands in ((ADD, [size, 0]), (DIVIDE, [size, 1]), (ACCUMULATE, [size, 0])):
        roundings = 2 if operation is DIVIDE else 1
        assert 0.98 / roundings < share(0.0, step(operation, operands, format=flushing)) <= 1


def test_operands_that_are_read_as_zero_are_below_the_smallest_normal_number() -> None:
    reading = Format.of("float32", flushes_inputs=True)
    scale = 2.0**100
    below, above = ([factor * NORMAL, scale] for factor in (0.999, 1.5))
    assert 0.99 < share(0.0, step(MULTIPLY, below, format=reading)) <= 1
    assert 0.99 < share(0.0, step(ADD, [0.999 * NORMAL, 0], format=reading)) <= 1
    assert step(MULTIPLY, above, format=reading).worst < 1e-3 * above[0] * scale
    doubtful = step(MULTIPLY, above, errors=[0.6 * NORMAL, None], format=reading)
    assert 0.9 < share(0.0, doubtful) <= 1


def test_a_watched_value_that_is_added_to_zero_may_be_flushed() -> None:
    flushing = Format.of("float32", flushes_results=True)
    assert 0.49 < share(0.0, step(WATCH, [0.99 * NORMAL], format=flushing)) <= 1
    assert step(WATCH, [0.99 * NORMAL]).worst is None


# R9 to R15: errors of operands.

FAR = 0.3
"""An error of an operand, relative; so large that products of two errors count."""

LARGER = 1 + FAR
PROPAGATED: dict[str, tuple[Any, list[Any], list[Any], list[Any]]] = {
    # operation, operands, their errors, and where the computed ones lie
    "add": (ADD, [1.0, 2.0], [FAR, 2 * FAR], [LARGER, 2 * LARGER]),
    "subtract": (SUBTRACT, [1.0, 2.0], [FAR, 2 * FAR], [1 - FAR, 2 * LARGER]),
    "multiply": (MULTIPLY, [1.0, 2.0], [FAR, 2 * FAR], [LARGER, 2 * LARGER]),
    "divide": (DIVIDE, [1.0, 2.0], [FAR, 2 * FAR], [LARGER, 2 * (1 - FAR)]),
    "accumulate": (ACCUMULATE, [1.0, 2.0, 3.0], [FAR, 2 * FAR, 3 * FAR], [LARGER, 2 * LARGER, 3 * LARGER]),
    "product of three": (THREE, [1.0, 2.0, 3.0], [FAR, 2 * FAR, 3 * FAR], [LARGER, 2 * LARGER, 3 * LARGER]),
    "outer": (OUTER, [[1.0], [2.0]], [[FAR], [2 * FAR]], [[LARGER], [2 * LARGER]]),
    "sum": (SUM, [np.ones(100)], [np.full(100, FAR)], [np.full(100, LARGER)]),
    "dot": (DOT, [np.ones(100)] * 2, [np.full(100, FAR)] * 2, [np.full(100, LARGER)] * 2),
    "sigmoid derivative, at its peak": (SIGMOID_DERIVATIVE, [0.5], [FAR], [0.5 + FAR]),
    "sigmoid derivative, on its slope": (SIGMOID_DERIVATIVE, [0.2], [0.1], [0.1]),
    "tanh derivative, at its peak": (TANH_DERIVATIVE, [0.0], [FAR], [FAR]),
    "tanh derivative, on its slope": (TANH_DERIVATIVE, [0.5], [0.1], [0.6]),
}


@pytest.mark.parametrize("name", PROPAGATED)
def test_errors_of_operands_make_the_error_of_the_result(name: str) -> None:
    operation, operands, errors, computed = PROPAGATED[name]
    answer = operation.value(*(np.asarray(each, np.float64) for each in computed))
    assert 0.999 < share(answer, step(operation, operands, errors=errors)) <= 1


def word_of(name: str) -> Callable[[Any, Any], Any]:
    return lambda ops, a: getattr(ops, name)(a)


FUNCTIONS = {
    # name -> a, where the slope is steepest nearby, and how far an operand is off
    "exp": (1.0, 1e-2),
    "expm1": (1.0, 1e-2),
    "log": (1.0, -1e-2),
    "log1p": (1.0, -1e-2),
    "sqrt": (1.0, -1e-2),
    "softplus": (1.0, 1e-2),
    "sigmoid": (0.5, -0.5),
    "tanh": (0.2, -0.2),
    "sin": (0.01, -0.01),
    "cos": (np.pi / 2 - 0.01, 0.01),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_as_steep_as_the_steepest_slope_in_reach(name: str) -> None:
    a, off = FUNCTIONS[name]
    operation = operation_of(word_of(name), ())
    result = step(operation, [a], errors=[abs(off)])
    assert 0.97 < share(operation.value(np.float64(a + off)), result) <= 1


# R12 and R13: functions of a library, with the largest errors in the tables of their authors.

ACCURACIES = {
    # name -> units of u (half an ulp, at most), and the table
    "exp": (6, "NumPy's validation set of exp in float32: 3 ulp"),
    "expm1": (6, "NumPy's validation set of expm1 in float32: 3 ulp"),
    "log": (8, "NumPy's validation set of log in float32: 4 ulp"),
    "log1p": (6, "glibc's table of log1pl: 3 ulp"),
    "sqrt": (2, "CUDA's sqrtf with -prec-sqrt=false: 1 ulp"),
    "tanh": (
        12,
        "Eigen's ptanh_double at 14, which TensorFlow uses: 9.3 u, nearly 5 ulp, of the couple that it states",
    ),
    "sin": (4, "NumPy's validation set of sin in float32, CUDA's sinf: 2 ulp"),
    "cos": (4, "NumPy's validation set of cos in float32, CUDA's cosf: 2 ulp"),
    "sigmoid": (8, "1/(1 + e⁻ᵃ): exp's 3 ulp, a sum and a quotient"),
    "softplus": (14, "log1p(eᵃ) + max(a, 0): exp's and log1p's 3 ulp, a sum and its rounding"),
}
DERIVED = {
    "softplus derivative": (SOFTPLUS_DERIVATIVE, 22, "−expm1(−softplus(a)): 14, expm1's 6, and MXNet's two roundings"),
    "cube": (operation_of(lambda ops, a: a**3, ()), 8, "CUDA's powf: 4 ulp"),
    "twentieth power": (operation_of(lambda ops, a: a**20, ()), 20, "twenty products, each rounded"),
    "inverse twentieth power": (operation_of(lambda ops, a: a**-20, ()), 20, "nineteen products and a quotient"),
}


@pytest.mark.parametrize("name", ACCURACIES | DERIVED)
def test_a_function_may_have_the_largest_error_that_its_authors_state(name: str) -> None:
    operation = DERIVED[name][0] if name in DERIVED else operation_of(word_of(name), ())
    accuracy = DERIVED[name][1] if name in DERIVED else ACCURACIES[name][0]
    result = step(operation, [0.75])
    assert 0.999 < share(result.float64 * (1 + accuracy * U), result) <= 1


@pytest.mark.parametrize("name", ["exp", "sigmoid", "softplus"])
def test_a_kernel_without_subnormal_results_gives_zero(name: str) -> None:
    a = np.log(0.999 * NORMAL)
    assert 0.98 < share(0.0, step(operation_of(word_of(name), ()), [a])) <= 1


def test_a_negative_power_may_be_flushed_like_a_function() -> None:
    result = step(operation_of(lambda ops, a: a**-1, ()), [1.001 / NORMAL])
    assert 0.98 < share(0.0, result) <= 1


def test_a_derivative_by_the_square_of_a_value_near_one_has_the_error_of_the_square() -> None:
    """s − s·s, and 1 − t·t, whose roundings are relative to the square."""
    near = np.linspace(0.99, 0.9999, 30_000).astype(single)
    assert 0.45 < share(near - near * near, step(SIGMOID_DERIVATIVE, [near])) <= 1
    assert 0.45 < share(1 - near * near, step(TANH_DERIVATIVE, [near])) <= 1


# R1: powers whose exponent is rounded.


def test_an_exponent_is_rounded_by_half_a_unit_in_its_last_place() -> None:
    """0.25 + 2⁻²⁷ and 1 + 2⁻²⁴, all but: engines take 0.25 and 1. Functions are allowed 8 u beside."""
    for nearest, exponent, least in ((0.25, 0.25 + 0.99 * 2.0**-26, 0.7), (1.0, 1 + 0.99 * 2.0**-24, 0.9)):
        assert single(exponent) == nearest
        result = step(operation_of(lambda ops, a, exponent=exponent: a**exponent, ()), [3e38])
        assert least < share(3e38**nearest, result) <= 1


@pytest.mark.parametrize(("exponent", "off"), [(3, 1e-2), (1.5, 1e-2), (0.5, -1e-2), (-2, -1e-2)])
def test_a_power_is_as_steep_as_the_steepest_slope_in_reach(exponent: float, off: float) -> None:
    result = step(operation_of(lambda ops, a: a**exponent, ()), [1.0], errors=[abs(off)])
    assert 0.97 < share((1 + off) ** exponent, result) <= 1


# R18: choices move no further than their operands do.


def test_a_choice_passes_on_the_error_of_the_winner_and_in_doubt_the_larger_one() -> None:
    maximum = operation_of(lambda ops, a, b: ops.maximum(a, b), (), ())
    assert 0.999 < share(2.125, step(maximum, [2.0, 1.0], errors=[0.125, 0.5])) <= 1
    assert 0.8 < share(1.5, step(maximum, [1.0625, 1.0], errors=[0.125, 0.5])) <= 1
    largest = operation_of(lambda ops, a: ops.max(a), (3,))
    assert 0.8 < share(1.8, step(largest, [[1.0, 0.9, -9.0]], errors=[[0.5, 0.9, 9.0]])) <= 1
    magnitude = operation_of(lambda ops, a: ops.abs(a), ())
    assert 0.999 < share(1.25, step(magnitude, [-1.0], errors=[0.25])) <= 1
    assert step(maximum, [2.0, 1.0]).worst is None


def test_a_branch_in_doubt_may_be_the_other_one() -> None:
    chosen = operation_of(lambda ops, c, a, b: ops.where(c > 0, a, b), (), (), ())
    middles = [Quantity(np.asarray(True), worst=np.asarray(open_)) for open_ in (True, False)]
    for condition, answer in zip(middles, (1.4, 2.1)):
        terms = [
            Decision(condition, condition.worst),
            *(Bounded(Quantity(np.asarray(v)), np.asarray(0.1)) for v in (2.0, 1.5)),
        ]
        error = chosen.worst(SINGLE, None, *terms)
        assert abs(answer - 2.0) == pytest.approx(float(error))


def test_what_is_exact_is_equal_or_not_and_what_errs_may_be_either() -> None:
    for operation in (EQUAL, NOT_EQUAL):
        assert step(operation, [3.0, 3.0]).worst is None
        assert step(operation, [3.0, 3.25], errors=[0.15, 0.15]).worst
        assert step(operation, [3.0, 3.25], errors=[0.1, 0.1]).worst is None
        partly = step(operation, [[3.0, 3.0], [3.0, 3.0]], errors=[[0.0, 0.0], [0.0, 0.1]])
        assert np.asarray(partly.worst).tolist() == [False, True]


def test_the_doubt_of_a_condition_moves_with_it() -> None:
    transpose = operation_of(lambda ops, a: ops.matrix_transpose(a), (1, 2))
    moved = step(of_conditions(transpose), [[[1.0, 0.0]]], errors=[[[0.0, 1.0]]], decides=True)
    assert moved.decides
    assert np.asarray(moved.worst).tolist() == [[0.0], [1.0]]


CONNECTED = {
    "any": connected("any", OR, False, (1,), False),
    "all": connected("all", AND, True, (1,), False),
}


@pytest.mark.parametrize("operation", [AND, OR])
def test_conditions_together_are_in_doubt_where_another_choice_makes_another_one(operation: Operation) -> None:
    for a, b, open_a, open_b in itertools.product((True, False), repeat=4):
        middles = [Quantity(np.asarray(middle), worst=np.asarray(by)) for middle, by in ((a, open_a), (b, open_b))]
        doubt = operation.worst(SINGLE, None, *(Decision(middle, middle.worst) for middle in middles))
        choices = itertools.product((a, not a) if open_a else (a,), (b, not b) if open_b else (b,))
        assert bool(doubt) == (len({bool(operation.value(*each)) for each in choices}) > 1)
        balls = [None if by else middle for middle, by in ((a, open_a), (b, open_b))]
        assert (operation.ball(*balls) is None) == bool(doubt)
        assert doubt or operation.ball(*balls) == operation.value(a, b)


def test_what_does_not_hold_is_in_doubt_where_the_condition_is() -> None:
    condition = Quantity(np.asarray([True, False, True]), worst=np.asarray([False, True, True]))
    assert NOT.worst(SINGLE, None, Decision(condition, condition.worst)).tolist() == [False, True, True]
    assert NOT.worst(SINGLE, None, Decision(condition)) is None
    assert [NOT.ball(each) for each in (True, False, None)] == [False, True, None]


@pytest.mark.parametrize(("word", "value"), [("any", np.any), ("all", np.all)])
def test_a_condition_along_an_axis_is_in_doubt_where_another_choice_makes_another_one(word: str, value: Any) -> None:
    operation = CONNECTED[word]
    for entries in itertools.product((True, False, None), repeat=3):
        middles, open_ = np.array([[bool(each) for each in entries]]), np.array([[each is None for each in entries]])
        condition = Quantity(middles, worst=open_, decides=True)
        doubt = operation.worst(SINGLE, None, Decision(condition, condition.worst))
        choices = itertools.product(*((True, False) if each is None else (each,) for each in entries))
        assert doubt.tolist() == [len({bool(value(each)) for each in choices}) > 1]
        [ball] = operation.ball(np.array([entries], dtype=object))
        assert (ball is None) == bool(doubt[0])
        assert doubt[0] or ball == value(middles)
    assert operation.ball(np.empty((2, 0), dtype=object)).tolist() == [value([])] * 2
    assert operation.worst(SINGLE, None, Decision(condition)) is None


# R7: gradients that are masked, or shared at a tie.

SHARED = Mask(other=False).operation("share")


def test_a_share_of_a_gradient_is_a_product_with_a_rounded_quotient() -> None:
    part = single(1) / single(15)
    gradients = np.random.default_rng(0).uniform(1, 1.6, 30_000).astype(single)
    assert 0.8 < share(part * gradients, step(SHARED, [np.full(30_000, 1 / 15), gradients], decides=True)) <= 1


def test_a_winner_is_in_doubt_if_both_errors_together_exceed_the_difference() -> None:
    assert step(MAXIMUM_SHARE, [1.25, 1.0], errors=[0.15, 0.15]).worst == 1
    assert step(MAXIMUM_SHARE, [1.25, 1.0], errors=[0.1, 0.1]).worst is None


def test_a_gradient_with_a_winner_in_doubt_may_belong_to_any_operand() -> None:
    for taken, doubt in ((1.0, 1.0), (0.0, 1.0), (0.5, 0.5)):
        result = step(SHARED, [taken, 2.0], errors=[doubt, 0.25], decides=True)
        worst = max(abs(factor * gradient - taken * 2.0) for factor in (0.0, 1.0) for gradient in (1.75, 2.25))
        assert 0.7 < worst / result.worst <= 1
    assert step(SHARED, [1.0, 2.0], decides=True).worst is None


def signed(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The derivative of |a| as autograd computes it."""
    return np.asarray((g * a) / np.abs(a))


def test_the_sign_of_abs_errs_by_two_roundings_and_by_the_underflow_of_a_product() -> None:
    a, g = np.random.default_rng(0).uniform(1, 2, (2, 30_000)).astype(single)
    assert 0.7 < share(signed(a, g), step(SIGNED, [g, a])) <= 1
    a, g = np.full(1000, 2.0**-148, single), np.linspace(0.01, 3.0, 1000, dtype=single)
    result = step(SIGNED, [g, a])
    assert 0.9 < share(signed(a, g), result) <= 1  # g·a/η in (½, 1½) is rounded to 1, and to 0 below
    assert np.all(result.worst <= g.astype(float) * (1 + 5 * U))
    assert step(SIGNED, [g[0], 0.0]).worst <= 3 * U * g[0]


def test_a_gradient_of_abs_is_open_where_its_product_may_overflow() -> None:
    assert np.isinf(step(SIGNED, [LARGEST / 2, 4.0]).worst)
    assert step(SIGNED, [LARGEST / 8, 4.0]).worst < 3 * U * LARGEST


def test_terms_may_go_through_the_sign_of_abs_before_they_are_summed() -> None:
    """Two parts of an adjoint that cancel: (p·s)·w·y·z + (q·s)·w·y·z for ((p + q)·s)·w·y·z."""

    def loss(ops: Any, p: Any, q: Any, w: Any, y: Any, z: Any, a: Any) -> Any:
        h = ops.abs(a * z * y * w)
        return ops.sum(p * h) + ops.sum(q * h)

    inputs = dict(zip("pqwyza", np.random.default_rng(0).uniform(0.5, 1, (6, 4096)).astype(single)))
    inputs["q"] = -inputs["p"]
    p, q, w, y, z, a = inputs.values()
    known = analyse(record(loss, dict.fromkeys(inputs, (4096,)), ("a",)), inputs, SINGLE)["gradient", "a"]
    h = a * z * y * w
    answer = signed(h, p) * w * y * z + signed(h, q) * y * (w * z)
    assert 0.3 < np.max(np.abs(known.enclosure.distance(answer)) / known.worst) <= 1


# R16 and R17: log-sum-exp and softmax.

LOG_SUM = operation_of(lambda ops, a: ops.logsumexp(a), (4,))
SHARES = operation_of(lambda ops, a: ops.softmax(a), (2,))


def test_errors_of_operands_move_a_log_sum_exp_by_their_weighted_mean() -> None:
    a, errors = np.array([0.0, -1.0, -2.0, 1.0]), np.array([0.1, 0.5, 0.0, 0.2])
    answer = np.log(np.sum(np.exp(a + errors)))
    assert 0.999 < share(answer, step(LOG_SUM, [a], errors=[errors])) <= 1


@pytest.mark.parametrize("shift", [0.0, 10.0])
def test_a_log_sum_exp_errs_by_its_exponentials_its_sum_and_its_logarithm(shift: float) -> None:
    """Equal entries, exp and log as far off as their authors say, and every addition off by u."""
    total = 4 * (1 + 6 * U) * (1 + U) ** 3
    result = step(LOG_SUM, [np.full(4, shift)])
    answer = (shift + np.log(total) + 8 * U * np.log(4)) * (1 + U)
    assert 0.85 < share(answer, result) <= 1


LOG_SHARES = operation_of(lambda ops, a: ops.log_softmax(a), (4,))


def test_a_log_softmax_errs_by_a_log_sum_exp_and_a_difference() -> None:
    """R23, as a − log Σeᵃ: equal entries, functions as far off as their authors say, and every addition off by u."""
    log_sum = (10 + np.log(4 * (1 + 6 * U) * (1 + U) ** 3) + 8 * U * np.log(4)) * (1 + U)
    assert 0.85 < share((10 - log_sum) * (1 + U), step(LOG_SHARES, [np.full(4, 10.0)])) <= 1


def test_a_log_softmax_errs_by_a_distance_and_a_difference() -> None:
    """R23, as d − log Σe^d."""
    a = np.array([0.0, -300.0, -300.0, -300.0])
    assert 0.9 < share(a * (1 + U) ** 2, step(LOG_SHARES, [a])) <= 1


def test_errors_of_operands_move_a_log_softmax_by_their_own_and_their_weighted_mean() -> None:
    errors = np.full(1000, 0.1)
    signs = np.where(np.arange(1000) == 0, 1, -1)
    answer = signs * errors - np.log(np.sum(np.exp(signs * errors)))
    result = step(operation_of(lambda ops, a: ops.log_softmax(a), (1000,)), [np.zeros(1000)], errors=[errors])
    assert 0.99 < share(answer, result) <= 1


def test_cumulative_sums_err_once_for_each_of_their_terms() -> None:
    """R26, of a first entry that all sums have, beside zeros."""
    a = np.array([1.0] + 63 * [0.0])
    answer = (1 + U) ** np.arange(64.0)
    result = step(operation_of(lambda ops, a: ops.cumulative_sum(a), (64,)), [a])
    assert result.worst is not None
    shares = (answer - 1) / result.worst
    assert np.all(shares <= 1)
    assert shares[-1] > 0.98


def test_the_gradient_of_cumulative_sums_adds_up_from_the_end() -> None:
    inputs = {"a": np.ones(4), "w": np.array([1.0, 2.0, 4.0, 8.0])}
    tape = record(lambda ops, a, w: ops.sum(ops.cumulative_sum(a) * w), {"a": (4,), "w": (4,)}, ("a",))
    gradient = analyse(tape, inputs, SINGLE)["gradient", "a"].enclosure.high
    assert gradient.tolist() == [15.0, 14.0, 12.0, 8.0]


# R25: a variance in one pass, and a norm whose terms are divided by the largest.


def test_a_variance_in_one_pass_errs_by_the_squares() -> None:
    n = 256
    mean_of_squares, square_of_mean = (1 + U) ** (n + 1), (1 - U) ** (2 * n + 1)
    operation = operation_of(lambda ops, a: ops.var(a), (n,))
    result = step(operation, [0.0, np.ones(n)])
    assert 0.95 < share(mean_of_squares - square_of_mean, result) <= 1


def test_a_variance_by_updates_errs_by_the_running_means() -> None:
    """Welford's, with every running mean off by the errors before it, of entries that alternate in sign."""
    n = 64
    entries = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    squares, true_mean, error = 0.0, 0.0, 0.0
    for k, entry in enumerate(entries, 1):
        distance = entry - (true_mean + error)
        true_mean += (entry - true_mean) / k
        error = (1 - 1 / k) * error + U * (abs(true_mean) + 2 * abs(distance) / k)
        squares = (squares + abs(distance * (entry - true_mean - error)) * (1 + U) ** 3) * (1 + U)
    assert 0.05 < share(squares / n, step(operation_of(lambda ops, a: ops.var(a), (n,)), [1.0, entries])) <= 1


def test_a_norm_of_rescaled_terms_errs_four_times() -> None:
    operation = operation_of(lambda ops, a: ops.vector_norm(a), (3,))
    assert 0.99 < share(2 * (1 + U) ** 4, step(operation, [2.0])) <= 1


def test_the_rounding_of_distances_moves_a_sum_by_their_weighted_mean() -> None:
    """The part of the bound for distances, in an engine with exact functions: 999 shares of e⁻⁵ beside the largest."""
    along = Along((0,), (1000,))
    distances = np.array([0.0] + 999 * [-5.0])
    exact = replace(SINGLE, function_roundoff=0.0)
    moved = np.sum(np.exp(distances * (1 - U))) / np.sum(np.exp(distances)) - 1
    allowed = along.sum_error(exact) - exact.sum_error(1000)
    assert 0.25 < moved / allowed <= 1


def test_a_small_share_errs_by_its_distance() -> None:
    """Distances rounded, exp with the largest stated error, the sum off by u, and a quotient."""
    distance = 60.0
    a = np.array([0.0, -distance])
    answer = np.exp(a - distance * U * (a < 0)) * (1 - 6 * U) / ((1 + 6 * U) * (1 + U)) * (1 - U)
    assert 0.85 < share(answer, step(SHARES, [a])) <= 1


def test_shares_that_are_flushed_are_zero() -> None:
    """oneDNN's exponential has no results below 2λ."""
    a = np.array([0.0, np.log(1.99 * NORMAL)])
    assert 0.95 < share([1.0, 0.0], step(SHARES, [a])) <= 1


def test_errors_of_operands_move_shares_by_their_difference() -> None:
    for a, least in ((0.0, 0.7), (-3.0, 0.9), (3.0, 0.7)):
        middles, computed = np.array([a, 0.0]), np.array([a + 0.1, -0.1])
        answer = np.exp(computed) / np.sum(np.exp(computed))
        result = step(SHARES, [middles], errors=[np.full(2, 0.1)])
        assert least < share(answer, result) <= 1


# W7: products distributed over sums that cancel.


def test_products_that_are_summed_may_stand_for_the_product_of_a_sum() -> None:
    """Both products are half-way between two numbers: one is rounded down, and the other, which is subtracted, up."""
    far = NEAR_ONE + single(2 * U)
    answer = NEAR_ONE * NEAR_ONE - far * NEAR_ONE
    tape = record(lambda ops, a, b, v: ops.sum(ops.watch("r", (a - b) * v)), {"a": (), "b": (), "v": ()}, ())
    known = analyse(tape, {"a": NEAR_ONE, "b": far, "v": NEAR_ONE}, SINGLE)["value", "r"]
    assert 0.9 < abs(known.enclosure.distance(answer)) / known.worst <= 1


# R20: overflow.


def test_a_sum_that_rounds_to_infinity_is_not_a_proof() -> None:
    """ω + ulp/2 is half-way to the number that would come next."""
    half = single(2.0**103)
    with np.errstate(over="ignore"):
        assert np.isinf(single(LARGEST) + half)
    assert step(ADD, [LARGEST, float(half)]).worst == np.inf
    assert np.isfinite(step(ADD, [0.999 * LARGEST, 0.0]).worst)


def test_a_sum_that_may_exceed_the_largest_number_is_not_a_proof() -> None:
    assert step(ADD, [0.9 * LARGEST, 0.0], errors=[0.2 * LARGEST, None]).worst == np.inf


def test_contributions_may_overflow_in_one_order_of_their_sum() -> None:
    far = single(0.9 * LARGEST)
    with np.errstate(over="ignore"):
        assert np.isinf((far + far) - far)
    assert step(ACCUMULATE, [far, far, -far]).worst == np.inf
    assert np.isfinite(step(ACCUMULATE, [far / 4, far / 4, -far / 4]).worst)


def test_a_reciprocal_may_overflow_in_between() -> None:
    small = single(2.0**-130)
    with np.errstate(over="ignore"):
        assert np.isinf(single(2.0**-40) * (single(1) / small))
    assert step(DIVIDE, [2.0**-40, float(small)]).worst == np.inf


def test_a_bound_that_is_not_a_number_is_unknown() -> None:
    """∞ − ∞ and 0·∞ on the way."""
    unknown = np.array([np.nan, 1.0])
    assert np.isinf(bound_of(unknown, (2,))).tolist() == [True, False]
    assert np.isinf(spread_of(unknown, None, (2,))).tolist() == [True, False]


def test_a_sum_may_overflow_in_between() -> None:
    four = operation_of(lambda ops, a: ops.sum(a), (4,))
    terms = np.array([LARGEST, LARGEST, -LARGEST, -LARGEST]) / 1.5
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(in_order(terms.astype(single)))
    assert step(four, [terms]).worst == np.inf
    assert step(operation_of(lambda ops, a, b: a @ b, (4,), (4,)), [terms, np.ones(4)]).worst == np.inf
