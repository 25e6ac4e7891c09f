"""Products along an axis: errors that attain the rule, or come near, in any order (docs/math.md, R42)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gradcheck.oracle import analyse, record
from gradcheck.oracle.balls import undefined
from gradcheck.oracle.operations.multiplied import OTHERS, PRODUCT, RETURNED, UP_TO
from tests.oracle.attaining import SINGLE, SMALLEST, U, ratio, share, step
from tests.oracle.test_attaining_second import products

single = np.float32


def floats(*numbers: float) -> np.ndarray:
    return np.array(numbers, single).astype(float)


def found(loss: Callable, **inputs: np.ndarray):
    """The analysis of a loss in float32, of gradients of all inputs."""
    given = {name: np.asarray(array, single) for name, array in inputs.items()}
    return analyse(record(loss, {name: array.shape for name, array in given.items()}, tuple(given)), given, SINGLE)


def along(ops, a):
    return ops.prod(a)


def in_turn(factors) -> np.float32:
    result = single(1)
    for factor in factors:
        result = single(result * single(factor))
    return result


# Values.


def test_errors_of_the_factors_multiply():
    result = step(PRODUCT, [[2.0, 3.0, 4.0]], errors=[[0.2, 0.3, 0.4]])
    assert 0.999 < share([2.2 * 3.3 * 4.4], result) <= 1


def test_each_product_is_rounded_once_more():
    """(1 + 2u)ⁿ, of which each product of float32 loses what is left of 2u·2ku."""
    factors = np.full(9, 1 + 2.0**-12)
    result = step(PRODUCT, [factors])
    assert 0.2 < share([in_turn(factors)], result) <= 1
    assert result.worst[0] <= 8.001 * U * result.float64[0] + SMALLEST * 1.001


def test_each_product_up_to_an_entry_has_its_own_roundings():
    factors = np.full(9, 1 + 2.0**-12)
    result = step(UP_TO, [factors])
    assert result.worst[0] <= 1.001 * SMALLEST
    assert result.worst[4] <= 4.001 * U * result.float64[4] + 1.001 * SMALLEST
    assert share(np.multiply.accumulate(factors.astype(single)), result) <= 1
    moved = step(UP_TO, [[2.0, 3.0, 4.0]], errors=[[0.2, 0.3, 0.4]])
    assert 0.999 < share(np.cumprod([2.2, 3.3, 4.4]), moved) <= 1 + 1e-9


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [0, 2, 1, 3], [2, 3, 0, 1]])
def test_an_order_that_overflows_or_underflows_on_its_way_is_not_refused(order):
    factors = floats(1e30, 1e30, 1e-30, 1e-30)
    with np.errstate(all="ignore"):
        assert not abs(in_turn(factors[order]) - 1) > found(along, a=factors)["loss", None].worst


def test_what_underflows_on_its_way_is_multiplied_by_the_other_factors():
    """2⁻¹⁴⁹·(1 + ¼)·2³⁰: a quarter of the smallest number is lost, times 2³⁰."""
    factors = floats(1.25, 2.0**-75, 2.0**-74, 2.0**30)
    worst = found(along, a=factors)["loss", None].worst
    assert 0.01 < abs(in_turn(factors) - np.prod(factors)) / worst <= 1


def test_products_of_no_entries_are_one_and_of_one_entry_exact():
    empty = found(lambda ops, a: ops.sum(ops.prod(a, axis=1)), a=np.zeros((2, 0)))
    assert empty["loss", None].enclosure.high == 2
    assert empty["gradient", "a"].enclosure.high.shape == (2, 0)
    alone = found(along, a=floats(3.0))
    assert alone["loss", None].worst < 1e-40
    assert alone["gradient", "a"].enclosure.high == 1


# Gradients.


@pytest.mark.parametrize("zeros", [[1], [1, 3]])
def test_the_gradient_where_a_factor_is_zero_is_the_product_of_the_others(zeros):
    factors = floats(2.0, 3.0, 5.0, 7.0)
    factors[zeros] = 0
    gradient = found(along, a=factors)["gradient", "a"]
    expected = [np.prod(np.delete(factors, place)) for place in range(4)]
    assert np.array_equal(gradient.enclosure.high, expected)
    assert np.all(gradient.worst < 1e-4)


def test_the_derivative_as_a_quotient_of_the_product_is_within_the_bound():
    factors = floats(*np.random.default_rng(0).uniform(0.5, 2, 9))
    gradient = found(along, a=factors)["gradient", "a"]
    quotient = in_turn(factors) / factors.astype(single)
    shares = np.abs(quotient - gradient.enclosure.high) / gradient.worst
    assert 0.1 < np.max(shares) <= 1


def test_a_quotient_of_a_product_that_underflows_is_not_refused():
    factors = floats(1.5e-40, 1.25, 1.25e-3)
    gradient = found(along, a=factors)["gradient", "a"]
    quotient = in_turn(factors) / factors.astype(single)
    errors = np.abs(quotient - gradient.enclosure.high)
    assert np.all(errors <= gradient.worst)
    assert errors[0] > 1e-4 * abs(gradient.enclosure.high[0])  # more than roundings alone


def test_of_a_factor_that_may_be_zero_no_quotient_is_known():
    """Its two copies, in the product and as divisor, may have different errors."""
    gradient = found(lambda ops, a, b: ops.prod(ops.stack([a - b, a, b])), a=1.5, b=np.float32(1.5) * (1 + 2.0**-23))
    assert np.isfinite(gradient["gradient", "a"].worst).all()
    tanhs = found(lambda ops, a: ops.prod(ops.stack([ops.tanh(a) - ops.tanh(a), a])), a=0.5)
    assert np.isinf(tanhs["gradient", "a"].worst).all()


def test_zero_factors_do_not_make_a_loss_undefined():
    inputs = {"a": np.array([0.5, -1.0])}
    tape = record(lambda ops, a: ops.prod(ops.tanh(a) - ops.tanh(a)) + ops.prod(ops.relu(a)), {"a": (2,)}, ("a",))
    assert undefined(tape, inputs, 128) is None


def by_quotient(g, a):
    sums = np.add.accumulate((g * np.multiply.accumulate(a))[::-1])[::-1]
    return sums / a


def by_recursion(g, a):
    sums = g.copy()
    for place in reversed(range(len(a) - 1)):
        sums[place] += a[place + 1] * sums[place + 1]
    return sums * np.multiply.accumulate(np.concatenate([a[:1] * 0 + 1, a[:-1]]))


def term_by_term(g, a):
    rows = [[g[k] * np.multiply.reduce(np.delete(a[: k + 1], i)) for k in range(i, len(a))] for i in range(len(a))]
    return np.array([np.add.accumulate(np.array(row, a.dtype))[-1] for row in rows])


@pytest.mark.parametrize("form", [by_quotient, by_recursion, term_by_term])
def test_gradients_of_cumulative_products_are_within_the_bound_in_every_form(form):
    generator = np.random.default_rng(0)
    factors, weights = (floats(*generator.uniform(0.5, 1.75, 12)) * generator.choice([-1, 1], 12) for _ in range(2))
    result = found(lambda ops, a, w: ops.sum(w * ops.cumulative_prod(a)), a=factors, w=weights)["gradient", "a"]
    assert np.allclose(result.enclosure.high, form(weights, factors), rtol=1e-10)
    errors = np.abs(form(weights.astype(single), factors.astype(single)) - result.enclosure.high)
    assert np.all(errors <= result.worst)
    assert np.all(errors <= 8 * result.spread)
    assert np.max(errors / result.worst) > 0.01


@pytest.mark.parametrize("form", [by_recursion, term_by_term])
def test_gradients_of_cumulative_products_with_zeros_are_judged_tightly(form):
    factors, weights = floats(2.0, 0.0, 3.0, 0.0, 5.0), floats(1.0, 2.0, 3.0, 4.0, 5.0)
    result = found(lambda ops, a, w: ops.sum(w * ops.cumulative_prod(a)), a=factors, w=weights)["gradient", "a"]
    assert np.array_equal(result.enclosure.high, form(weights, factors))
    assert np.all(result.worst < 1e-4)


def test_errors_of_cumulative_products_return_with_each_term():
    g, a = np.array([1.0, 1.0]), np.array([2.0, 3.0])
    result = step(RETURNED, [g, a], errors=[[0.1, 0.1], [0.0, 0.3]])
    assert 0.999 < abs(1.1 + 1.1 * 3.3 - 4) / result.worst[0] <= 1 + 1e-9
    quotients = found(lambda ops, a: ops.sum(ops.cumulative_prod(ops.stack([ops.tanh(a) - ops.tanh(a), a]))), a=0.5)
    assert np.isinf(quotients["gradient", "a"].worst)  # of two copies of a factor that may be zero


def test_sums_of_cumulative_products_that_underflow_before_a_quotient_are_not_refused():
    factors, weights = floats(1e-30, 1e-10, 1e35), floats(1.0, 1.0, 1.0)
    result = found(lambda ops, a, w: ops.sum(w * ops.cumulative_prod(a)), a=factors, w=weights)["gradient", "a"]
    with np.errstate(all="ignore"):
        for form in (by_quotient, by_recursion, term_by_term):
            errors = np.abs(form(weights.astype(single), factors.astype(single)) - result.enclosure.high)
            assert not np.any(errors > result.worst)
            assert not np.any(errors > 32 * result.spread)


def test_what_underflows_in_a_recursion_is_multiplied_by_the_factors_before():
    g, a = floats(0, 0, 0, 1), floats(1e30, 1.0, 1e-30, 1.3e-15)
    answer = by_recursion(g.astype(single), a.astype(single))
    assert 1e-3 < share(answer, step(RETURNED, [g, a])) <= 1


def second_of_product(a: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Σ vᵢ Π aₖ over i but j, of all k but i and j."""
    places = range(len(a))
    return np.array([sum(v[i] * np.prod(np.delete(a, [i, j])) for i in places if i != j) for j in places], a.dtype)


def second_of_cumulative(a: np.ndarray, v: np.ndarray) -> np.ndarray:
    whole = np.zeros(len(a), a.dtype)
    for end in range(1, len(a) + 1):
        whole[:end] += second_of_product(a[:end], v[:end])
    return whole


SECOND = {
    "prod": (lambda ops, a: ops.prod(a), second_of_product),
    "cumulative_prod": (lambda ops, a: ops.sum(ops.cumulative_prod(a)), second_of_cumulative),
}


@pytest.mark.parametrize("zeros", [[], [1], [1, 3]])
@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives_of_products_are_those_of_their_formulas(name, zeros):
    loss, formula = SECOND[name]
    factors, direction = floats(1.25, -0.75, 1.5, 0.5, -2.0, 1.1), floats(0.5, 1.0, -0.75, 1.0, 0.25, -1.0)
    factors[zeros] = 0
    found = products(loss, factors.astype(single), direction.astype(single))
    assert np.allclose(found.enclosure.high, formula(factors, direction), rtol=1e-12)
    errors = np.abs(formula(factors.astype(single), direction.astype(single)) - found.enclosure.high)
    assert np.all(errors <= found.worst)
    assert np.all(found.worst < 1e-4)


# Spread.


@pytest.mark.parametrize("size", [4, 40])
def test_the_spread_of_products_is_that_of_their_roundings(size):
    rows = np.random.default_rng(1).uniform(0.5, 2, (400, size)).astype(single)
    result = step(PRODUCT, [rows.astype(float)])
    assert 0.3 < ratio(np.multiply.reduce(rows, axis=-1, keepdims=True)[None], result) < 1.1
    others = np.stack([np.multiply.reduce(np.delete(rows, place, 1), axis=-1) for place in range(size)], axis=-1)
    assert 0.3 < ratio(others[None], step(OTHERS, [rows.astype(float)])) < 1.1


def test_equal_factors_may_be_rounded_in_the_same_way():
    """Each product of 1 + u·1.5 rounds up by a quarter of a unit in the last place, 300 times."""
    factors = np.full(300, 1 + 2.0**-23).astype(single).astype(float)
    result = step(PRODUCT, [factors])
    error = abs(in_turn(factors) - result.float64[0])
    assert error <= 32 * np.sqrt(result.variance[0])
    large = step(PRODUCT, [np.full(4096, 1.001)])
    assert 32 * np.sqrt(large.variance[0]) > large.worst[0]


def test_errors_that_all_factors_share_add_up():
    result = step(PRODUCT, [[2.0, 3.0, 4.0]], variances=[[4e-6, 9e-6, 16e-6]])
    assert 0.99 < np.sqrt(result.variance[0]) / (24 * ((1 + 1e-3) ** 3 - 1)) < 1.01


def test_products_of_rows_are_multiplied_with_other_factors_in_any_order():
    """(w·a₀)·a₁ underflows where w·(a₀·a₁) does not."""
    result = found(lambda ops, a, w: w * ops.prod(a), a=floats(1e-20, 1e20), w=1.2345678e-25)["loss", None]
    in_order = in_turn([1.2345678e-25, 1e-20, 1e20])
    assert 1e-2 * abs(result.enclosure.high) < abs(in_order - result.enclosure.high) <= result.worst
