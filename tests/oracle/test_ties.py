"""Ties: every mean of the branches is accepted, other answers are wrong, and a convention has a sharp bound."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck.answers import BackendAnswer
from gradcheck.judging.judge import judge, truth
from gradcheck.oracle import CONVENTIONS, Format, analyse, record
from gradcheck.oracle.balls import walk
from gradcheck.oracle.operations.wholes import whole_of
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.running_error import Arithmetic, evaluate
from gradcheck.results import Verdict
from tests.oracle.attaining import SINGLE, ratio, share, step
from tests.oracle.test_enclosures import outside, references

N = 8192


def judged(loss, inputs, dtype, value, **gradients):
    inputs = {name: np.asarray(array, dtype) for name, array in inputs.items()}
    tape = record(loss, {name: array.shape for name, array in inputs.items()}, tuple(gradients))
    answer = BackendAnswer(
        np.asarray(value, dtype), {name: np.asarray(array, dtype) for name, array in gradients.items()}
    )
    return judge(answer, truth(tape, inputs, Format.of(dtype)), "rounding")


def largest_of_equals(ops, b, x):
    """All four entries of a row are equal: db gets x once for each row, for any shares, and once more."""
    return ops.sum(ops.max(b * x, axis=1) + b * x[:, 0])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_many_ties_of_max_are_not_independent_coins(dtype):
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
    """Both operands are one value, so that its gradient is g for any shares."""

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
    """Three entries tie, so that a share is not a float64 number."""

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
def test_a_masked_gradient_that_may_overflow_is_unknown(name):
    """0·∞ is NaN in engines that mask by multiplication."""
    loss, shape = MASKS[name]
    a = np.array([[1.0, -2.0], [3.0, 1.0]]) if len(shape) == 2 else np.array([1.0, -2.0])
    tape = record(loss, {"a": shape, "b": (2,)}, ("a",))
    inputs = {"a": a.astype(np.float32), "b": np.array([1.0, 2e30], np.float32)}
    known = analyse(tape, inputs, Format.of("float32"))["gradient", "a"]
    assert np.isfinite(known.worst).tolist() == ([[True, True], [False, False]] if len(shape) == 2 else [True, False])
    assert np.array_equal(np.isfinite(known.worst), np.isfinite(known.spread))


def rows(ops, a):
    return ops.sum(ops.max(a, axis=1)) + ops.sum(a) * 0.5


ROWS = {"a": np.array([[1.0, 1, 1, 1], [1, 2, 3, 3]])}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize(
    ("shares", "wrong"),
    [
        ([[1, 1, 1, 1], [0, 0, 1, 1]], "2 of 2 sums"),
        ([[0, 0, 0, 0], [0, 0, 0, 0]], "2 of 2 sums"),
        ([[0.5, 0, 0, 0.4], [0, 0, 1, 0]], "1 of 2 sums"),
    ],
)
def test_shares_of_max_that_do_not_add_up_to_one_are_proved_wrong(shares, wrong, dtype):
    verdict = judged(rows, ROWS, dtype, 10.5, a=np.array(shares) + 0.5)
    assert verdict.evidence == "proved"
    assert verdict.reason == f"dL/da: the shares of a tie of max do not add up to one in {wrong}"


@pytest.mark.parametrize(
    ("loss", "word", "value"),
    [
        (lambda ops, a: ops.sum(ops.min(a, axis=1)), "min", 2.0),
        (lambda ops, a: ops.sum(ops.max(a, axis=1) + ops.min(a, axis=1)), "max and min", 6.0),
    ],
)
def test_a_tie_is_called_by_the_words_that_have_it(loss, word, value):
    ties = {"a": np.array([[1.0, 1, 1, 1], [3, 1, 1, 3]])}
    verdict = judged(loss, ties, "float64", value, a=np.zeros((2, 4)))
    assert verdict.reason.startswith(f"dL/da: the shares of a tie of {word} do not add up to one in ")


def test_a_tie_of_minimum_is_not_called_one_of_maximum():
    verdict = judged(lambda ops, a, b: ops.sum(ops.minimum(a, b)), PAIR, "float64", 5.0, a=[0, 0, 1], b=[0, 1, 1])
    assert verdict.reason == "dL/da and dL/db: the shares of a tie of minimum do not add up to one in 2 of 3 sums"


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_unusual_shares_of_max_that_add_up_to_one_are_not_an_error(dtype):
    unusual = np.array([[0.1, 0.6, 0.1, 0.2], [0, 0, 0.7, 0.3]]) + 0.5
    assert judged(rows, ROWS, dtype, 10.5, a=unusual).verdict is Verdict.UNDECIDED


PAIR = {"a": np.array([1.0, 2, 3]), "b": np.array([1.0, 1, 3])}


def larger(ops, a, b):
    return ops.sum(ops.maximum(a, b) * 2 + a)


def smaller(ops, a, b):
    return ops.sum(-ops.maximum(-a, -b) * 2 + a)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("loss", "value", "taken"), [(larger, 18, 2.0), (smaller, 16, 0.0)])
def test_the_gradients_of_both_operands_of_maximum_and_minimum_add_up(loss, value, taken, dtype):
    for tie, known in (([1, 1], True), ([0, 0], True), ([2, 2], True), ([2, 0], False), ([0.25, 1.75], False)):
        a, b = [1 + tie[0], 1 + taken, 1 + tie[0]], [tie[1], 2 - taken, tie[1]]
        verdict = judged(loss, PAIR, dtype, value, a=a, b=b)
        if known and tie != [1, 1]:
            assert (verdict.evidence, verdict.reason.split(": ")[0]) == ("proved", "dL/da and dL/db")
        else:
            assert verdict.verdict is (Verdict.UNDECIDED if tie == [0.25, 1.75] else Verdict.AGREES)


def test_the_adjoint_of_a_watched_value_that_ties_is_held_to_the_sum():
    def loss(ops, a):
        return ops.max(ops.watch("y", a * a)) * 3

    inputs = {"a": np.full(4, 1.1)}
    known = truth(record(loss, {"a": (4,)}, ("a",)), inputs, Format.of("float64"))
    for shares, verdict in (([0.25] * 4, Verdict.AGREES), ([1.0] * 4, Verdict.DIFFERS), ([0.0] * 4, Verdict.DIFFERS)):
        adjoint = 3 * np.array(shares)
        values = {"y": inputs["a"] ** 2}
        answer = BackendAnswer(np.asarray(3 * 1.1**2), {"a": 2.2 * adjoint}, values, {"y": adjoint})
        assert judge(answer, known, "rounding").verdict is verdict


def test_correct_engines_with_shares_of_their_own_keep_the_sum():
    """Random shares of random gradients beside random other contributions, all in float32."""
    rng = np.random.default_rng(3)

    def loss(ops, a, b, c):
        return ops.sum(ops.max(a, axis=1) * b) + ops.sum(a * c)

    for _ in range(50):
        n = int(rng.integers(2, 40))
        inputs = {"a": np.full((3, n), 0.7), "b": rng.normal(size=3), "c": rng.normal(size=(3, n)) * 10}
        inputs = {name: array.astype(np.float32) for name, array in inputs.items()}
        shares = rng.dirichlet(np.full(n, 0.3), 3).astype(np.float32)
        shares[:, -1] = 1 - np.sum(shares[:, :-1], axis=1, dtype=np.float64)
        tape = record(loss, {name: array.shape for name, array in inputs.items()}, ("a",))
        gradient = shares * inputs["b"][:, None] + inputs["c"]
        largest = inputs["a"].max(axis=1)
        value = (largest * inputs["b"]).sum() + (inputs["a"] * inputs["c"]).sum()
        answer = BackendAnswer(value, {"a": gradient})
        assert judge(answer, truth(tape, inputs, Format.of("float32")), "rounding").verdict is not Verdict.DIFFERS


def reciprocal_shares(n, g, other):
    """g·(1/n) + other in float32, n times: three roundings."""
    entry = np.float32(1) / np.float32(n) * g + other
    return n * entry.astype(np.float64)


def test_equal_shares_with_a_reciprocal_attain_the_bound_of_a_whole():
    n, g, other = 56, np.float32(1.7550162), np.float32(0.0006341547)
    whole = step(whole_of((1, 1), (0,), (n,), 1), [[g], np.full(n, other)])
    assert 0.8 < share(reciprocal_shares(n, g, other), whole) <= 1


def test_equal_shares_attain_the_spread_of_a_whole():
    rng = np.random.default_rng(5)
    found = []
    for n in range(3, 100):
        g, other = np.float32(rng.uniform(1, 2)), np.float32(rng.uniform(0, 1e-4))
        whole = step(whole_of((1, 1), (0,), (n,), 1), [[g], np.full(n, other)])
        found.append(ratio(reciprocal_shares(n, g, other).reshape(1, 1), whole) ** 2)
    assert 0.5 < np.sqrt(np.mean(found)) < 1.1


def test_terms_of_a_whole_count_with_their_size_for_any_signs():
    """(p − q) − g for a p and q that cancel: p − g is rounded first, as is allowed (docs/math.md, W7)."""
    single = np.float32
    p, g = single(1), single(2.0**-25)
    assert (p - g) - p == 0
    difference = Quantity(np.zeros(1), parts=np.full(1, 2.0))
    operation = whole_of((1, -1), (0,), (1,), 1)
    for size in (float(g), 2.0):
        found = evaluate(Arithmetic.float64(SINGLE), operation, [difference, Quantity(np.full(1, size))])
        alone = evaluate(Arithmetic.float64(SINGLE), operation, [Quantity(np.zeros(1)), Quantity(np.full(1, size))])
        assert found.worst > alone.worst + SINGLE.roundoff


@pytest.mark.parametrize(("dtype", "refused"), [("float32", True), ("float16", True), ("bfloat16", False)])
def test_a_count_of_ties_may_round_in_a_dtype_that_does_not_hold_it(dtype, refused):
    """JAX counts 1,122 ties in bfloat16 as 1,024; float16 holds every number up to 2,048."""

    def loss(ops, a):
        return ops.max(a)

    shares = np.full((33, 34), 1 / 1024, np.float32 if dtype == "bfloat16" else dtype)
    inputs = {"a": np.zeros_like(shares)}
    known = truth(record(loss, {"a": shares.shape}, ("a",)), inputs, Format.of(dtype))
    verdict = judge(BackendAnswer(np.zeros((), shares.dtype), {"a": shares}), known, "rounding").verdict
    assert (verdict is Verdict.DIFFERS) is refused
