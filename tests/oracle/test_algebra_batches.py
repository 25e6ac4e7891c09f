"""Linear algebra over batches of matrices: each matrix has the bounds that it has alone (docs/math.md, R34 to R38)."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck.answers import BackendAnswer
from gradcheck.graphs import RecordingError
from gradcheck.judging import judge
from gradcheck.oracle import Format, analyse, record
from gradcheck.oracle.symmetry import symmetric_outputs
from gradcheck.oracle.unbounded import why_unbounded
from gradcheck.results import Verdict
from tests.oracle.attaining import SINGLE, operation_of, step

single = np.float32
WORDS = {
    "cholesky": lambda ops, a: ops.cholesky(a),
    "solve": lambda ops, a, b: ops.solve(a, b),
    "lower": lambda ops, a, b: ops.solve_triangular(a, b, lower=True),
    "upper": lambda ops, a, b: ops.solve_triangular(a, b),
    "inv": lambda ops, a: ops.inv(a),
    "slogdet": lambda ops, a: ops.slogdet(a)[1],
}
OF_TWO = ("solve", "lower", "upper")


def matrices(*shape: int, seed: int = 0) -> np.ndarray:
    """Symmetric and positive definite, exact in float32."""
    points = np.random.default_rng(seed).standard_normal((*shape, 4, 4)).astype(single)
    products = points @ np.swapaxes(points, -2, -1) + np.eye(4, dtype=single)
    return ((products + np.swapaxes(products, -2, -1)) / 2).astype(float)


def rights(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(single).astype(float)


def walked(name: str, *arrays: np.ndarray):
    return step(operation_of(WORDS[name], *(array.shape for array in arrays)), arrays)


@pytest.mark.parametrize("name", WORDS)
def test_each_matrix_of_a_batch_has_the_bounds_that_it_has_alone(name):
    batch = matrices(3)
    batch[1] = 1.0  # singular, and its triangles too: nothing is known of this one
    batch[1, -1, -1] = 0.0
    given = [rights(3, 4, 2)] if name in OF_TWO else []
    together = walked(name, batch, *given)
    for place, matrix in enumerate(batch):
        alone = walked(name, matrix, *(each[place] for each in given))
        assert np.array_equal(together.middle[place], alone.middle, equal_nan=True)
        assert np.allclose(together.worst[place], alone.worst, equal_nan=True)
        assert np.allclose(together.variance[place], alone.variance, equal_nan=True)
        assert np.isfinite(together.worst[place]).all() == (place != 1)


@pytest.mark.parametrize("name", OF_TWO)
@pytest.mark.parametrize(("of_a", "of_b"), [((2,), ()), ((), (2,)), ((3, 1), (2,)), ((0,), ())])
def test_leading_axes_of_systems_broadcast(name, of_a, of_b):
    a, b = matrices(*of_a), rights(*of_b, 4, 3)
    whole = np.broadcast_shapes(of_a, of_b)
    result = walked(name, a, b)
    expected = np.broadcast_to(a, (*whole, 4, 4)), np.broadcast_to(b, (*whole, 4, 3))
    assert result.shape == (*whole, 4, 3)
    assert np.array_equal(result.middle, walked(name, *expected).middle)


@pytest.mark.parametrize("name", OF_TWO)
def test_a_vector_has_one_axis_and_stands_for_each_matrix(name):
    a, b = matrices(2), rights(4)
    inputs = {"a": a, "b": b}
    tape = record(
        lambda ops, a, b: ops.sum(ops.watch("x", WORDS[name](ops, a, b))), {"a": (2, 4, 4), "b": (4,)}, ("b",)
    )
    found = analyse(tape, inputs, SINGLE)["value", "x"].enclosure.high
    assert found.shape == (2, 4)
    assert np.allclose(found, walked(name, a, b[:, None]).middle[..., 0])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((4, 3), (4,), r"got shape \(4, 3\): expected square matrices, along the last two axes"),
        ((5, 4, 4), (5, 4), r"\(5, 4, 4\) and \(5, 4\) do not fit: .* a vector for each matrix is b\[..., None\]"),
        ((2, 4, 4), (3, 4, 1), r"expected \(2,\) and \(3,\) to have equal sizes, or 1, from the right"),
        ((4, 4), (3,), r"expected a vector of 4 entries, or matrices of 4 rows, on the right$"),
    ],
)
def test_systems_of_other_shapes_are_refused_in_their_own_terms(a, b, expected):
    with pytest.raises(RecordingError, match=expected):
        record(lambda ops, a, b: ops.sum(ops.solve(a, b)), {"a": a, "b": b}, ("a",))


def systems(lower: bool | None):
    """A loss of one matrix and many right-hand sides, with what an adjoint of the matrix is in NumPy."""

    def loss(ops, A, B, w):
        return ops.sum(w * (ops.solve(A, B) if lower is None else ops.solve_triangular(A, B, lower=lower)))

    return loss, (lambda G: G) if lower is None else np.tril if lower else np.triu


@pytest.mark.parametrize("lower", [None, True, False])
def test_the_gradient_of_a_broadcast_matrix_is_a_sum_in_any_order(lower):
    loss, triangle = systems(lower)
    size, count = 4, 40
    matrix, right, weights = matrices() + size * np.eye(size), rights(count, size, 3), rights(count, size, 3)[::-1]
    inputs = {"A": matrix, "B": right, "w": weights}
    tape = record(loss, {name: array.shape for name, array in inputs.items()}, ("A", "B"))
    found = analyse(tape, inputs, SINGLE)
    system = triangle(matrix)
    back = np.linalg.solve(np.broadcast_to(system.T, (count, size, size)), weights)
    x = np.linalg.solve(np.broadcast_to(system, (count, size, size)), right)
    whole = triangle(-np.einsum("bij,bkj->ik", back, x))
    assert np.allclose(found["gradient", "A"].enclosure.high, whole, rtol=1e-10)
    assert np.allclose(found["gradient", "B"].enclosure.high, back, rtol=1e-10)
    for form in (each_by_itself, all_sums_first, in_one_product):
        answer = form(system.astype(single), right.astype(single), weights.astype(single))
        errors = np.abs(triangle(answer) - whole)
        assert np.all(errors <= found["gradient", "A"].worst)
        assert np.all(errors <= 8 * found["gradient", "A"].spread)


def solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """In float32, in which LAPACK solves systems of float32."""
    return np.linalg.solve(np.broadcast_to(matrix, (*right.shape[:-2], *matrix.shape)), right)


def each_by_itself(matrix, right, weights):
    products = weights @ np.swapaxes(solved(matrix, right), -2, -1)
    return -np.add.accumulate(solved(matrix.T, products))[-1]


def all_sums_first(matrix, right, weights):
    return -solved(matrix.T, np.add.accumulate(weights @ np.swapaxes(solved(matrix, right), -2, -1))[-1])


def in_one_product(matrix, right, weights):
    back, x = solved(matrix.T, weights), solved(matrix, right)
    return -np.moveaxis(back, 1, 0).reshape(4, -1) @ np.moveaxis(x, 1, 0).reshape(4, -1).T


@pytest.mark.parametrize("word", ["inv", "slogdet", "cholesky"])
def test_gradients_of_a_batch_are_those_of_each_matrix(word):
    batch = matrices(2)
    weights = rights(*walked(word, batch).shape)
    tape = record(lambda ops, A, w: ops.sum(w * WORDS[word](ops, A)), {"A": batch.shape, "w": weights.shape}, ("A",))
    alone = record(lambda ops, A, w: ops.sum(w * WORDS[word](ops, A)), {"A": (4, 4), "w": weights.shape[1:]}, ("A",))
    together = analyse(tape, {"A": batch, "w": weights}, SINGLE)["gradient", "A"]
    for place in range(2):
        each = analyse(alone, {"A": batch[place], "w": weights[place]}, SINGLE)["gradient", "A"]
        assert np.allclose(together.enclosure.high[place], each.enclosure.high, rtol=1e-12)
        assert np.allclose(together.worst[place], each.worst)


def likelihoods(ops, X, y, lengths):
    """Gaussian processes of one data set with several length scales."""
    difference = ops.expand_dims(X, 1) - X
    kernels = ops.watch("kernels", ops.exp(-difference * difference * ops.reshape(lengths, (-1, 1, 1))))
    L = ops.cholesky(ops.watch("K", kernels + 0.5 * np.eye(X.shape[0])))
    z = ops.solve_triangular(L, y, lower=True)
    return ops.sum(z * z) / 2 + ops.sum(ops.log(ops.diagonal(L)))


def by_hand(X, y, lengths):
    difference = np.square(X[:, None] - X)
    kernels = np.exp(-difference * lengths[:, None, None])
    K = kernels + 0.5 * np.eye(len(X))
    alpha = np.linalg.solve(K, np.broadcast_to(y[:, None], (len(K), len(y), 1)))
    adjoint = (np.linalg.inv(K) - alpha @ np.swapaxes(alpha, -2, -1)) / 2
    loss = np.sum(y * alpha[..., 0]) / 2 + np.sum(np.linalg.slogdet(K)[1]) / 2
    return loss, K, kernels, adjoint, -np.sum(adjoint * kernels * difference, axis=(1, 2))


@pytest.mark.parametrize(
    ("form", "verdict"),
    [
        (lambda G: G, Verdict.AGREES),
        (lambda G: np.tril(G) + np.tril(G, -1), Verdict.AGREES),
        (np.tril, Verdict.DIFFERS),
        (lambda G: G[::-1], Verdict.DIFFERS),
    ],
)
def test_adjoints_of_symmetric_matrices_are_compared_as_symmetric_changes_see_them(form, verdict):
    inputs = {"X": np.linspace(-1, 2, 5), "y": np.array([0.5, -0.25, 1.0, 0.75, -1.0]), "lengths": np.array([0.5, 2.0])}
    shapes = {name: array.shape for name, array in inputs.items()}
    truth = judge.truth(record(likelihoods, shapes, ("lengths",)), inputs, Format.of("float64"))
    loss, K, kernels, adjoint, gradient = by_hand(*inputs.values())
    answer = BackendAnswer(
        np.asarray(loss),
        {"lengths": gradient},
        {"K": K, "kernels": kernels},
        {"K": form(adjoint), "kernels": form(adjoint)},
    )
    assert judge.judge(answer, truth, "rounding").verdict is verdict


def test_symmetric_matrices_stay_so_under_new_leading_axes_and_a_number_for_each():
    def loss(ops, A, s):
        stacked = ops.broadcast_to(ops.reshape(ops.watch("K", A + A * 0.5), (1, 4, 4)), (3, 4, 4))
        return ops.sum(ops.cholesky(stacked * ops.reshape(s, (3, 1, 1))))

    def reshaped(ops, A, s):
        return ops.sum(ops.cholesky(ops.reshape(A, (4, 2, 2)))) + ops.sum(s)

    shapes = {"A": (4, 4), "s": (3,)}
    assert symmetric_outputs(record(loss, shapes, ("A", "s"))) == {("adjoint", "K"), ("gradient", "A")}
    assert symmetric_outputs(record(reshaped, shapes, ("A", "s"))) == frozenset()


def test_an_ill_conditioned_matrix_leaves_the_other_gradients_of_its_batch_decided():
    hilbert = 1 / (np.arange(4)[:, None] + np.arange(4) + 1)
    inputs = {"A": np.stack([matrices(), hilbert @ hilbert]).astype(single), "y": rights(4).astype(single)}
    tape = record(lambda ops, A, y: ops.sum(ops.solve(A, y)), {"A": (2, 4, 4), "y": (4,)}, ("A", "y"))
    found = analyse(tape, inputs, SINGLE)
    assert np.isfinite(found["gradient", "A"].worst[0]).all()
    assert np.isinf(found["gradient", "A"].worst[1]).all()
    condition = f"with condition number {np.linalg.cond(inputs['A'][1].astype(float)):.2g}"
    assert condition in why_unbounded(tape, inputs, SINGLE, ("gradient", "y"))
