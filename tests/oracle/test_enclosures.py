"""The fast references compared with Arb: each enclosure must contain the values that Arb proves."""

from __future__ import annotations

import tracemalloc
from functools import reduce

import numpy as np
import pytest
from flint import arb, ctx

from gradcheck.oracle import Enclosure, Format, analyse, record
from gradcheck.oracle.balls import Enclosures, walk
from gradcheck.oracle.running_error import Arithmetic
from gradcheck.oracle.walks import Walk, whole
from tests.oracle.problems import PROBLEMS
from tests.oracle.samples import DISTRIBUTIONS, EXTREMES, sample

OPERATIONS = {
    "add": lambda ops, a, b, M: a + b,
    "subtract": lambda ops, a, b, M: a - b,
    "multiply": lambda ops, a, b, M: a * b,
    "divide": lambda ops, a, b, M: a / b,
    "negate": lambda ops, a, b, M: -a,
    "square": lambda ops, a, b, M: a**2,
    "cube": lambda ops, a, b, M: a**3,
    "reciprocal": lambda ops, a, b, M: a**-1,
    "root": lambda ops, a, b, M: ops.abs(a) ** 0.5,
    "numbers": lambda ops, a, b, M: 0.1 - 3 * a / 7,
    "exp": lambda ops, a, b, M: ops.exp(a),
    "log": lambda ops, a, b, M: ops.log(ops.abs(a)),
    "sqrt": lambda ops, a, b, M: ops.sqrt(ops.abs(a)),
    "tanh": lambda ops, a, b, M: ops.tanh(a),
    "sigmoid": lambda ops, a, b, M: ops.sigmoid(a),
    "log1p": lambda ops, a, b, M: ops.log1p(ops.abs(a)),
    "expm1": lambda ops, a, b, M: ops.expm1(a),
    "sin": lambda ops, a, b, M: ops.sin(a),
    "cos": lambda ops, a, b, M: ops.cos(a),
    "rsqrt": lambda ops, a, b, M: ops.rsqrt(ops.abs(a)),
    "square of a sum": lambda ops, a, b, M: ops.square(a + b),
    "erf": lambda ops, a, b, M: ops.erf(a + b),
    "exp2": lambda ops, a, b, M: ops.exp2(a),
    "log2": lambda ops, a, b, M: ops.log2(ops.abs(a)),
    "log10": lambda ops, a, b, M: ops.log10(ops.abs(a)),
    "tan": lambda ops, a, b, M: ops.tan(a + b),
    "sinh": lambda ops, a, b, M: ops.sinh(a + b),
    "cosh": lambda ops, a, b, M: ops.cosh(a + b),
    "atan": lambda ops, a, b, M: ops.atan(a + b),
    "asin": lambda ops, a, b, M: ops.asin(ops.tanh(a) * 0.9),
    "acos": lambda ops, a, b, M: ops.acos(ops.tanh(a) * 0.9),
    "asinh": lambda ops, a, b, M: ops.asinh(a + b),
    "acosh": lambda ops, a, b, M: ops.acosh(1.25 + ops.abs(a)),
    "atanh": lambda ops, a, b, M: ops.atanh(ops.tanh(a) * 0.9),
    "log_sigmoid": lambda ops, a, b, M: ops.log_sigmoid(a),
    "leaky_relu": lambda ops, a, b, M: ops.leaky_relu(a + b, 0.3),
    "elu": lambda ops, a, b, M: ops.elu(a + b, 0.7),
    "sign": lambda ops, a, b, M: ops.sign(a + b) * a,
    "floor": lambda ops, a, b, M: ops.floor(a * 3) * b,
    "ceil": lambda ops, a, b, M: ops.ceil(a * 3) * b,
    "round": lambda ops, a, b, M: ops.round(a * 3) * b,
    "erfc": lambda ops, a, b, M: ops.erfc(a + b),
    "lgamma": lambda ops, a, b, M: ops.lgamma(ops.abs(a) + 0.5),
    "digamma": lambda ops, a, b, M: ops.digamma(ops.abs(a) + 0.5),
    "power of arrays": lambda ops, a, b, M: (0.5 + ops.abs(a)) ** ops.tanh(b),
    "power of a number": lambda ops, a, b, M: 2.0 ** ops.tanh(a + b),
    "power of whole exponents": lambda ops, a, b, M: a ** [3.0, 2.0, 1.0, 2.0],
    "logaddexp": lambda ops, a, b, M: ops.logaddexp(M, b),
    "hypot": lambda ops, a, b, M: ops.hypot(a, b),
    "atan2": lambda ops, a, b, M: ops.atan2(a, b),
    "silu": lambda ops, a, b, M: ops.silu(a),
    "gelu": lambda ops, a, b, M: ops.gelu(a + b),
    "gelu by tanh": lambda ops, a, b, M: ops.gelu(a, approximate=True),
    "minimum": lambda ops, a, b, M: ops.minimum(a, b),
    "clip": lambda ops, a, b, M: ops.clip(M * a, -0.1, 0.3) * b,
    "abs": lambda ops, a, b, M: ops.abs(a - b),
    "relu": lambda ops, a, b, M: ops.relu(a + b),
    "maximum": lambda ops, a, b, M: ops.maximum(a, b),
    "where": lambda ops, a, b, M: ops.where(a + b > 0.25, a * a, b),
    "greater or equal": lambda ops, a, b, M: ops.where(a * b >= b, a * a, b),
    "matrix vector": lambda ops, a, b, M: M @ a,
    "vector matrix": lambda ops, a, b, M: ops.matmul(a, M),
    "matrix matrix": lambda ops, a, b, M: M @ ops.matrix_transpose(M) @ M,
    "matrices": lambda ops, a, b, M: ops.reshape(M * a, (4, 2, 2)) @ ops.reshape(M, (4, 2, 2)),
    "matrices of a batch": lambda ops, a, b, M: ops.reshape(M * a, (2, 1, 4, 2)) @ ops.reshape(M, (4, 2, 2)),
    "matrices vector": lambda ops, a, b, M: ops.reshape(M, (2, 2, 4)) @ a,
    "vector matrices": lambda ops, a, b, M: a @ ops.reshape(M, (2, 4, 2)),
    "vecdot": lambda ops, a, b, M: ops.vecdot(M * a, b, axis=-1) * ops.vecdot(ops.reshape(M, (2, 2, 4)), a)[0, 0],
    "tensordot": lambda ops, a, b, M: ops.tensordot(M * a, ops.reshape(M, (4, 2, 2)), ((1,), (0,))) * b[:, None, None],
    "einsum of two": lambda ops, a, b, M: ops.einsum("bij,bkj->bik", ops.reshape(M * a, (2, 2, 4)), ops.stack([M, M])),
    "einsum of three": lambda ops, a, b, M: ops.einsum("i,ij,j->i", a, M * b, b),
    "einsum of lone labels": lambda ops, a, b, M: ops.einsum("ij,k->k", M, a) * b,
    "einsum of matrices": lambda ops, a, b, M: ops.einsum("ij,jk,kl,i->l", M, M, M * a, b),
    "vector vector": lambda ops, a, b, M: a @ b,
    "cholesky": lambda ops, a, b, M: ops.cholesky(ops.sin(M) @ ops.sin(M).T + np.eye(4)) * a,
    "lower triangular": lambda ops, a, b, M: ops.solve_triangular(ops.sin(M) + 2 * np.eye(4), a, lower=True) * b,
    "upper triangular": lambda ops, a, b, M: ops.solve_triangular(ops.sin(M) + 2 * np.eye(4), M) * b,
    "solve": lambda ops, a, b, M: ops.solve(ops.sin(M) + 3 * np.eye(4)[::-1], M) * b,
    "inverse": lambda ops, a, b, M: ops.inv(ops.sin(M) + 3 * np.eye(4)) * b,
    "determinant": lambda ops, a, b, M: ops.slogdet(ops.sin(M) + 3 * np.eye(4)[::-1])[1] * b,
    "systems of a batch": lambda ops, a, b, M: (
        ops.solve(ops.sin(M) + 3 * np.eye(4), ops.stack([M, M * a])) * ops.solve_triangular(M + 3 * np.eye(4), b)
    ),
    "factors of a batch": lambda ops, a, b, M: (
        ops.cholesky(M @ M.T + np.reshape([1.0, 2.0], (2, 1, 1)) * np.eye(4))
        + ops.inv(M * a + np.reshape([4.0, 5.0], (2, 1, 1)) * np.eye(4))
    ),
    "determinants of a batch": lambda ops, a, b, M: (
        ops.slogdet(M * ops.reshape(a, (4, 1, 1)) + 3 * np.eye(4)[::-1])[1] * b
    ),
    "outer": lambda ops, a, b, M: ops.outer(a, b) * M,
    "sum": lambda ops, a, b, M: ops.sum(M, axis=0) * a,
    "sum of all": lambda ops, a, b, M: ops.sum(M) * a,
    "mean": lambda ops, a, b, M: ops.mean(M, axis=(0, 1), keepdims=True) * M,
    "max": lambda ops, a, b, M: ops.max(M * a, axis=1) * b,
    "max of all": lambda ops, a, b, M: ops.max(M),
    "softmax of one": lambda ops, a, b, M: ops.softmax(M[:, :1]) * M,
    "logsumexp of one": lambda ops, a, b, M: ops.logsumexp(M[:1], axis=0) * a,
    "softplus": lambda ops, a, b, M: ops.softplus(a),
    "softmax": lambda ops, a, b, M: ops.softmax(a) * b,
    "softmax of columns": lambda ops, a, b, M: ops.softmax(M, axis=0) * a,
    "softmax of rows": lambda ops, a, b, M: ops.softmax(M + M, axis=-1) * b,
    "attention": lambda ops, a, b, M: ops.scaled_dot_product_attention(M * a, M, ops.outer(a, b), is_causal=True) * b,
    "layer_norm": lambda ops, a, b, M: ops.layer_norm(M * b, a, b, axis=0) * a,
    "rms_norm": lambda ops, a, b, M: ops.rms_norm(M * b, a, epsilon=0.1) * a,
    "batch_norm": lambda ops, a, b, M: ops.batch_norm(ops.reshape(M * b, (2, 4, 2)), a, b) * a[:2],
    "softmax of what cancels": lambda ops, a, b, M: ops.softmax(a * b - a) * M,
    "logsumexp": lambda ops, a, b, M: ops.logsumexp(a) * b,
    "logsumexp of columns": lambda ops, a, b, M: ops.logsumexp(M, axis=0) * a,
    "logsumexp of all": lambda ops, a, b, M: ops.logsumexp(M * b, axis=(0, 1), keepdims=True) * M,
    "log_softmax": lambda ops, a, b, M: ops.log_softmax(a) * b,
    "log_softmax of columns": lambda ops, a, b, M: ops.log_softmax(M * b, axis=0) * a,
    "log_softmax of one": lambda ops, a, b, M: ops.log_softmax(M[:, :1]) * M,
    "var": lambda ops, a, b, M: ops.var(M * b, axis=1) * a,
    "var of all": lambda ops, a, b, M: ops.var(M + 1.0, correction=1, keepdims=True) * M,
    "prod": lambda ops, a, b, M: ops.prod(M * a, axis=1) * b,
    "prod of all": lambda ops, a, b, M: ops.prod(M, keepdims=True) * a,
    "prod of zeros": lambda ops, a, b, M: ops.prod(ops.relu(M), axis=0) * b + ops.prod(a * [1.0, 0.0, 2.0, 3.0]),
    "cumulative_prod": lambda ops, a, b, M: ops.cumulative_prod(a * b) * b,
    "cumulative_prod of columns": lambda ops, a, b, M: ops.cumulative_prod(ops.relu(M * b), axis=0) * a,
    "cumulative_sum": lambda ops, a, b, M: ops.cumulative_sum(a) * b,
    "cumulative_sum of columns": lambda ops, a, b, M: ops.cumulative_sum(M * b, axis=0) * a,
    "conv": lambda ops, a, b, M: ops.conv(ops.reshape(M * b, (2, 1, 2, 4)), ops.reshape(a, (2, 1, 1, 2)), 2, 1),
    "conv of groups": lambda ops, a, b, M: ops.conv(ops.reshape(M, (2, 2, 4)), ops.reshape(b, (2, 1, 2)), 1, 2, 2, 2),
    "max_pool": lambda ops, a, b, M: ops.max_pool(ops.reshape(M * a, (1, 1, 4, 4)), 3, 2, 1),
    "avg_pool": lambda ops, a, b, M: ops.avg_pool(ops.reshape(M * a, (1, 4, 4)), 2, 1),
    "std": lambda ops, a, b, M: ops.std(M, axis=0) * a,
    "vector_norm": lambda ops, a, b, M: ops.vector_norm(M * a, axis=-1) * b,
    "vector_norm of magnitudes": lambda ops, a, b, M: ops.vector_norm(M, ord=1) * b,
    "min": lambda ops, a, b, M: ops.min(M * a, axis=1) * b,
    "axes": lambda ops, a, b, M: ops.permute_dims(ops.reshape(M * a, (2, 2, 4)), (2, 0, -2)) * b[:, None, None],
    "moved axes": lambda ops, a, b, M: ops.moveaxis(ops.reshape(M * a, (2, 2, 4)), (0, 1), (2, 0)) * M[:, :2],
    "backwards": lambda ops, a, b, M: M[::-1, 2::-2] * a[-1:0:-2] * b[::-1, None],
    "stack": lambda ops, a, b, M: ops.stack([a, b * a, ops.squeeze(M[:1], axis=0)], axis=-1) * b[:, None],
    "copies": lambda ops, a, b, M: ops.broadcast_to(a, (3, 4)) * b,
    "reversed and shifted": lambda ops, a, b, M: ops.flip(ops.roll(M * a, (1, -2), (0, 1)), axis=1) * ops.roll(M, 3),
    "tile": lambda ops, a, b, M: ops.tile(M * a, (2, 1, 3)) * ops.tile(b, (3,)),
    "repeat": lambda ops, a, b, M: ops.repeat(M * a, 2, axis=-1) * ops.repeat(b, 2),
    "pad": lambda ops, a, b, M: ops.pad(M * a, ((1, 0), (0, 2)), 0.1) * ops.pad(b, ((0, 1),))[:, None],
    "triangles": lambda ops, a, b, M: ops.tril(M * a, k=1) * b + ops.triu(M, k=1),
    "diagonals": lambda ops, a, b, M: ops.diagonal(M * b) * a + ops.diagonal(ops.stack([M, M * a]), 1)[:, :1],
    "transpose": lambda ops, a, b, M: M.T * a,
    "reshape": lambda ops, a, b, M: ops.reshape(M * a, (2, 8)) + ops.reshape(b, (4, 1))[:2],
    "concatenate": lambda ops, a, b, M: ops.concat([a, b * a, M[1]]) * ops.concat([b, b, a]),
    "concatenate columns": lambda ops, a, b, M: ops.concat([M, M * a], axis=-1),
    "item": lambda ops, a, b, M: M[-1, 2] * a,
    "slices": lambda ops, a, b, M: a[1:] * b[:-1] + M[0, 1:],
    "steps": lambda ops, a, b, M: M[::2, 1::2] * a[::3],
    "ellipsis": lambda ops, a, b, M: ops.exp(M[..., 1]) * b,
    "stop gradient": lambda ops, a, b, M: ops.stop_gradient(a * b) * a,
    "broadcast": lambda ops, a, b, M: (M + a) * ops.reshape(b, (4, 1)),
}
SHARP = 128
"""Correct bits of a ball of 256 bits without a kink or a total cancellation."""
SHAPES = {"a": (4,), "b": (4,), "M": (4, 4)}


def balls_of(enclosure: Enclosure):
    """The enclosure as Arb balls."""
    parts = zip(*(part.ravel().tolist() for part in enclosure.parts), strict=True)
    return [arb(high) + arb(low) + arb(0, radius) for high, low, radius in parts]


def outside(enclosure: Enclosure, balls) -> int:
    """The number of entries that do not contain Arb's ball, or at a kink, where the ball is wide, do not meet it."""
    with ctx.workprec(400):
        pairs = zip(balls_of(enclosure), balls.ravel(), strict=True)
        return sum(1 for mine, truth in pairs if truth.is_finite() and not _holds(mine, truth))


def _holds(mine, truth) -> bool:
    return mine.contains(truth) if is_sharp(truth) else mine.overlaps(truth)


def is_sharp(ball) -> bool:
    return ball.is_exact() or ball.rel_accuracy_bits() > SHARP


def references(tape, inputs):
    """The enclosures of every arithmetic that this platform has."""
    for arithmetic in (Arithmetic.float64(Format.of("float32")), Arithmetic.extended(Format.of("float64"))):
        steps = Walk(tape, inputs, arithmetic)
        assert len(list(steps.steps())) == len(tape.nodes)
        for key, index in tape.outputs.items():
            quantity = whole(steps.results[index])
            yield key, Enclosure.of(quantity.middle, quantity.float64, quantity.radius)
    for key, output in analyse(tape, inputs, Format.of("float64")).items():
        yield key, output.enclosure


def assert_certified(loss, shapes, wrt, inputs):
    tape = record(loss, shapes, wrt)
    truth = walk(tape, inputs, bits=256)
    for key, enclosure in references(tape, inputs):
        assert outside(enclosure, truth[key]) == 0, key


@pytest.mark.parametrize("distribution", DISTRIBUTIONS | EXTREMES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_certified_by_arb(name, distribution):
    def loss(ops, **inputs):
        return ops.sum(ops.watch("out", OPERATIONS[name](ops, **inputs)))

    assert_certified(loss, SHAPES, ("a", "b", "M"), sample(distribution, SHAPES, "float64"))


@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS | EXTREMES)
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_is_certified_by_arb(name, distribution, k):
    problem = PROBLEMS[name]
    shapes = problem.inputs(k)
    assert_certified(problem.loss, shapes, problem.wrt, sample(distribution, shapes, "float64", seed=k))


@pytest.mark.parametrize("name", [name for name in PROBLEMS if name != "relu_network"])  # its dead rows are kinks
def test_friendly_inputs_have_finite_enclosures_of_sharp_truths(name):
    """The tests above skip unbounded entries; here all are bounded."""
    problem = PROBLEMS[name]
    inputs = sample("uniform", problem.inputs(4), "float64")
    tape = record(problem.loss, problem.inputs(4), problem.wrt)
    truth = walk(tape, inputs, bits=256)
    assert all(np.isfinite(enclosure.radius).all() for _, enclosure in references(tape, inputs))
    assert all(is_sharp(ball) for balls in truth.values() for ball in balls.ravel())


def test_without_extended_precision_arb_is_the_reference(monkeypatch):
    problem = PROBLEMS["sigmoid_skip"]
    inputs = sample("uniform", problem.inputs(5), "float64")
    tape = record(problem.loss, problem.inputs(5), problem.wrt)
    extended = analyse(tape, inputs, Format.of("float64"))
    monkeypatch.setattr("gradcheck.oracle.analysis.has_extended_precision", lambda: False)
    balls = analyse(tape, inputs, Format.of("float64"))
    assert balls.precision_bits == 128
    for key, output in balls.items():
        assert np.all(output.enclosure.radius <= extended[key].enclosure.radius)
        assert np.all(output.worst > extended[key].worst)
        assert np.all(
            output.worst < 6 * extended[key].worst
        )  # functions are trusted to twice their accuracy, twice over


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_enclosures_are_narrower_than_the_rounding_that_they_judge(dtype):
    problem = PROBLEMS["sigmoid_skip"]
    inputs = sample("uniform", problem.inputs(16), dtype)
    for key, output in analyse(record(problem.loss, problem.inputs(16), problem.wrt), inputs, Format.of(dtype)).items():
        assert np.all(output.enclosure.radius <= 2.0**-9 * output.worst), key


def test_an_enclosure_that_is_too_narrow_is_noticed():
    problem = PROBLEMS["sigmoid_skip"]
    inputs = sample("uniform", problem.inputs(8), "float64")
    tape = record(problem.loss, problem.inputs(8), problem.wrt)
    output = analyse(tape, inputs, Format.of("float32"))["gradient", "A"]
    narrow = Enclosure(output.enclosure.high, output.enclosure.low, output.enclosure.radius * 1e-9)
    assert outside(narrow, walk(tape, inputs, bits=256)["gradient", "A"]) > 0


def test_a_vector_may_be_both_sides_of_a_product_in_balls():
    """It is a row on one side and a column on the other."""
    tape = record(lambda ops, a: ops.watch("square", a @ a) * a[0], {"a": (3,)}, ("a",))
    balls = walk(tape, {"a": np.array([2.0, 3.0, -1.0])}, bits=64)
    assert balls["value", "square"].tolist() == 14
    assert balls["gradient", "a"].tolist() == [2 * 2 * 2 + 14, 2 * 2 * 3, -2 * 2]


def test_a_sum_of_outer_products_in_balls_is_that_of_each():
    tape = record(
        lambda ops, M, a, b, c: ops.sum((M @ a) * (M @ b) * (M @ c)) + ops.sum(M * M),
        {"M": (2, 3), "a": (3,), "b": (3,), "c": (3,)},
        ("M",),
    )
    M, a, b, c = np.array([[1.0, 2, 0], [3, -1, 4]]), *np.array([[1.0, 2, 1], [2, -1, 3], [1, 1, -2]])
    p, q, r = M @ a, M @ b, M @ c
    expected = np.outer(q * r, a) + np.outer(p * r, b) + np.outer(p * q, c) + 2 * M
    assert walk(tape, {"M": M, "a": a, "b": b, "c": c}, bits=64)["gradient", "M"].tolist() == expected.tolist()


def test_a_walk_in_balls_keeps_what_later_steps_take():
    """And nothing else: a long recursion would have millions of balls."""

    def peak(steps: int) -> int:
        tape = record(lambda ops, a: ops.sum(reduce(lambda h, _: h + a, range(steps), a)), {"a": (2000,)}, ("a",))
        tracemalloc.start()
        try:
            walk(tape, {"a": np.ones(2000)}, bits=64)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)  # the first allocates what stays
    assert peak(60) < 2 * peak(6)


def test_beyond_the_range_of_float64_arb_takes_over():
    def loss(ops, a):
        return ops.sum(ops.watch("scaled", ops.watch("square", a * a) / a) / 2.0**1000)

    inputs = {"a": np.array([2.0**1000, -(2.0**1000)])}
    analysis = analyse(record(loss, {"a": (2,)}, ("a",)), inputs, Format.of("float32"))
    assert np.all(np.isinf(analysis["value", "square"].enclosure.radius))
    assert np.array_equal(analysis["value", "scaled"].enclosure.high, inputs["a"])
    assert np.all(np.isinf(analysis["value", "scaled"].worst))


def test_distances_are_exact_nearby_and_rounded_far_away():
    enclosure = Enclosure(np.array([1.0, 1.0, 1.0, 1.0]), np.full(4, 2.0**-60), np.zeros(4))
    distance = enclosure.distance(np.array([1.0, 1 + 2.0**-52, np.inf, np.nan]))
    assert distance[:2].tolist() == [-(2.0**-60), 2.0**-52 - 2.0**-60]
    assert distance[2] == np.inf
    assert np.isnan(distance[3])


@pytest.mark.parametrize(("steps", "expected"), [(4, []), (40, [128]), (120, [128, 512])])
def test_a_long_recursion_takes_as_many_bits_as_its_first_balls_ask_for(monkeypatch, steps, expected):
    """Its radius grows with each step as if all errors added up, and hides the errors that rounding explains."""
    asked = []

    def recorded(tape, inputs, bits):
        asked.append(bits)
        return Enclosures(tape, inputs, bits)

    def loss(ops, W, h):
        for _ in range(steps):
            h = ops.tanh(W @ h)
        return ops.sum(h * h)

    monkeypatch.setattr("gradcheck.oracle.balls.Enclosures", recorded)
    drawn = np.random.default_rng(0)
    inputs = {"W": drawn.uniform(-0.25, 0.25, (16, 16)), "h": drawn.uniform(-1, 1, 16)}
    output = analyse(record(loss, {"W": (16, 16), "h": (16,)}, ("W",)), inputs, Format.of("float64"))["loss", None]
    assert output.enclosure.radius < output.spread
    assert asked == expected
