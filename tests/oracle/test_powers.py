"""Powers: the exponent that the user wrote is exact, and engines round it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx, fmpq

from gradcheck.graphs import RecordingError
from gradcheck.oracle import Format, analyse, record
from gradcheck.oracle.balls import walk
from tests.oracle.answers import Answer
from tests.oracle.test_bounds import bad_entries
from tests.oracle.test_enclosures import balls_of

EXPONENTS = (0.1, 0.3, -0.1, -0.3, 1 / 3, -0.7, 2.1, 0.5, 1e-9, 1 + 1e-9, 1e-300)
BASES = (2.0, 10.0, 1e30, 1e-30, 1e200, 1e-300)


def derivative(p, a):
    """p·aᵖ⁻¹ with the exact exponent, from another library's power of a rational number."""
    exact = Fraction(p)
    q = exact - 1
    return arb(fmpq(exact.numerator, exact.denominator)) * arb(a) ** arb(fmpq(q.numerator, q.denominator))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("p", EXPONENTS)
def test_the_derivative_is_enclosed_for_exponents_whose_predecessor_is_no_float(p, dtype):
    tape = record(lambda ops, a: ops.sum(a**p), {"a": (len(BASES),)}, ("a",))
    inputs = {"a": np.array(BASES)}
    enclosure = analyse(tape, inputs, Format.of(dtype))["gradient", "a"].enclosure
    with ctx.workprec(300):
        for mine, balls, a in zip(balls_of(enclosure), walk(tape, inputs, 200)["gradient", "a"], BASES, strict=True):
            true = derivative(p, a)
            if mine.is_finite():
                assert mine.overlaps(true), a
            assert balls.overlaps(true), a
            assert balls.rel_accuracy_bits() > 128, a


@pytest.mark.parametrize("p", [0.1, -0.3, 2.1])
def test_the_number_nearest_to_the_derivative_is_accepted(p):
    bases = BASES[:-1] if p < 1 else BASES[:-2]
    tape = record(lambda ops, a: ops.sum(a**p), {"a": (len(bases),)}, ("a",))
    with ctx.workprec(300):
        nearest = np.array([float(derivative(p, a)) for a in bases])
    inputs = {"a": np.array(bases)}
    known = analyse(tape, inputs, Format.of("float64"))["gradient", "a"]
    assert np.all(np.abs(known.enclosure.distance(nearest)) <= known.worst + known.enclosure.radius)


def rounding_engine(p, a):
    """Σaᵖ as engines compute it, with p and p − 1 in the arrays' own dtype."""
    number = a.dtype.type
    exponent = number(p)
    power = np.power(a, exponent)
    return Answer(np.sum(power), {"a": exponent * np.power(a, exponent - number(1))}, {"y": power}, {})


@pytest.mark.parametrize("p", [0.1, 0.3, 0.7, -0.7, 2.1, 1 / 3])
def test_an_engine_that_rounds_the_exponent_is_accepted(p):
    a = np.array([1e30, 1e36, 3e37, 1e-37, 1e20, 3.0] if 0 < p < 1 else [1e15, 1e-15, 3.0], np.float32)
    tape = record(lambda ops, a: ops.sum(ops.watch("y", a**p)), {"a": a.shape}, ("a",))
    format, answer = Format.of("float32"), rounding_engine(p, a)
    answer.adjoints["y"] = np.ones_like(a)
    assert not any(sum(counts[:2]) for counts in bad_entries(tape, {"a": a}, format, answer).values())


def test_an_engine_that_rounds_the_exponent_comes_close_to_the_bound():
    """0.3 is 0.8 of half a unit away from the nearest float32; functions are allowed 8 u beside."""
    p, a = np.float64(np.float32(0.3)) + 0.49 * 2.0**-25, np.array([3e38], np.float32)
    tape = record(lambda ops, a: ops.sum(a ** float(p)), {"a": (1,)}, ("a",))
    known = analyse(tape, {"a": a}, Format.of("float32"))["loss", None]
    got = np.power(a.astype(np.float64), np.float64(np.float32(p)))
    ratio = np.abs(known.enclosure.distance(got.sum())) / known.worst
    assert 0.3 < ratio <= 1


def test_the_rounding_of_an_exponent_does_not_average_out():
    """All entries have the same error: the error of a sum is the sum of the errors, far beyond 32/√n of one."""
    p, n = 0.3, 4096
    a = np.full(n, 1e-37, np.float32)
    tape = record(lambda ops, a, ones: ones @ a**p, {"a": (n,), "ones": (n,)}, ("ones",))
    format = Format.of("bfloat16", accumulator="float32")
    known = analyse(tape, {"a": a, "ones": np.ones(n, np.float32)}, format)["loss", None]
    rounded = 0.30078125
    error = abs(known.enclosure.distance(np.array(n * float(a[0]) ** rounded)))
    assert error > 0.9 * n * (float(a[0]) ** p) * abs(np.expm1((rounded - p) * np.log(1e-37)))
    assert error <= 32 * known.spread
    assert error <= known.worst


@pytest.mark.parametrize("p", [2, 3, -1, 0.5, 2.5])
def test_an_exponent_that_the_dtype_has_costs_nothing(p):
    tape = record(lambda ops, a: ops.sum(a**p), {"a": (1,)}, ("a",))
    known = analyse(tape, {"a": np.array([1e30 if p < 1 else 1e10], np.float32)}, Format.of("float32"))["loss", None]
    assert known.worst <= 10 * 2.0**-24 * known.enclosure.high + 2.0**-126


def test_zero_and_negative_bases():
    a = np.array([0.0, -2.0, 3.0])
    for p, true in ((0, [0, 0, 0]), (2, [0, -4, 6]), (3, [0, 12, 27]), (1, [1, 1, 1])):
        tape = record(lambda ops, a, p=p: ops.sum(a**p), {"a": (3,)}, ("a",))
        known = analyse(tape, {"a": a}, Format.of("float64"))["gradient", "a"]
        assert np.all(np.abs(known.enclosure.high - true) <= 1e-14)
        assert np.all(np.isfinite(known.worst))
    tape = record(lambda ops, a: ops.sum(a**0.3), {"a": (3,)}, ("a",))
    known = analyse(tape, {"a": a}, Format.of("float32"))["gradient", "a"]
    assert np.isfinite(known.worst).tolist() == [False, False, True]


def test_a_large_exponent_of_another_dtype_leaves_the_sign_of_a_negative_power_open():
    tape = record(lambda ops, a: ops.sum(a**16777217), {"a": (1,)}, ("a",))
    known = analyse(tape, {"a": np.array([-1.0], np.float32)}, Format.of("float32"))["loss", None]
    assert not known.worst < 2


@pytest.mark.parametrize("p", [float("nan"), float("inf"), 2**53 + 1, 10**400])
def test_an_exponent_that_float64_does_not_hold_is_refused_in_a_line(p):
    with pytest.raises(RecordingError, match="expected a finite number that float64 holds"):
        record(lambda ops, a: ops.sum(a**p), {"a": (1,)}, ("a",))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_product_may_overflow_in_another_order(dtype):
    """(g·p)·aᵖ⁻¹ overflows where g·(p·aᵖ⁻¹) does not."""
    largest = float(np.finfo(dtype).max)
    inputs = {"a": np.array([0.01, 0.02], dtype), "c": np.array([0.6 * largest, 0.1 * largest], dtype)}
    tape = record(lambda ops, a, c: ops.sum(a**4 * c), {"a": (2,), "c": (2,)}, ("a",))
    assert np.isfinite(analyse(tape, inputs, Format.of(dtype))["gradient", "a"].worst).tolist() == [False, True]
