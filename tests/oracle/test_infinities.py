"""Infinities in a problem, numbers beyond a dtype's range, sums of very many terms, and flushed arithmetic."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from gradcheck.graphs import RecordingError
from gradcheck.oracle import Format, analyse, record, stages
from gradcheck.oracle.formats import combine, theta
from gradcheck.oracle.operations.arithmetic import ANY
from tests.oracle.answers import Answer
from tests.oracle.attaining import step
from tests.oracle.test_enclosures import assert_certified

MINUS = float("-inf")
SHAPES = {"a": (2, 3), "m": (2, 3)}
INPUTS = {"a": np.array([[1.0, 2.0, 3.0], [0.1, 0.2, 0.3]]), "m": np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])}
MASKED = {
    "softmax": lambda ops, a, m: ops.softmax(ops.where(m > 0, a, MINUS), axis=-1),
    "softmax of computed scores": lambda ops, a, m: ops.softmax(ops.where(m > 0, a * a, MINUS) + a, axis=-1),
    "an added mask": lambda ops, a, m: ops.softmax(a * a + ops.where(m > 0, 0.0, MINUS), axis=-1),
    "logsumexp": lambda ops, a, m: ops.logsumexp(ops.where(m > 0, a * a, MINUS), axis=-1),
    "log_softmax": lambda ops, a, m: ops.where(m > 0, ops.log_softmax(ops.where(m > 0, a * a, MINUS)), 0.0),
    "maximum": lambda ops, a, m: ops.max(ops.where(m > 0, a * a, MINUS), axis=-1),
    "exponentials": lambda ops, a, m: ops.exp(ops.where(m > 0, a * a, MINUS) - ops.max(a)),
}


@pytest.mark.parametrize("name", MASKED)
def test_a_mask_of_minus_infinity_is_certified_by_arb(name):
    assert_certified(lambda ops, a, m: ops.sum(MASKED[name](ops, a, m) ** 2), SHAPES, ("a",), INPUTS)


@pytest.mark.parametrize("flushes", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", MASKED)
def test_a_mask_of_minus_infinity_leaves_bounds_narrow(name, dtype, flushes):
    tape = record(lambda ops, a, m: ops.sum(MASKED[name](ops, a, m) ** 2), SHAPES, ("a",))
    inputs = {key: array.astype(dtype) for key, array in INPUTS.items()}
    for output in analyse(tape, inputs, Format.of(dtype, flushes=flushes)).values():
        assert np.max(output.worst) <= 1e4 * np.finfo(dtype).eps * max(1.0, np.max(np.abs(output.enclosure.high)))
        assert np.all(np.isfinite(output.spread))


def masked_attention(a, m):
    with np.errstate(all="ignore"):
        scores = np.where(m > 0, a * a, -np.inf).astype(a.dtype)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares = shares / shares.sum(axis=1, keepdims=True)
    back = 2 * shares * (shares - (shares * shares).sum(axis=1, keepdims=True))
    return Answer(
        (shares * shares).sum(), {"a": np.where(m > 0, back, 0) * 2 * a}, {"scores": scores}, {"scores": back}
    )


@pytest.mark.parametrize("flushes", [False, True])
def test_watched_infinities_are_a_step_like_any_other(flushes):
    inputs = {key: array.astype(np.float32) for key, array in INPUTS.items()}
    tape = record(
        lambda ops, a, m: ops.sum(ops.softmax(ops.watch("scores", ops.where(m > 0, a * a, MINUS)), axis=-1) ** 2),
        SHAPES,
        ("a",),
    )
    answer, format = masked_attention(**inputs), Format.of("float32", flushes=flushes)
    steps = list(stages(tape, inputs, format, dict(answer.arrays())))
    assert not any(stage.fails.any() for stage in steps)
    assert all(np.all(stage.bound <= 1e-4) for stage in steps)
    answer.values["scores"] = np.where(np.isinf(answer.values["scores"]), np.float32(-1e30), answer.values["scores"])
    first = next(stages(tape, inputs, format, dict(answer.arrays())))
    assert first.fails.tolist() == np.isinf(masked_attention(**inputs).values["scores"]).tolist()


def test_a_number_beyond_the_range_leaves_only_its_own_results_open():
    tape = record(lambda ops, a: ops.sum(ops.watch("y", ops.where(a > 0, a, -1e9))), {"a": (2,)}, ("a",))
    known = analyse(tape, {"a": np.array([1.0, -1.0], np.float16)}, Format.of("float16"))["value", "y"]
    assert np.isfinite(known.worst).tolist() == [True, False]


@pytest.mark.parametrize("number", [float("nan"), np.float32("nan"), 10**400])
def test_nan_constants_are_refused_in_one_line(number):
    with pytest.raises(RecordingError, match="expected a real number that float64 holds"):
        record(lambda ops, a: ops.sum(a * number), {"a": (2,)}, ("a",))


@pytest.mark.parametrize("terms", [10**5, 10**7])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_sums_of_very_many_terms_have_a_bound(terms, dtype):
    format = Format.of(dtype, accumulator="float32")
    assert format.sum_error(terms) >= terms * format.roundoff
    assert format.product_error(terms) >= terms * format.accumulator_roundoff
    assert theta(10**7, 2.0**-8) == np.inf
    assert combine(np.inf, 0.0, 2.0**-8) == np.inf


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_sum_of_a_hundred_thousand_terms_is_analysed(dtype):
    n = 100_000
    inputs = {"b": np.full(1, 0.125, np.float32), "x": np.full((n, 1), 0.25, np.float32)}
    tape = record(lambda ops, b, x: ops.mean((x + b) ** 2), {"b": (1,), "x": (n, 1)}, ("b",))
    known = analyse(tape, inputs, Format.of(dtype))["gradient", "b"]
    assert abs(known.enclosure.high - 0.75) < 1e-12
    assert not known.worst < 0.75


# b beyond 1/λ, so that 1/b is subnormal, and as far from a subnormal number as it can be.
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_quotient_may_be_a_product_with_a_subnormal_reciprocal(dtype):
    number = np.dtype(dtype).type
    b = (np.linspace(0.51, 0.99, 200) * float(np.finfo(dtype).max)).astype(dtype)
    a = number(1e10 if dtype == "float32" else 1e3)
    quotient = a * (number(1) / b)
    tape = record(lambda ops, b: ops.sum(ops.watch("y", float(a) / b)), {"b": b.shape}, ("b",))
    known = analyse(tape, {"b": b}, Format.of(dtype))["value", "y"]
    error = np.abs(known.enclosure.distance(quotient))
    assert np.all(error <= known.worst)
    assert np.all(error <= 32 * known.spread)
    assert np.max(error / known.worst) > 0.3
    plain = 2.1 * np.finfo(dtype).eps / 2 * np.abs(quotient) + np.finfo(dtype).smallest_subnormal
    assert np.any(error > plain)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_gradient_of_a_quotient_may_underflow_in_another_order(dtype):
    """(g·b⁻²)·a, JAX's order: g·b⁻² is subnormal, and loses digits that a brings to light.

    One product of three is off by t·a in R2, and two more products of the chain in R22.
    """
    number = np.dtype(dtype).type
    smallest = float(np.finfo(dtype).smallest_subnormal)
    a, b = number(61.7), np.linspace(30, 40, 100).astype(dtype)
    w = np.full(100, 20.3 * smallest * 1000, dtype)
    got = -((w * (number(1) / (b * b))) * a)
    tape = record(lambda ops, b, w: ops.sum(w * (float(a) / b)), {"b": b.shape, "w": w.shape}, ("b",))
    known = analyse(tape, {"b": b, "w": w}, Format.of(dtype))["gradient", "b"]
    error = np.abs(known.enclosure.distance(got))
    assert np.all(error <= known.worst)
    assert np.max(error / known.worst) > 0.15
    assert np.all(error <= 32 * known.spread)


def test_of_several_forms_of_one_value_the_largest_error_counts():
    assert step(ANY, [1.0, 1.0], errors=[0.1, 0.3]).worst == 0.3


FLUSH = """
import ctypes, platform, sys
offset, bits = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}[platform.machine()]
libm, environment = ctypes.CDLL("libm.so.6"), (ctypes.c_char * 64)()
libm.fegetenv(environment)
word = int.from_bytes(environment[offset : offset + 4], "little") | bits
environment[offset : offset + 4] = word.to_bytes(4, "little")
"""
ASK = """
import numpy as np
from gradcheck.oracle import Format, analyse, record
tape = record(lambda ops, a: ops.sum(a * 3.0), {"a": (2,)}, ("a",))
libm.fesetenv(environment)
analyse(tape, {"a": np.array([1e-310, 5e-324])}, Format.of("float64"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sets the processor's flags through glibc")
def test_a_process_that_flushes_subnormal_numbers_proves_nothing():
    done = subprocess.run([sys.executable, "-c", FLUSH + ASK], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RequestError: this process flushes subnormal numbers to zero" in done.stderr


def test_shares_are_open_where_an_operand_may_overflow():
    """∞ − ∞ is not a number, in a correct engine too; the other rows are judged."""
    tape = record(lambda ops, a: ops.sum(ops.watch("p", ops.softmax(a * a)) ** 2), {"a": (2, 3)}, ("a",))
    inputs = {"a": np.array([[1.0, 2.0, 300.0], [1.0, 2.0, 3.0]], np.float16)}
    known = analyse(tape, inputs, Format.of("float16"))
    for bounds in (known["value", "p"].worst, known["value", "p"].spread, known["gradient", "a"].worst):
        assert np.isfinite(bounds).tolist() == [[False] * 3, [True] * 3]


@pytest.mark.parametrize(("a", "known"), [(10.0, True), (60.0, False), (88.0, False), (100.0, True)])
def test_a_gradient_of_softplus_is_open_where_its_product_may_overflow(a, known):
    """(g·eᵃ)/(eᵃ + 1), where eᵃ is finite: an engine that has this form has another one above."""
    inputs = {"a": np.array([a], np.float32), "b": np.array([1e20], np.float32)}
    tape = record(lambda ops, a, b: ops.sum(b * ops.softplus(a)), {"a": (1,), "b": (1,)}, ("a",))
    output = analyse(tape, inputs, Format.of("float32"))["gradient", "a"]
    assert np.isfinite(output.worst) == np.isfinite(output.spread) == known
