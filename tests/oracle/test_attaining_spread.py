"""Spreads that correct backends attain: measured deviations compared with those of the rules (docs/math.md).

A rule's deviation must be neither much larger than the measured one, which would cost power, nor smaller, which would
refuse correct backends: so no term of a variance can be halved or dropped. Real roundings are NumPy's, of single
operations in float32; errors of operands and of functions are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import Format, record, stages
from gradcheck.oracle.operations.arithmetic import ACCUMULATE
from gradcheck.oracle.operations.base import ROUNDING_DEVIATION
from gradcheck.oracle.operations.contractions import matrix_product
from gradcheck.oracle.operations.smooth import SIGMOID_DERIVATIVE, SOFTPLUS_DERIVATIVE, TANH_DERIVATIVE
from gradcheck.oracle.operations.triples import THREE
from tests.oracle.attaining import NORMAL, SINGLE, U, operation_of, ratio, step

single = np.float32
RUNS = 1000
NEARLY = 0.002
"""A deviation of an operand, relative, much larger than roundings."""


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def in_order(terms: np.ndarray) -> np.ndarray:
    """A plain loop over the first axis, in every run."""
    return np.cumsum(terms, axis=0, dtype=terms.dtype)[-1]


def mean_ratio(answers: np.ndarray, word: Callable[..., Any], *operands: np.ndarray, **options: Any) -> float:
    """The same of many cases, one in each run."""
    return float(
        np.sqrt(
            np.mean(
                [
                    ratio(answer[None], step(operation_of(word, *map(np.shape, each)), each, **options)) ** 2
                    for answer, *each in zip(answers, *operands)
                ]
            )
        )
    )


# W1 and W14: roundings.

PRODUCTS = operation_of(lambda ops, a, b: a * b, (RUNS,), (RUNS,))
QUOTIENTS = operation_of(lambda ops, a, b: a / b, (RUNS,), (RUNS,))
SUMS = operation_of(lambda ops, a, b: a + b, (RUNS,), (RUNS,))


def test_a_rounding_deviates_by_six_tenths_of_the_unit_roundoff() -> None:
    """Where results are just above a power of two, the relative error is largest: uniform in ±u, which is 0.58 u."""
    a, b = (generator().uniform(low, low + 0.02, RUNS).astype(single) for low in (1.0, 1.01))
    a, b = a, b[::-1].copy()
    assert 0.85 < ratio((a * b)[None], step(PRODUCTS, [a, b])) < 1.05
    small = generator().uniform(0, 2.0**-10, RUNS).astype(single)
    assert 0.85 < ratio((a + small)[None], step(SUMS, [a, small])) < 1.05
    twice = (a * (single(1) / (1 + b))).astype(single)
    assert 0.5 < ratio(twice[None], step(QUOTIENTS, [a, 1 + b])) < 1.05


def test_a_quotient_by_the_reciprocal_is_rounded_twice() -> None:
    a = generator().uniform(1.0, 1.02, RUNS).astype(single)
    b = generator().uniform(0.97, 0.99, RUNS)[::-1].astype(single)
    assert 0.8 < ratio((a * (single(1) / b))[None], step(QUOTIENTS, [a, b])) < 1.05


def test_products_and_sums_of_three_are_rounded_twice() -> None:
    a, b, c = generator().uniform(1.0, 1.02, (3, RUNS)).astype(single)
    assert 0.8 < ratio((a * (b * c))[None], step(THREE, [a, b, c])) < 1.05
    terms = generator().uniform(0.67, 0.68, (3, RUNS)).astype(single)
    assert 0.5 < ratio(in_order(terms)[None], step(ACCUMULATE, list(terms))) < 1.05


def rough(random: np.random.Generator, roundings: float = 1.0) -> np.ndarray:
    """1 + δ for a δ of so many roundings, in many runs."""
    return 1 + ROUNDING_DEVIATION * roundings * U * random.standard_normal(RUNS)


@pytest.mark.parametrize(("low", "least"), [(-1.0, 0.6), (0.0, 0.85)])
def test_the_roundings_of_a_sum_in_random_order_add_up_like_a_walk(low: float, least: float) -> None:
    """Terms of both signs have partial sums of √k, and terms of one sign of k. Every addition is rounded.

    The rule adds up both parts, of which the first is smaller where the sum is known.
    """
    random = generator()
    terms = random.uniform(low, 1, (200, RUNS))
    total = np.zeros(RUNS)
    for term in terms:
        total = (total + term) * rough(random)
    assert least < mean_ratio(total, lambda ops, a: ops.sum(a), terms.T) < 1.1
    assert least < mean_ratio(total, lambda ops, a, b: a @ b, terms.T, np.ones((RUNS, 200))) < 1.1


@pytest.mark.parametrize(("low", "least"), [(-1.0, 0.35), (0.0, 0.75)])
def test_the_roundings_of_a_sum_of_products_of_three_add_up_so_too(low: float, least: float) -> None:
    random = generator()
    terms = random.uniform(low, 1, (200, RUNS))
    total = np.zeros(RUNS)
    for term in terms:
        total = (total + term * rough(random, np.sqrt(2))) * rough(random)
    ones = np.ones((RUNS, 200))
    ratio = mean_ratio(total, lambda ops, a, b, c: ops.einsum("i,i,i->", a, b, c), terms.T, ones, ones)
    assert least < ratio < 1.1


def test_the_roundings_of_a_sum_that_cancels_are_those_of_its_terms() -> None:
    random = generator()
    terms = random.permuted(np.concatenate([half := random.uniform(0, 1, (100, RUNS)), -half]), axis=0)
    total = np.zeros(RUNS)
    for term in terms:
        total = (total + term) * rough(random)
    assert 0.5 < mean_ratio(total, lambda ops, a: ops.sum(a), terms.T) < 0.8
    assert 0.5 < mean_ratio(total, lambda ops, a, b: a @ b, terms.T, np.ones((RUNS, 200))) < 0.8


def test_a_real_sum_stays_below() -> None:
    """Not all numbers are just above a power of two."""
    terms = generator().uniform(0, 1, (200, RUNS)).astype(single)
    assert 0.5 < mean_ratio(in_order(terms), lambda ops, a: ops.sum(a), terms.T) < 1


def test_single_products_are_rounded_before_they_are_summed() -> None:
    a, b = generator().uniform(1, 1.02, (2, RUNS, 2)).astype(single)
    signs = np.array([1, -1], single)
    answers = np.sum((a * b).astype(np.float64) * signs, axis=1)
    assert 0.5 < mean_ratio(answers, lambda ops, a, b: a @ b, a * signs, b) < 1.1


def test_only_the_rounding_of_the_result_remains_with_a_wide_accumulator() -> None:
    format = Format.of("bfloat16", accumulator="float32")
    values = generator().uniform(1, 1.03, (RUNS, 1))
    stored = np.rint(values * 128) / 128
    assert 0.85 < mean_ratio(stored[:, 0], lambda ops, a, b: a @ b, values, np.ones((RUNS, 1)), format=format) < 1.1


@pytest.mark.parametrize(("sign", "least"), [(1, 0.8), (-1, 0.6)])
def test_pieces_of_a_product_are_stored_and_added_up_with_a_rounding_each(sign: int, least: float) -> None:
    """Of 16 matrix products with pairs of equal terms, all of one sign, or cancelling in random order."""
    format = Format.of("bfloat16", accumulator="float32")
    u, random = format.roundoff, generator()
    half = random.uniform(0.5, 1, (RUNS, 8, 1, 1))
    terms = random.permuted(np.concatenate([half, sign * half], axis=1), axis=1) * np.ones((RUNS, 16, 1, 2))

    def rounding() -> np.ndarray:
        return 1 + ROUNDING_DEVIATION * u * random.standard_normal(RUNS)

    total = np.zeros(RUNS)
    for piece in np.moveaxis(terms.sum(axis=(2, 3)), 1, 0):
        total = (total + piece * rounding()) * rounding()
    product = matrix_product(16)
    ratios = [
        ratio(answer[None], step(product, [each.ravel(), np.ones(32)], format=format))
        for answer, each in zip(total, terms)
    ]
    assert least < float(np.sqrt(np.mean(np.square(ratios)))) < 1.05


def test_two_operands_are_rounded_to_tensor_floats() -> None:
    format = Format.of("float32", operand_rounding=2.0**-11)
    a, b = generator().uniform(1, 1.03, (2, RUNS, 1))
    rounded = (np.rint(each * 1024) / 1024 for each in (a, b))
    answers = np.prod([*rounded], axis=0)[:, 0]
    assert 0.85 < mean_ratio(answers, lambda ops, a, b: a @ b, a, b, format=format) < 1.1


# Errors of operands.


def drawn(middles: list[Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Variances of operands, and operands that have them, in many runs along a new first axis."""
    random = generator()
    deviations = [NEARLY * np.ones_like(np.asarray(middle, np.float64)) for middle in middles]
    computed = [
        np.asarray(middle) + deviation * random.standard_normal((RUNS, *np.shape(middle)))
        for middle, deviation in zip(middles, deviations)
    ]
    return [np.square(deviation) for deviation in deviations], computed


ENTRYWISE: Mapping[str, tuple[Any, list[float]]] = {
    "add": (operation_of(lambda ops, a, b: a + b, (), ()), [1.0, -2.0]),
    "subtract": (operation_of(lambda ops, a, b: a - b, (), ()), [1.0, -2.0]),
    "multiply": (operation_of(lambda ops, a, b: a * b, (), ()), [1.0, 2.0]),
    "multiply, near zero": (operation_of(lambda ops, a, b: a * b, (), ()), [0.0, 0.0]),
    "divide": (operation_of(lambda ops, a, b: a / b, (), ()), [2.0, 1.0]),
    "accumulate": (ACCUMULATE, [1.0, 2.0, 3.0]),
    "product of three": (THREE, [1.0, 2.0, 3.0]),
    "power": (operation_of(lambda ops, a: a**3, ()), [1.0]),
    "root": (operation_of(lambda ops, a: a**0.3, ()), [1.0]),
    "sigmoid derivative, on its slope": (SIGMOID_DERIVATIVE, [0.2]),
    "tanh derivative, on its slope": (TANH_DERIVATIVE, [0.5]),
    "softplus derivative": (SOFTPLUS_DERIVATIVE, [0.5]),
    "sin": (operation_of(lambda ops, a: ops.sin(a), ()), [0.1]),  # its slope is taken to be 1
    "cos": (operation_of(lambda ops, a: ops.cos(a), ()), [1.5]),
    **{
        name: (operation_of(lambda ops, a, name=name: getattr(ops, name)(a), ()), [0.7])
        for name in ("exp", "expm1", "log", "log1p", "sqrt", "tanh", "sigmoid", "softplus", "abs")
    },
}


@pytest.mark.parametrize("name", ENTRYWISE)
def test_deviations_of_operands_make_the_deviation_of_the_result(name: str) -> None:
    operation, middles = ENTRYWISE[name]
    variances, computed = drawn(middles)
    assert 0.9 < ratio(operation.value(*computed), step(operation, middles, variances=variances)) < 1.1


@pytest.mark.parametrize(("name", "tail"), [("tanh", 4.0), ("sigmoid", -30.0), ("exp", -2.0), ("log", 9.0)])
def test_errors_that_leave_the_linear_part_of_a_function_are_within_its_deviations(name: str, tail: float) -> None:
    """W19: the slope in the tail is not that of the steep part, which an operand reaches within eight deviations."""
    operation = ENTRYWISE[name][0]
    deviation = abs(tail) / 9
    computed = tail + deviation * np.linspace(-7.9, 7.9, RUNS)
    known = step(operation, [tail], variances=[deviation**2])
    largest = float(np.max(np.abs(operation.value(computed) - known.middle)))
    assert largest < 8 * np.sqrt(known.variance)
    assert largest > 0.1 * np.sqrt(known.variance)


@pytest.mark.parametrize(("operation", "peak"), [(SIGMOID_DERIVATIVE, 0.5), (TANH_DERIVATIVE, 0.0)])
def test_at_the_peak_of_a_derivative_the_square_of_a_deviation_remains(operation: Any, peak: float) -> None:
    """E d⁴ = 3 s⁴ for a normal d: the root mean square is 1.7 s²."""
    variances, computed = drawn([peak])
    assert 0.9 < ratio(operation.value(*computed), step(operation, [peak], variances=variances)) < 2


REDUCING: Mapping[str, tuple[Callable[..., Any], Callable[..., Any], list[np.ndarray]]] = {
    "sum": (lambda ops, a: ops.sum(a), lambda a: np.sum(a, -1), [np.array([1.0, -2, 3, -4])]),
    "dot": (
        lambda ops, a, b: a @ b,
        lambda a, b: np.sum(a * b, -1),
        [np.array([1.0, -2, 3, -4]), np.array([2.0, 1, 1, 0.5])],
    ),
    "cumulative_sum": (
        lambda ops, a: ops.cumulative_sum(a),
        lambda a: np.cumsum(a, -1),
        [np.array([1.0, -2, 3, -4])],
    ),
    "outer": (lambda ops, a, b: ops.outer(a, b), lambda a, b: a[..., :, None] * b[..., None, :], [np.ones(2)] * 2),
    "softmax": (
        lambda ops, a: ops.softmax(a),
        lambda a: np.exp(a) / np.sum(np.exp(a), -1, keepdims=True),
        [np.array([0.3, -1, 0.5])],
    ),
    "logsumexp of one that matters": (
        lambda ops, a: ops.logsumexp(a),
        lambda a: np.log(np.sum(np.exp(a), -1)),
        [np.array([5.0, -5.0])],
    ),
}


@pytest.mark.parametrize("name", REDUCING)
def test_deviations_of_many_operands_make_the_deviation_of_the_result(name: str) -> None:
    word, value, middles = REDUCING[name]
    variances, computed = drawn(middles)
    result = step(operation_of(word, *(middle.shape for middle in middles)), middles, variances=variances)
    assert 0.9 < ratio(value(*computed), result) < 1.1


def test_errors_that_all_operands_share_move_a_log_sum_exp_as_far() -> None:
    middles = np.array([0.5, 0.0, -0.5])
    computed = middles + NEARLY * generator().standard_normal((RUNS, 1))
    result = step(operation_of(lambda ops, a: ops.logsumexp(a), (3,)), [middles], variances=[np.full(3, NEARLY**2)])
    assert 0.9 < ratio(np.log(np.sum(np.exp(computed), -1)), result) < 1.1


def test_terms_that_share_a_relative_error_sum_up_as_one() -> None:
    """Of one sign, and in a product on either side."""
    terms = np.arange(1.0, 5.0)
    factors = 1 + NEARLY * generator().standard_normal((RUNS, 1))
    answers, variances = np.sum(factors * terms, -1), np.square(NEARLY * terms)
    ones = np.ones(4)
    assert (
        0.9 < ratio(answers, step(operation_of(lambda ops, a: ops.sum(a), (4,)), [terms], variances=[variances])) < 1.1
    )
    product = operation_of(lambda ops, a, b: a @ b, (4,), (4,))
    assert 0.9 < ratio(answers, step(product, [terms, ones], variances=[variances, None])) < 1.1
    assert 0.9 < ratio(answers, step(product, [ones, terms], variances=[None, variances])) < 1.1


# Functions of a library, which are typically off by fewer units than at worst.

TYPICAL: Mapping[str, tuple[Any, float]] = {
    **{
        name: (operation_of(lambda ops, a, name=name: getattr(ops, name)(a), ()), roundings)
        for name, roundings in {
            "sqrt": 1,  # IEEE 754: one rounding
            "exp": 1.5,  # a polynomial, of half an ulp, and its rounding
            "expm1": 1.5,
            "log": 1.5,
            "log1p": 1.5,
            "sin": 1.5,
            "cos": 1.5,
            "tanh": 2,
            "sigmoid": 3,  # exp's, a sum and a quotient
            "softplus": 3,
        }.items()
    },
    "softplus derivative": (SOFTPLUS_DERIVATIVE, 5),
    "cube": (operation_of(lambda ops, a: a**3, ()), 3.5),
    "inverse": (operation_of(lambda ops, a: a**-1, ()), 2.5),
}


@pytest.mark.parametrize("name", TYPICAL)
def test_a_function_deviates_by_so_many_roundings(name: str) -> None:
    operation, roundings = TYPICAL[name]
    result = step(operation, [0.8])
    errors = roundings * U * generator().uniform(-1, 1, RUNS)
    assert 0.85 < ratio(result.float64 * (1 + errors), result) < 1.1


@pytest.mark.parametrize(("terms", "shift"), [(2, 0.0), (4, 0.0), (64, 0.0), (4, 50.0)])
def test_the_roundings_of_a_log_sum_exp(terms: int, shift: float) -> None:
    """Exponentials and the logarithm as far off as is typical, a loop over the sum, and the last addition."""
    random = generator()
    total = np.zeros(RUNS)
    for _ in range(terms):
        total = (total + rough(random, 1.5)) * rough(random)
    answers = (shift + np.log(total) * rough(random, 1.5)) * rough(random)
    result = step(operation_of(lambda ops, a: ops.logsumexp(a), (terms,)), [np.full(terms, shift)])
    assert 0.8 < ratio(answers, result) < 1.1


@pytest.mark.parametrize("shift", [0.0, 50.0])
def test_the_roundings_of_a_log_softmax(shift: float) -> None:
    """R23: a log-sum-exp of equal entries, and the difference from it."""
    random = generator()
    total = np.zeros(RUNS)
    for _ in range(4):
        total = (total + rough(random, 1.5)) * rough(random)
    log_sum = (shift + np.log(total) * rough(random, 1.5)) * rough(random)
    result = step(operation_of(lambda ops, a: ops.log_softmax(a), (4,)), [np.full(4, shift)])
    answers = (shift - log_sum) * rough(random)
    assert 0.75 < ratio(answers[:, None], result) < 1.1


@pytest.mark.parametrize("terms", [4, 64])  # more equal terms have the part of W2 too
def test_the_roundings_of_a_variance_in_one_pass(terms: int) -> None:
    """Squares, their sum and that of the entries, two quotients, the square of the mean, and the difference."""
    random, middle = generator(), 3.0
    sums, squares = np.zeros(RUNS), np.zeros(RUNS)
    for _ in range(terms):
        sums = (sums + middle) * rough(random)
        squares = (squares + middle * middle * rough(random)) * rough(random)
    mean = sums / terms * rough(random)
    answers = squares / terms * rough(random) - mean * mean * rough(random)
    result = step(operation_of(lambda ops, a: ops.var(a), (terms,)), [0.0, middle + np.zeros(terms)])
    assert 0.75 < ratio(answers, result) < 1.1


def test_the_roundings_of_shares() -> None:
    """Distances, exponentials, a sum and a quotient."""
    random, a = generator(), np.array([0.0, -3.0, -30.0])
    distances = np.stack([entry * rough(random) for entry in a])
    exponentials = np.exp(distances) * np.stack([rough(random, 1.5) for _ in a])
    total = ((exponentials[0] + exponentials[1]) * rough(random) + exponentials[2]) * rough(random)
    answers = (exponentials / total * np.stack([rough(random) for _ in a])).T
    result = step(operation_of(lambda ops, a: ops.softmax(a), (3,)), [a])
    for entry, least in enumerate((0.5, 0.5, 0.9)):  # the largest share and the sum have the same error
        errors = answers[:, entry] - result.float64[entry]
        assert least < np.sqrt(np.mean(errors**2) / result.variance[entry]) < 1.1


def test_the_rounding_of_a_derivative_by_the_square() -> None:
    near = generator().uniform(0.97, 0.999, RUNS).astype(single)
    assert 0.4 < ratio((near - near * near)[None], step(SIGMOID_DERIVATIVE, [near])) < 1.1
    assert 0.4 < ratio((1 - near * near)[None], step(TANH_DERIVATIVE, [near])) < 1.1


def test_an_underflow_deviates_by_no_more_than_the_smallest_normal_number() -> None:
    result = step(operation_of(lambda ops, a, b: a * b, (), ()), [0.9 * NORMAL, 1.0])
    assert 0.8 < ratio(np.zeros(1), result) < 1.1


# W15: a value beside a derivative that is computed again.


def derivative_by_hand(answers: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]) -> list[Any]:
    """The stages of Σ c·σ(a), of which σ(a) is watched."""
    tape = record(
        lambda ops, a, c: ops.sum(c * ops.watch("s", ops.sigmoid(a))),
        {name: array.shape for name, array in inputs.items()},
        ("a",),
    )
    given = {("value", "s"): answers["value"], ("adjoint", "s"): inputs["c"], ("gradient", "a"): answers["gradient"]}
    return list(stages(tape, inputs, SINGLE, given))


def test_a_derivative_may_come_from_a_value_computed_again() -> None:
    """Both values have typical, independent errors: their difference has twice the variance."""
    random = generator()
    inputs = {"a": np.full(RUNS, -6.0, single), "c": np.ones(RUNS, single)}
    true = 1 / (1 + np.exp(6.0))
    first, second = true * rough(random, 3), true * rough(random, 3)
    last = derivative_by_hand({"value": first, "gradient": second * (1 - second) * rough(random, 2)}, inputs)[-1]
    assert last.kind == "gradient"
    assert 0.8 < np.sqrt(np.mean(np.square(last.error / last.spread))) < 1.1


def test_a_value_computed_again_may_have_the_opposite_error() -> None:
    inputs = {"a": np.full(1, -2.0, single), "c": np.ones(1, single)}
    true = 1 / (1 + np.exp(2.0))
    first, second = np.full(1, true * (1 + 8 * U)), np.full(1, true * (1 - 8 * U))
    last = derivative_by_hand({"value": first, "gradient": second * (1 - second)}, inputs)[-1]
    assert 0.7 < float(last.error[0] / last.bound[0]) <= 1


# Rules of the spread that test whether something is within reach of 32 s (W5, W12).


def test_a_reciprocal_that_is_typically_subnormal_adds_to_the_spread() -> None:
    """In float16 1/b is subnormal beyond 16,384; 448 is 32 s."""
    half = Format.of("float16")
    a, b = 60_000.0, 16_000.0
    near, far = (step(QUOTIENTS, [a, b], variances=[None, s**2], format=half).variance for s in (14.0, 11.0))
    assert near is not None
    assert far is not None
    propagated = (a / b**2) ** 2 * (14.0**2 - 11.0**2)
    assert 0.9 < (near - far - propagated) / (half.smallest * a) ** 2 < 1.1


def test_a_power_is_unknown_where_its_base_is_typically_negative() -> None:
    """The exponent 0.3 is rounded, and a negative base has no power then."""
    power = operation_of(lambda ops, a: a**0.3, ())
    near, far = (step(power, [1e-3], variances=[s**2]).coherent for s in (1e-4, 1e-5))
    assert near == np.inf
    assert far is not None
    assert far < 1e-7
