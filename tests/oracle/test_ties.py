"""Ties: every mean of the branches is accepted, what lies outside is wrong, and a convention is judged sharply."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck.answers import Answer
from gradcheck.judge import judge, truth
from gradcheck.oracle import CONVENTIONS, Format, analyse, record
from gradcheck.oracle.balls import walk
from gradcheck.results import Verdict
from tests.oracle.test_enclosures import outside, references

N = 8192


def judged(loss, inputs, dtype, value, **gradients):
    inputs = {name: np.asarray(array, dtype) for name, array in inputs.items()}
    tape = record(loss, {name: array.shape for name, array in inputs.items()}, tuple(gradients))
    answer = Answer(np.asarray(value, dtype), {name: np.asarray(array, dtype) for name, array in gradients.items()})
    return judge(answer, truth(tape, inputs, Format.of(dtype)), "rounding")


def largest_of_equals(ops, b, x):
    """All four entries of a row are equal: db gets x once for each row, however it is shared out, and once more."""
    return ops.sum(ops.max(b * x, axis=1) + b * x[:, 0])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_many_ties_of_max_are_no_independent_coins(dtype):
    inputs = {"b": 0.5, "x": np.ones((N, 4))}
    assert judged(largest_of_equals, inputs, dtype, N, b=2 * N).verdict is Verdict.AGREES
    for wrong in (N, 5 * N):  # zeros at a tie, and ones
        verdict = judged(largest_of_equals, inputs, dtype, N, b=wrong)
        assert verdict.verdict is Verdict.UNDECIDED
        assert "no convention for the ties of max explains it" in verdict.reason
    assert judged(largest_of_equals, inputs, dtype, N, b=5.01 * N).evidence == "proved"
    assert judged(largest_of_equals, inputs, dtype, N, b=-1.01 * N).evidence == "proved"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_every_convention_of_maximum_agrees(part, dtype):
    def loss(ops, b, x):
        return ops.sum(ops.maximum(b * x, 0.5) + b * x)

    inputs = {"b": 0.5, "x": np.ones(N)}
    assert judged(loss, inputs, dtype, N, b=N + part * N).verdict is Verdict.AGREES
    assert judged(loss, inputs, dtype, N, b=0.999 * N).evidence == "proved"


def rectified(ops, w, X, c):
    return ops.sum(ops.relu(X @ w) * c)


def magnitudes(ops, w, X, c):
    return ops.sum(ops.abs(X @ w) * c)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize(
    ("loss", "part"), [(rectified, 0.0), (rectified, 0.5), (rectified, 1.0), (magnitudes, 0.0), (magnitudes, 1.0)]
)
def test_a_layer_that_begins_at_zero_is_judged(loss, part, dtype):
    rng = np.random.default_rng(1)
    X, c = rng.uniform(-1, 1, (64, 8)).astype(dtype), rng.uniform(0, 1, 64).astype(dtype)
    inputs = {"w": np.zeros(8), "X": X, "c": c}
    right = part * (X.T.astype(np.float64) @ c)
    assert judged(loss, inputs, dtype, 0.0, w=right).verdict is Verdict.AGREES
    wrong = judged(loss, inputs, dtype, 0.0, w=right + 0.3)  # between the branches, and no convention
    assert (wrong.verdict, wrong.evidence) == (Verdict.UNDECIDED, None)
    assert judged(loss, inputs, dtype, 0.0, w=right + 40).evidence == "proved"


def test_two_operations_may_follow_two_conventions():
    def loss(ops, a):
        return ops.sum(ops.relu(a)) + 4 * ops.max(a)

    inputs = {"a": np.zeros(3)}
    for right in ([0, 0, 4], [1, 1, 5], [7 / 3, 7 / 3, 7 / 3], [4.5, 0.5, 0.5]):
        assert judged(loss, inputs, "float64", 0.0, a=right).verdict is Verdict.AGREES
    assert judged(loss, inputs, "float64", 0.0, a=[0, 1, 4]).verdict is Verdict.UNDECIDED
    assert judged(loss, inputs, "float64", 0.0, a=[-1.5, 0, 4]).evidence == "proved"
    assert judged(loss, inputs, "float64", 0.0, a=[5.01, 0, 0]).evidence == "proved"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_small_error_beside_a_tie_is_not_hidden_by_it(dtype):
    """Both operands are one value, so that its gradient is g whatever the shares are."""

    def loss(ops, a):
        b = ops.watch("b", a * a)
        return ops.sum(ops.maximum(b, b))

    inputs = {"a": np.linspace(1, 2, 5)}
    assert judged(loss, inputs, dtype, np.sum(inputs["a"] ** 2), a=2 * inputs["a"]).verdict is Verdict.AGREES
    assert judged(loss, inputs, dtype, np.sum(inputs["a"] ** 2), a=2.003 * inputs["a"]).verdict is Verdict.UNDECIDED


def test_ties_are_named_and_smooth_problems_have_none():
    inputs = {"a": np.array([0.0, 1.0])}
    for loss, names in (
        (lambda ops, a: ops.sum(ops.tanh(a)), set()),
        (lambda ops, a: ops.sum(ops.relu(a + 1)), set()),
        (lambda ops, a: ops.sum(ops.relu(a)) + ops.max(a), {"relu"}),
        (lambda ops, a: ops.sum(ops.abs(a) + ops.maximum(a, 1.0)), {"abs", "maximum"}),
    ):
        tape = record(loss, {"a": (2,)}, ("a",))
        assert analyse(tape, inputs, Format.of("float32")).ties == names


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_shares_of_a_convention_sum_to_one_over_several_axes(convention):
    tape = record(lambda ops, M: ops.sum(ops.max(M, axis=(0, 2)) ** 2) / 2, {"M": (2, 3, 2)}, ("M",))
    M = np.zeros((2, 3, 2))
    M[0, 1, :] = M[1, 2, 1] = 2.0
    gradient = analyse(tape.resolved({"max": convention}), {"M": M}, Format.of("float64"))["gradient", "M"]
    shares = gradient.enclosure.high
    assert shares.sum(axis=(0, 2)).tolist() == [0.0, 2.0, 2.0]
    tied = {"first": [2.0, 0.0], "even": [1.0, 1.0], "second": [0.0, 2.0]}
    assert shares[0, 1].tolist() == tied[convention]
    assert np.all(gradient.worst <= 1e-14)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_enclosures_of_a_convention_are_certified_by_arb(convention):
    """Three entries tie, so that a share is no number of float64."""

    def loss(ops, M, a):
        return ops.sum(ops.max(M, axis=1) * a + ops.relu(a - a) + ops.abs(0.0 * a) * a + ops.maximum(a, 0.25) * 0.1)

    shapes = {"M": (2, 5), "a": (2,)}
    kinds = ("max", "relu", "abs", "maximum")
    tape = record(loss, shapes, ("M", "a")).resolved(dict.fromkeys(kinds, convention))
    inputs = {"M": np.array([[0.1, 0.7, 0.7, 0.7, -1], [0.3, 0.3, 0.1, 0.2, 0.3]]), "a": np.array([0.25, 0.7])}
    balls = walk(tape, inputs, bits=256)
    for key, enclosure in references(tape, inputs):
        assert outside(enclosure, balls[key]) == 0, key
        assert np.all(enclosure.radius < 1e-14)


def test_a_condition_that_rounding_leaves_open_is_one_choice_for_all_entries():
    """b·x is 0.3 to within rounding, in all entries alike: an engine that rounds down takes the other branch in all."""

    def loss(ops, b, x):
        return ops.sum(ops.where(b * x > 0.3, b * x, 0.0) + b * x)

    inputs = {"b": 0.1, "x": np.full(N, 3.0)}
    below = judged(loss, inputs, "float64", 0.3 * N, b=3.0 * N)
    assert below.verdict is not Verdict.DIFFERS
    assert judged(loss, inputs, "float64", 0.6 * N, b=6.0 * N).verdict is Verdict.AGREES


MASKS = {
    "max": (lambda ops, a, b: ops.sum(ops.max(a, axis=1) * b * b), (2, 2)),
    "maximum": (lambda ops, a, b: ops.sum(ops.maximum(a, 0.0) * b * b), (2,)),
    "relu": (lambda ops, a, b: ops.sum(ops.relu(a) * b * b), (2,)),
    "where": (lambda ops, a, b: ops.sum(ops.where(a > 0, a, 0.0) * b * b), (2,)),
}


@pytest.mark.parametrize("name", MASKS)
def test_where_a_gradient_may_overflow_that_is_masked_nothing_is_known(name):
    """0·∞ is NaN in engines that mask by multiplication."""
    loss, shape = MASKS[name]
    a = np.array([[1.0, -2.0], [3.0, 1.0]]) if len(shape) == 2 else np.array([1.0, -2.0])
    tape = record(loss, {"a": shape, "b": (2,)}, ("a",))
    inputs = {"a": a.astype(np.float32), "b": np.array([1.0, 2e30], np.float32)}
    known = analyse(tape, inputs, Format.of("float32"))["gradient", "a"]
    assert np.isfinite(known.worst).tolist() == ([[True, True], [False, False]] if len(shape) == 2 else [True, False])
    assert np.array_equal(np.isfinite(known.worst), np.isfinite(known.spread))
