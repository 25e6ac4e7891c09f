"""Formats against NumPy's own, and the traits of engines."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from gradcheck.oracle import Format, analyse, record, stages
from tests.oracle.answers import Answer, sigmoid_skip
from tests.oracle.problems import SIGMOID_SKIP
from tests.oracle.samples import sample
from tests.oracle.test_bounds import bad_entries, failing_stages, tape_of


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_constants_are_those_of_numpy(dtype):
    format, info = Format.of(dtype), np.finfo(dtype)
    assert format.roundoff == float(info.eps) / 2
    assert format.smallest == float(info.smallest_subnormal)
    assert format.normal == float(info.smallest_normal)
    assert format.largest == float(info.max)


def test_bfloat16_is_the_upper_half_of_float32():
    format = Format.of("bfloat16")
    bits = np.array([0x3F80, 0x3F81, 0x0001, 0x0080, 0x7F7F], dtype=np.uint32) << 16
    one, after, smallest, normal, largest = bits.view(np.float32).astype(float)
    assert 2 * format.roundoff == after - one
    assert (format.smallest, format.normal, format.largest) == (smallest, normal, largest)


def test_unknown_dtypes_and_traits_are_refused():
    with pytest.raises(ValueError, match="no format for dtype 'float8'"):
        Format.of("float8")
    with pytest.raises(TypeError, match="speed"):
        Format.of("float32", speed=3)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_constant_is_exact_where_the_dtype_has_it(dtype):
    for number in (0.0, 1.0, -0.5, 0.1, 3.0, 2.0**-14, 1 + 2.0**-11, 65504.0, 1 / 3):
        with np.errstate(over="ignore"):
            assert Format.of(dtype).represents(number) == (float(np.dtype(dtype).type(number)) == number), number


def test_a_wider_accumulator_narrows_products():
    narrow, wide = Format.of("float16"), Format.of("float16", accumulator="float32")
    assert wide.product_error(256) < narrow.product_error(256) / 50
    assert wide.product_error(256) >= 2 * wide.roundoff


def test_operand_rounding_widens_only_products():
    plain, tensor = Format.of("float32"), Format.of("float32", operand_rounding=2.0**-11)
    assert tensor.product_error(4) > 2.0**-10 > plain.product_error(4)
    assert tensor.sum_error(4) == plain.sum_error(4)


def _flushed(array):
    tiny = np.finfo(array.dtype).smallest_normal
    return np.where(np.abs(array) < tiny, np.zeros_like(array), array)


def _flushing_answer(A, B, C, x):
    """``sigmoid_skip`` as an engine computes it that reads and writes subnormal numbers as zero."""

    def dot(a, b):
        return _flushed(np.sum(_flushed(_flushed(a) * _flushed(b)), axis=1, dtype=a.dtype))

    return sigmoid_skip(dot, *(_flushed(array) for array in (A, B, C, x)))


@pytest.mark.parametrize("distribution", ["subnormal", "tiny", "uniform"])
def test_flushing_is_accepted_where_it_is_stated_and_refused_where_it_is_not(distribution):
    inputs = sample(distribution, SIGMOID_SKIP.inputs(6), "float32", seed=3)
    answer, tape = _flushing_answer(**inputs), tape_of("sigmoid_skip", 6)
    flushing = Format.of("float32", flushes=True)
    assert not any(sum(counts[:2]) for counts in bad_entries(tape, inputs, flushing, answer).values())
    assert failing_stages(tape, inputs, flushing, answer)[0] == []
    if distribution == "subnormal":
        assert failing_stages(tape, inputs, Format.of("float32"), answer)[0] != []


READS = {
    "a comparison": lambda ops, a: ops.where(a > 0.0, 2.0, 1.0),
    "a maximum": lambda ops, a: 2.0**100 * ops.max(ops.abs(a)),
    "a product": lambda ops, a: 2.0**100 * a,
    "a quotient": lambda ops, a: a / 2.0**-100,
    "a function": lambda ops, a: 2.0**100 * ops.sqrt(a),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reads", READS)
def test_an_operand_that_is_read_as_zero_is_accepted_where_that_is_stated(reads, dtype):
    tape = record(lambda ops, a: ops.sum(READS[reads](ops, a)), {"a": (3,)}, ("a",))
    inputs = {"a": np.full(3, Format.of(dtype).normal / 4, dtype)}
    loss = np.array(3.0 if reads == "a comparison" else 0.0)
    for flushes in (True, False):
        known = analyse(tape, inputs, Format.of(dtype, flushes_inputs=flushes))["loss", None]
        distance = np.abs(known.enclosure.distance(loss))
        assert (distance <= known.worst + known.enclosure.radius) == flushes
        assert flushes <= (distance <= 32 * known.spread)  # only the floor of a variance hides such small errors


def _bfloat16(array):
    """Round float32 to the nearest bfloat16, ties to even."""
    bits, half, one = np.asarray(array, np.float32).view(np.uint32), np.uint32(0x7FFF), np.uint32(1)
    return ((bits + half + ((bits >> np.uint32(16)) & one)) & np.uint32(0xFFFF0000)).view(np.float32)


@pytest.mark.parametrize("k", [1, 4, 16, 64])
def test_bfloat16_with_a_float32_accumulator_is_accepted(k):
    inputs = {
        name: _bfloat16(array) for name, array in sample("unit scaled", SIGMOID_SKIP.inputs(k), "float32").items()
    }
    A, B, C, x = inputs.values()
    y, v = _bfloat16(A @ x), _bfloat16(B @ x)
    u = _bfloat16(1 / (1 + np.exp(-y)))
    z = _bfloat16(u + v)
    w = _bfloat16(C @ z)
    dw = _bfloat16(2 * w)
    dz = _bfloat16(C.T @ dw)
    dy = _bfloat16(_bfloat16(dz * _bfloat16(1 - u)) * u)
    gradients = {
        "A": _bfloat16(np.outer(dy, x)),
        "B": _bfloat16(np.outer(dz, x)),
        "C": _bfloat16(np.outer(dw, z)),
    }
    values = {"y": y, "u": u, "v": v, "z": z, "w": w}
    adjoints = {"y": dy, "u": dz, "v": dz, "z": dz, "w": dw}
    answer = Answer(_bfloat16(np.sum(_bfloat16(w * w))), gradients, values, adjoints)
    format = Format.of("bfloat16", accumulator="float32")
    assert not any(
        sum(counts[:2]) for counts in bad_entries(tape_of("sigmoid_skip", k), inputs, format, answer).values()
    )
    assert failing_stages(tape_of("sigmoid_skip", k), inputs, format, answer)[0] == []


def _upper_half(array):
    """The bfloat16 from the upper half of a float32: rounding towards zero."""
    return (np.asarray(array, np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


PRODUCTS = {
    "a matrix and a vector": (lambda M, a: M @ a, {"M": (4, 7), "a": (7,), "c": (4,)}),
    "two vectors": (lambda a, b: a @ b, {"a": (7,), "b": (7,), "c": ()}),
}


def _truncating_answer(names, a, b, c):
    """Σ c(ab), and its gradients, with the upper halves of products in float32."""
    product = _upper_half(a @ b)
    gradients = (np.outer(c, b) if a.ndim == 2 else c * b, a.T @ c if a.ndim == 2 else c * a)
    named = dict(zip(names, map(_upper_half, gradients), strict=True))
    return Answer(_bfloat16(np.sum(_bfloat16(product * c))), named, {"p": product}, {"p": c})


@pytest.mark.parametrize("which", PRODUCTS)
def test_truncated_products_are_accepted_where_that_is_stated_and_refused_where_it_is_not(which):
    product, shapes = PRODUCTS[which]
    first, second, _ = shapes
    tape = record(lambda ops, c, **given: ops.sum(ops.watch("p", product(**given)) * c), shapes, (first, second))
    inputs = {name: _bfloat16(array) for name, array in sample("uniform", shapes, "float32", seed=1).items()}
    answer = _truncating_answer((first, second), *inputs.values())
    for stated in (True, False):
        format = Format.of("bfloat16", accumulator="float32", truncates_products=stated)
        assert (failing_stages(tape, inputs, format, answer)[0] == []) == stated
        if stated:
            assert not any(sum(counts[:2]) for counts in bad_entries(tape, inputs, format, answer).values())


def test_the_error_of_a_truncated_product_comes_close_to_its_bound():
    """(1 + 9/128)(1 + 14/128) lies 126/128 of the way to the next number."""
    numbers = (1 + np.arange(128) / 128).astype(np.float32)
    exact = np.outer(numbers, numbers).astype(np.float64)
    error = 1 - _upper_half(exact) / exact
    bound = Format.of("bfloat16", truncates_products=True).product_roundoff
    assert 0.8 * bound < error.max() < bound


def test_excess_precision_is_accepted_where_it_is_stated():
    """A fused kernel continues with the float32 value of a float16 output."""
    tape = record(lambda ops, a: ops.sum(ops.watch("p", a * a) * 1024.0), {"a": ()}, ("a",))
    inputs = {"a": np.float16(1.2998)}
    exact = np.float32(inputs["a"]) ** 2
    answer = Answer(np.float16(exact * 1024), {}, {"p": np.float16(exact)})
    plain, fused = (
        list(stages(tape, inputs, Format.of("float16", excess_precision=flag), dict(answer.arrays())))
        for flag in (False, True)
    )
    assert fused[1].bound > plain[1].bound
    assert not fused[1].fails


def test_excess_precision_of_a_subnormal_value_is_accepted_too():
    """a² is subnormal in float16, and has few digits there; the factor that follows brings the others to light."""
    tape = record(lambda ops, a: ops.sum(ops.watch("p", a * a) * 1024.0), {"a": ()}, ("a",))
    inputs = {"a": np.float16(0.0013)}
    exact = np.float32(inputs["a"]) ** 2
    answer = Answer(np.float16(exact * 1024), {}, {"p": np.float16(exact)})
    loss = list(stages(tape, inputs, Format.of("float16", excess_precision=True), dict(answer.arrays())))[1]
    assert loss.error > 8 * 2.0**-11 * loss.expected
    assert loss.error <= min(loss.bound, 32 * loss.spread)


def test_overflow_on_the_way_is_unbounded_and_only_there():
    inputs = {name: np.ones(shape, np.float32) for name, shape in SIGMOID_SKIP.inputs(2).items()}
    inputs["C"] = np.array([[3e38, 3e38], [1.0, 1.0]], np.float32)
    tape = tape_of("sigmoid_skip", 2)
    analysis = analyse(tape, inputs, Format.of("float32"))
    assert np.isinf(analysis["value", "w"].worst).tolist() == [True, False]
    assert np.all(np.isfinite(analysis["value", "z"].worst))
    assert np.isinf(analysis["loss", None].worst)
    with np.errstate(over="ignore", invalid="ignore"):
        answer = sigmoid_skip(np.matmul, **inputs)
    assert failing_stages(tape, inputs, Format.of("float32"), answer)[0] == []


def test_importing_the_oracle_does_not_import_flint():
    script = "import sys, gradcheck.oracle; sys.exit('flint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_overflow_behind_a_likely_branch_is_unbounded():
    """The branch is open under the worst case only, so that the result has a worst error and no variance."""
    tape = record(lambda ops, a, b: ops.sum(ops.where(ops.sum(a) > 0, b, -b)), {"a": (400,), "b": (2,)}, ("b",))
    a = np.full(400, 1.0)
    a[:200] = -1.0
    a[0] += 2.0**-10
    analysis = analyse(tape, {"a": a.astype(np.float32), "b": np.array([3e38, 1.0], np.float32)}, Format.of("float32"))
    assert np.isinf(analysis["loss", None].worst)
    assert np.isinf(analysis["loss", None].spread)


@pytest.mark.parametrize(("flushes", "expected"), [({"flushes": True}, 1e-40), ({}, 0.0)])
def test_a_watched_subnormal_number_may_become_zero_where_an_engine_flushes(flushes, expected):
    """Engines watch a value by adding a zero to it."""
    tape = record(lambda ops, x: ops.sum(ops.watch("u", x)), {"x": (2,)}, ("x",))
    analysis = analyse(tape, {"x": np.array([1e-40, 1.0], np.float32)}, Format.of("float32", **flushes))
    assert analysis["value", "u"].worst[0] >= expected
    assert (analysis["value", "u"].worst[0] > 0) == bool(flushes)
