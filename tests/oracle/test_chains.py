"""Products of many factors, which engines multiply in their own order: docs/math.md, R22."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from gradcheck.answers import BackendAnswer
from gradcheck.judging.judge import judge, truth
from gradcheck.oracle import Format, analyse, record, stages
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.running_error import BLOCK, Arithmetic, evaluate
from gradcheck.results import Verdict
from tests.oracle.attaining import operation_of

half = np.float16
HALF = Format.of("float16")
LITTLE = 1 + 2**-9


def powers_of_exponentials(ops, a, w):
    return ops.sum(w * ops.exp(15 * a + 15) ** 2.5)


def answer(a, w, constants_first):
    """The gradient by hand, ((w·2.5)·e^1.5)·e·15 or as tensorflow-graph has it, with all constants in one product."""
    e = np.exp(half(15) * a + half(15))
    power = e ** half(2.5)
    back = half(15) * (half(2.5) * (e ** half(1.5) * e))
    da = w * back if constants_first else ((w * half(2.5)) * e ** half(1.5)) * e * half(15)
    return BackendAnswer(np.sum(w * power), {"a": da, "w": power}, {}, {})


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("constants_first", [False, True])
def test_an_overflow_in_one_order_of_products_is_not_a_proof(constants_first):
    inputs = {"a": np.array([-0.73, -0.8], half), "w": np.array([0.001, 0.5], half)}
    given = answer(**inputs, constants_first=constants_first)
    assert np.isinf(given.gradients["a"]).all() == constants_first
    tape = record(powers_of_exponentials, {"a": (2,), "w": (2,)}, ("a", "w"))
    judged = judge(given, truth(tape, inputs, HALF), "rounding")
    assert judged.verdict is Verdict.UNDECIDED, judged.reason
    assert "dL/da cannot be judged: an intermediate value may overflow" in judged.reason


def test_a_chain_that_overflows_in_no_order_is_judged():
    inputs = {"a": np.array([-0.93, -0.9], half), "w": np.array([0.001, 0.5], half)}
    given = answer(**inputs, constants_first=True)
    tape = record(powers_of_exponentials, {"a": (2,), "w": (2,)}, ("a", "w"))
    known = truth(tape, inputs, HALF)
    assert judge(given, known, "rounding").verdict is Verdict.AGREES
    given.gradients["a"][0] = np.inf
    judged = judge(given, known, "rounding")
    assert (judged.verdict, judged.evidence) == (Verdict.DIFFERS, "proved")


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_chain_continues_across_a_watched_value():
    """An engine need not continue with the array that it gives, here a·b before a·(b·c)."""
    inputs = {"a": np.array([3e-4], half), "b": np.array([300], half), "c": np.array([300], half)}
    tape = record(
        lambda ops, a, b, c: ops.sum(ops.watch("z", ops.watch("y", a * b) * c)), dict.fromkeys(inputs, (1,)), ()
    )
    a, b, c = inputs.values()
    z = a * (b * c)
    assert np.isinf(z)
    given = {("value", "y"): a * b, ("value", "z"): z, ("loss", None): z.sum()}
    steps = {step.name: step for step in stages(tape, inputs, HALF, given)}
    assert np.isfinite([steps["y"].bound, steps["z"].bound]).tolist() == [[True], [False]]
    assert not steps["z"].fails.any()


MULTIPLY, DIVIDE = "*/"
"""Whether a factor is multiplied by, or divided by."""


def known_of(factors, kinds):
    """The analysis of x₀·x₁/x₂ and so on, according to the kinds, from the left."""
    inputs = {f"x{number}": np.array([factor], half) for number, factor in enumerate(factors)}

    def loss(ops, **x):
        result = x["x0"]
        for name, kind in list(zip(x, kinds))[1:]:
            result = result * x[name] if kind == MULTIPLY else result / x[name]
        return ops.sum(ops.watch("y", result))

    return analyse(record(loss, dict.fromkeys(inputs, (1,)), ("x0",)), inputs, HALF)["value", "y"]


def in_some_order(generator, factors, kinds):
    """Products and quotients of some factors, combined at random; the last one, and whether one overflowed."""
    parts = [(half(factor), kind) for factor, kind in zip(factors, kinds)]
    overflowed = False
    while len(parts) > 1:
        (a, first), (b, second) = (parts.pop(generator.integers(len(parts))) for _ in range(2))
        value = a * b if first == second else a / b if first == MULTIPLY else b / a
        overflowed |= not np.isfinite(value)
        parts.append((value, first if first == second else MULTIPLY))
    return float(parts[0][0]), overflowed


def exact(factors, kinds):
    """The true product."""
    return math.prod(
        Fraction(float(half(factor))) ** (1 if kind == MULTIPLY else -1) for factor, kind in zip(factors, kinds)
    )


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:divide by zero", "ignore:invalid value")
def test_an_overflow_in_any_order_leaves_the_result_unknown():
    generator = np.random.default_rng(0)
    seen = {True: 0, False: 0}
    for _ in range(150):
        factors = np.exp2(generator.uniform(-7, 9, 5)) * generator.choice([-1, 1], 5)
        kinds = [MULTIPLY, *generator.choice([MULTIPLY, DIVIDE], 4)]
        overflowed = any(in_some_order(generator, factors, kinds)[1] for _ in range(60))
        open_ = bool(np.isinf(known_of(factors, kinds).worst))
        seen[open_] += 1
        assert open_ or not overflowed, (factors, kinds)
    assert min(seen.values()) > 20


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:divide by zero", "ignore:invalid value")
def test_where_an_order_underflows_the_bound_holds_for_it():
    generator = np.random.default_rng(1)
    beyond = 0
    for _ in range(200):
        factors = np.exp2(generator.uniform(-12, 5, 5)) * generator.choice([-1, 1], 5)
        kinds = [MULTIPLY, *generator.choice([MULTIPLY, DIVIDE], 4, p=[0.8, 0.2])]
        bound, truth = known_of(factors, kinds).worst.item(), exact(factors, kinds)
        for _ in range(60):
            value, overflowed = in_some_order(generator, factors, kinds)
            error = np.inf if overflowed else float(abs(Fraction(value) - truth))
            assert error <= bound, (factors, kinds)
            beyond += error > 2 * 4 * HALF.roundoff * abs(truth) + HALF.smallest
    assert beyond > 100


@pytest.mark.parametrize(
    ("factors", "kinds"),
    [((1e-3, 250, 250), "***"), ((1e-3, 250, 0.004), "**/"), ((250, 250, 250), "*//"), ((1e-3, 0.004, 0.004), "*//")],
    ids=["product", "quotient", "divisors", "reciprocals"],
)
def test_a_chain_is_known_up_to_the_largest_product_of_its_factors(factors, kinds):
    """250² is finite in float16, and 270² is not."""
    grown = [factors[0], *(factor * (1.08 if factor > 1 else 1 / 1.08) for factor in factors[1:])]
    assert np.isfinite(known_of(factors, kinds).worst).all()
    assert np.isinf(known_of(grown, kinds).worst).all()


@pytest.mark.parametrize(
    ("factors", "kinds", "order"),
    [
        ((2**5, 2**-12, 2**-13), "***", lambda a, b, c: a * (b * c)),
        ((2**-4, 131 * 2**-15, 2**-8 * LITTLE, LITTLE, LITTLE), "*////", lambda a, b, c, d, e: a / (b * c * d * e)),
    ],
    ids=["product", "divisors"],
)
def test_what_a_product_loses_grows_by_the_factors_beside_it(factors, kinds, order):
    """In float16 2⁻²⁵ is zero; the divisors' products are 262.5, 263.5 and 264.5 times 2⁻²⁴, and rounded up."""
    value, truth = Fraction(float(order(*map(half, factors)))), exact(factors, kinds)
    bound = known_of(factors, kinds).worst.item()
    assert 0.2 * bound < abs(value - truth) <= bound


def test_a_product_of_divisors_that_is_flushed_is_unknown():
    """In float32 a/(b·c) is infinite where b·c is subnormal and flushed, and a/b/c is 2¹²⁷."""
    inputs = {name: np.array([entry], np.float32) for name, entry in {"a": 1, "b": 2.0**-63, "c": 2.0**-64}.items()}
    tape = record(lambda ops, a, b, c: ops.sum(ops.watch("v", a / b / c)), dict.fromkeys(inputs, (1,)), ())
    flushing, rounding = (
        analyse(tape, inputs, Format.of("float32", flushes=flushes))["value", "v"].worst for flushes in (True, False)
    )
    assert np.isinf(flushing)
    assert np.isfinite(rounding)


def test_an_engine_that_flushes_loses_a_whole_subnormal_product():
    """x·(y·z) is zero where y·z is subnormal; where y is zero every order gives zero."""
    inputs = {"x": [2.0**40] * 2, "y": [2.0**-30, 0], "z": [2.0**-100] * 2}
    inputs = {name: np.array(entries, np.float32) for name, entries in inputs.items()}
    tape = record(lambda ops, x, y, z: ops.sum(ops.watch("v", x * y * z)), dict.fromkeys(inputs, (2,)), ())
    flushing, rounding = (
        analyse(tape, inputs, Format.of("float32", flushes=flushes))["value", "v"].worst for flushes in (True, False)
    )
    assert flushing[0] > 2.0**-90 > 2.0**-100 > rounding[0]
    assert max(flushing[1], rounding[1]) < 2.0**-120


@pytest.mark.parametrize("rows", [2, BLOCK + 1], ids=["at once", "by blocks of rows"])
def test_the_gradients_of_a_matrix_product_are_in_the_chain(rows):
    """The gradient of W is outer(g·s, x), and g·x alone overflows."""
    inputs = {
        "W": np.full((rows, 2), 0.001, half),
        "x": np.full(2, 400, half),
        "s": np.full(rows, 0.001, half),
        "g": np.full(rows, 400, half),
    }
    shapes = {name: array.shape for name, array in inputs.items()}
    tape = record(lambda ops, W, x, s, g: ops.sum(g * (s * (W @ x))), shapes, ("W",))
    worst = np.concatenate([block.worst for block in analyse(tape, inputs, HALF)["gradient", "W"].blocks()])
    assert np.isinf(worst).all()
    inputs["x"] = np.full(2, 100, half)
    worst = np.concatenate([block.worst for block in analyse(tape, inputs, HALF)["gradient", "W"].blocks()])
    assert np.isfinite(worst).all()


def test_moved_entries_keep_their_factors():
    def loss(ops, a, b):
        moved = ops.concat([ops.matrix_transpose(ops.reshape(a * b, (2, 2)))[0], -(a * b)[1:2]])
        return ops.sum(ops.watch("y", moved * b[0]))

    inputs = {"a": np.array([1e-3, 1e-3, 1e-4, 1], half), "b": np.array([300, 300, 200, 1], half)}
    known = analyse(record(loss, {"a": (4,), "b": (4,)}, ("a",)), inputs, HALF)["value", "y"]
    assert np.isinf(known.worst).tolist() == [True, False, True]


def test_a_sum_is_a_factor_of_its_own():
    inputs = {"a": np.full(4, 300, half), "b": np.full(4, 1e-3, half)}
    tape = record(lambda ops, a, b: ops.sum(ops.watch("y", a * ops.sum(a * b))), {"a": (4,), "b": (4,)}, ("a",))
    assert np.isfinite(analyse(tape, inputs, HALF)["value", "y"].worst).all()


@pytest.mark.parametrize(("number", "known"), [(1.0, True), (1.3, False)])
def test_a_chain_of_thousands_of_factors_is_analysed(number, known):
    def loss(ops, a):
        for _ in range(500):
            a = -(a * number) / number
        return ops.sum(a)

    tape = record(loss, {"a": (1,)}, ("a",))
    output = analyse(tape, {"a": np.ones(1, np.float32)}, Format.of("float32"))["gradient", "a"]
    assert np.isfinite(output.worst) == np.isfinite(output.spread) == known


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_roundings_may_grow_a_product_beyond_the_largest_number():
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        factors = generator.uniform(1.5, 2.9, 13).astype(half)
        factors[-1] = 0.9999 * HALF.safe_largest / np.prod(factors[:-1], dtype=np.float64)
        if np.prod(factors, dtype=np.float64) <= HALF.safe_largest and np.isinf(np.multiply.accumulate(factors)[-1]):
            found += 1
            assert np.isinf(known_of([1e-3, *factors], "*" * 14).worst)
    assert found


def test_errors_of_factors_count_at_their_worst_for_the_bound_and_as_they_are_typically_for_the_spread():
    product = operation_of(lambda ops, a, b: a * b, (), ())
    arithmetic = Arithmetic.float64(HALF, radii=False)

    def last(worst, variance):
        small, large = Quantity(np.asarray(1e-3)), Quantity(np.asarray(200.0))
        unsure = Quantity(np.asarray(200.0), worst=np.asarray(worst), variance=np.asarray(variance))
        return evaluate(arithmetic, product, [evaluate(arithmetic, product, [small, unsure]), large])

    for worst, variance, known, spread_known in (
        (100.0, 1e-6, True, True),
        (150.0, 1e-6, False, True),
        (150.0, 25.0, False, False),
    ):
        result = last(worst, variance)
        assert np.isfinite(result.worst) == known
        assert np.isfinite(result.variance) == spread_known


@pytest.mark.parametrize(("factor", "known"), [(300, False), (2, True)])
def test_a_matrix_of_products_that_is_made_by_blocks_of_rows_is_a_chain(factor, known):
    """outer(a, b)·c is a·(b·c) too."""
    inputs = {"a": np.full(BLOCK + 1, 1e-3, half), "b": np.full(2, 300, half), "c": np.full(2, factor, half)}
    shapes = {name: array.shape for name, array in inputs.items()}
    tape = record(lambda ops, a, b, c: ops.sum(ops.watch("y", ops.outer(a, b) * c)), shapes, ())
    assert (np.isfinite(analyse(tape, inputs, HALF)["value", "y"].worst) == known).all()


def test_a_zero_beside_a_placed_piece_meets_an_overflow():
    """The gradient of a has 0·b·c where a piece leaves it out: 0·∞ is not a number."""
    inputs = {name: np.array(entries, half) for name, entries in {"a": [1, 1], "b": [2, 300], "c": [2, 300]}.items()}
    tape = record(lambda ops, a, b, c: ops.sum((a * b * c)[:1] * 3.0 * 5.0), dict.fromkeys(inputs, (2,)), ("a",))
    assert np.isfinite(analyse(tape, inputs, HALF)["gradient", "a"].worst).tolist() == [True, False]


@pytest.mark.parametrize(
    "loss", [lambda x, y, a, b: x * (a - b), lambda x, y, a, b: (x * y) * (a - b)], ids=["product", "chain"]
)
@pytest.mark.parametrize(("size", "known"), [(170.0, True), (300.0, False)])
def test_a_product_that_overflows_where_it_is_distributed_over_a_sum_is_no_proof(size, known, loss):
    """x(a − b) as xa − xb, and with y in between as (xa − xb)y: 300² is infinite in float16."""
    inputs = {"x": size, "y": 0.01, "a": size, "b": size - 0.5}
    inputs = {name: np.array([entry], half) for name, entry in inputs.items()}
    tape = record(lambda ops, **inputs: ops.sum(ops.watch("v", loss(**inputs))), dict.fromkeys(inputs, (1,)), ())
    assert np.isfinite(analyse(tape, inputs, HALF)["value", "v"].worst).all() == known


@pytest.mark.parametrize("worst", [math.inf, 1e12])
def test_large_worst_errors_leave_the_spread_of_a_product_as_it_is(worst):
    format = Format.of("float32")
    factor = Quantity(np.full(3, 0.5), worst=np.full(3, worst), variance=np.full(3, 1e-16))
    multiply, arithmetic = operation_of(lambda ops, a, b: a * b, (), ()), Arithmetic.float64(format)
    pair = evaluate(arithmetic, multiply, [factor, factor])
    product = evaluate(arithmetic, multiply, [pair, factor])
    assert (product.worst > worst).all() or math.isinf(worst)
    assert (product.variance < 1e-14).all()


@pytest.mark.parametrize("worst", [[1e4, 0.0], [1e4, 1e4]])
def test_each_entry_has_the_spread_of_its_own_orders(worst):
    multiply, arithmetic = operation_of(lambda ops, a, b: a * b, (), ()), Arithmetic.float64(Format.of("float32"))
    small = Quantity(np.array([1e-10, 1e-22]), worst=np.array(worst), variance=np.zeros(2))
    large = Quantity(np.array([1e-10, 1e22]))
    product = evaluate(arithmetic, multiply, [evaluate(arithmetic, multiply, [small, small]), large])
    assert product.variance[0] < 1e-60 < 1e-40 < product.variance[1]
