"""Linear algebra: errors that attain its rules, or come near (docs/math.md, R34 to R38), and symmetric changes."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck.answers import BackendAnswer
from gradcheck.graphs import RecordingError
from gradcheck.judging import judge
from gradcheck.oracle import Format, analyse, record
from gradcheck.oracle.formats import SMALLEST
from gradcheck.oracle.operations.elimination import eliminated, fed_back
from gradcheck.oracle.operations.systems import INVERSE, SOLVE, solution
from gradcheck.oracle.operations.triangular import inverse_size, substituted
from gradcheck.results import Verdict
from tests.oracle.attaining import SINGLE, U, operation_of, ratio, share, step

single = np.float32


def solving(size: int, columns: int = 1, lower: bool = True):
    shapes = ((size, size), (size, columns))
    return operation_of(lambda ops, a, b: ops.solve_triangular(a, b, lower=lower), *shapes)


def factoring(size: int):
    return operation_of(lambda ops, a: ops.cholesky(a), (size, size))


def lower_triangular(size: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (np.tril(generator.uniform(-1, 1, (size, size)), -1) + 2 * np.eye(size)).astype(single).astype(float)


# R34: triangular systems.


@pytest.mark.parametrize("lower", [True, False])
def test_an_error_of_the_right_hand_side_passes_through_the_inverse(lower):
    matrix = lower_triangular(5) if lower else lower_triangular(5).T
    moved = 0.01 * np.sign(np.linalg.inv(matrix)[-1 if lower else 0])[:, None]
    result = step(solving(5, lower=lower), [matrix, np.ones((5, 1))], errors=[None, np.abs(moved)])
    shares = np.abs(np.linalg.solve(matrix, np.ones((5, 1)) + moved) - result.float64) / result.worst
    assert np.all(shares <= 1)
    assert shares[-1 if lower else 0, 0] > 0.95


def test_an_error_of_the_matrix_feeds_back_into_its_own_effect():
    result = step(solving(1), [[[1.0]], [[1.0]]], errors=[[[0.5]], None])
    assert 0.95 < share(1 / (1 - 0.5), result) <= 1


def test_nothing_is_known_of_a_matrix_that_may_be_singular():
    result = step(solving(2), [[[1.0, 0.0], [1.0, 1.0]], np.ones((2, 1))], errors=[[[0, 0], [0, 1.0]], None])
    assert np.isinf(result.worst[1, 0])


def test_the_other_triangle_is_not_read():
    matrix, other = lower_triangular(4), lower_triangular(4) + np.triu(np.full((4, 4), 7.0), 1)
    results = [step(solving(4), [each, np.ones((4, 1))], errors=[np.triu(each, 1), None]) for each in (matrix, other)]
    assert np.array_equal(results[0].float64, results[1].float64)
    assert np.all(results[1].worst < 1e-3)


def test_a_substitution_that_loses_every_rounding_is_within_the_bound():
    """x₃₂ = 1 − 2⁻²⁵ − 2⁻²⁵ − …: each difference is rounded back to 1."""
    size = 32
    matrix = np.eye(size)
    matrix[-1, :-1] = U / 2
    right = np.ones((size, 1))
    result = step(solving(size), [matrix, right])
    shares = (np.ones((size, 1)) - result.float64) / result.worst
    assert 0.02 < np.max(shares) <= 1


def test_a_product_with_the_inverse_of_an_ill_conditioned_matrix_is_within_the_bound():
    size = 24
    matrix = np.tril(-np.ones((size, size)), -1) / 2 + np.eye(size)
    right = matrix @ np.linspace(1, 2, size)[:, None]
    right = right.astype(single).astype(float)
    inverse = substituted(matrix.astype(single), np.eye(size, dtype=single), lower=True)
    result = step(solving(size), [matrix, right])
    assert share(inverse @ right.astype(single), result) <= 1


def test_an_elimination_that_exchanges_rows_is_within_the_bound():
    """Of rows of different scales, whose small ones an exchange fills with errors of the large ones."""
    generator = np.random.default_rng(0)
    for _ in range(40):
        signs, scales = generator.choice([-1, 1], (4, 4)), 2.0 ** generator.integers(-12, 12, (4, 4))
        matrix = np.tril(signs * scales * generator.uniform(1, 2, (4, 4))).astype(single)
        rights = (generator.uniform(-1, 1, (4, 20)) * 2.0 ** generator.integers(-12, 12, (4, 1))).astype(single)
        result = step(solving(4, 20), [matrix.astype(float), rights.astype(float)])
        errors = np.abs(solution(matrix, rights) - result.float64)
        assert np.all(errors <= result.worst)
        assert np.all(errors <= 8 * np.sqrt(result.variance))


def test_a_feedback_that_does_not_die_out_bounds_nothing():
    assert np.isinf(fed_back(np.ones((1, 1)), np.ones((1, 1)))).all()
    assert np.allclose(fed_back(np.full((1, 1), 0.5), np.ones((1, 1))), 2.0, rtol=0.02)


@pytest.mark.parametrize("size", [1, 2, 6, 24])
@pytest.mark.parametrize("small", [1e-3, 1e-12, 1e-200])
def test_errors_that_feed_back_from_a_few_entries_to_all_are_bounded(size: int, small: float) -> None:
    """An error of the diagonal reaches the other entries by one step, or from neighbour to neighbour."""
    chain = small * (np.eye(size, k=1) + np.eye(size, k=-1)) + 0.5 * np.eye(size)
    for feedback in (np.full((size, size), small / size), chain):
        error = np.eye(size) + SMALLEST
        bound, true = fed_back(feedback, error), np.linalg.inv(np.eye(size) - feedback)
        assert np.all(bound >= true)
        assert np.allclose(np.diagonal(bound), np.diagonal(true), rtol=0.02)


@pytest.mark.parametrize("word", ["inv", "solve"])
def test_a_system_of_a_diagonal_matrix_with_errors_everywhere_is_bounded(word: str) -> None:
    a, error = 6 * np.eye(3), 1e-3
    operation = INVERSE if word == "inv" else SOLVE
    right = [] if word == "inv" else [np.eye(3)]
    known = step(operation, [a, *right], errors=[np.full((3, 3), error), *(None for _ in right)])
    assert 0.9 < share(np.linalg.inv(a - error), known) <= 1


def test_the_inverse_is_bounded_where_its_approximation_is_poor():
    matrix = lower_triangular(6)
    inverse = np.linalg.inv(matrix)
    for poor in (inverse * 1.1, inverse + 0.01 * np.tril(np.ones((6, 6)))):
        assert np.all(inverse_size(matrix, poor, lower=True) >= np.abs(inverse) * (1 - 1e-12))


@pytest.mark.parametrize("size", [8, 40])
def test_the_spread_of_a_substitution_is_that_of_its_roundings(size):
    matrix = lower_triangular(size)
    rights = np.random.default_rng(1).uniform(-1, 1, (size, 200)).astype(single)
    result = step(solving(size, 200), [matrix, rights.astype(float)])
    answers = substituted(matrix.astype(single), rights, lower=True)
    assert 0.2 < ratio(answers[None], result) < 1.2


# R35: Cholesky factors.


def test_an_error_of_the_matrix_moves_the_factor_by_half_of_it():
    result = step(factoring(1), [[[1.0]]], errors=[[[0.01]]])
    assert 0.98 < share(np.sqrt(0.99), result) <= 1


def test_a_square_root_of_an_accelerator_is_within_the_bound():
    """R12: 2u, and then a rounded quotient."""
    result = step(factoring(1), [[[1.0]]])
    assert 0.8 < share((1 + U) / (1 - 2 * U), result) <= 1


def test_the_second_order_of_a_large_error_counts():
    result = step(factoring(1), [[[1.0]]], errors=[[[0.45]]])
    assert share(np.sqrt(0.55), result) <= 1
    assert abs(np.sqrt(0.55) - 1) > 0.225  # more than the first order alone


def test_nothing_is_known_of_the_factor_where_errors_reach_half_of_the_matrix():
    assert np.isinf(step(factoring(1), [[[1.0]]], errors=[[[0.51]]]).worst).all()


def test_given_matrices_that_are_not_quite_symmetric_count_as_their_mean_with_that_error():
    matrix = np.array([[2.0, 1.0], [1.01, 2.0]])
    result = step(factoring(2), [matrix])
    for read in (np.tril(matrix) + np.tril(matrix, -1).T, np.triu(matrix) + np.triu(matrix, 1).T):
        assert np.all(np.abs(np.linalg.cholesky(read) - result.float64) <= result.worst)


def by_outer_products(matrix: np.ndarray) -> np.ndarray:
    """The factor in float32, each column subtracted from all that follow."""
    rest, result = matrix.copy(), np.zeros_like(matrix)
    for column in range(len(matrix)):
        result[column:, column] = rest[column:, column] / np.sqrt(rest[column, column])
        rest -= np.outer(result[:, column], result[:, column])
    return result


@pytest.mark.parametrize("size", [4, 24])
def test_the_spread_of_a_factor_is_that_of_its_roundings(size):
    squares = []
    for seed in range(60):
        points = np.random.default_rng(seed).standard_normal((size, size)).astype(single)
        matrix = points @ points.T + np.eye(size, dtype=single)
        matrix = (matrix + matrix.T) / 2
        result = step(factoring(size), [matrix.astype(float)])
        errors = by_outer_products(matrix) - result.float64
        assert np.all(np.abs(errors) <= result.worst)
        squares.append(np.mean((np.square(errors) / result.variance)[np.tril_indices(size)]))
    assert 0.2 < np.sqrt(np.mean(squares)) < 1.2


# R37: systems and inverses.


def eliminating(size: int, columns: int = 1):
    return operation_of(lambda ops, a, b: ops.solve(a, b), (size, size), (size, columns))


def square_matrix(size: int) -> np.ndarray:
    return np.random.default_rng(size).standard_normal((size, size)).astype(single).astype(float)


def test_errors_of_a_system_pass_through_the_inverse_and_feed_back():
    matrix, right = square_matrix(4), np.ones((4, 1))
    moved = 1e-3 * np.sign(np.linalg.inv(matrix)[1])[:, None]
    result = step(eliminating(4), [matrix, right], errors=[None, np.abs(moved)])
    shares = np.abs(np.linalg.solve(matrix, right + moved) - result.float64) / result.worst
    assert np.all(shares <= 1)
    assert shares[1, 0] > 0.9
    fed_back = step(eliminating(1), [[[1.0]], [[1.0]]], errors=[[[0.5]], None])
    assert 0.95 < share(1 / (1 - 0.5), fed_back) <= 1


def test_nothing_is_known_of_a_system_whose_matrix_may_be_singular():
    near = [[1.0, 1.0], [1.0, 1.0 + 4 * U]]
    assert np.isinf(step(eliminating(2), [near, np.ones((2, 1))]).worst).all()
    assert np.isinf(step(eliminating(2), [near, np.ones((2, 1))]).variance).all()
    assert np.isinf(step(eliminating(2), [np.ones((2, 2)), np.ones((2, 1))]).worst).all()


@pytest.mark.parametrize("size", [4, 24])
def test_the_spread_of_a_system_is_that_of_its_roundings(size):
    matrix = square_matrix(size)
    rights = np.random.default_rng(1).uniform(-1, 1, (size, 200)).astype(single)
    result = step(eliminating(size, 200), [matrix, rights.astype(float)])
    answers = solution(matrix.astype(single), rights)
    by_inverse = solution(matrix.astype(single), np.eye(size, dtype=single)) @ rights
    assert np.all(np.maximum(*(np.abs(each - result.float64) for each in (answers, by_inverse))) <= result.worst)
    assert 0.1 < ratio(answers[None], result) < 1.2
    assert 0.1 < ratio(by_inverse[None], result) < 1.2


def test_an_inverse_is_within_the_bound():
    for size in (1, 5, 24):
        matrix = square_matrix(size)
        result = step(operation_of(lambda ops, a: ops.inv(a), (size, size)), [matrix])
        assert share(solution(matrix.astype(single), np.eye(size, dtype=single)), result) <= 1


def test_the_gradients_of_a_system_and_of_an_inverse_are_those_of_their_formulas():
    inputs = {"A": square_matrix(4), "B": np.arange(8.0).reshape(4, 2), "w": np.linspace(-1, 1, 8).reshape(4, 2)}
    shapes = {name: array.shape for name, array in inputs.items()}
    back = np.linalg.solve(inputs["A"].T, inputs["w"])
    whole = -back @ np.linalg.solve(inputs["A"], inputs["B"]).T
    for form in (lambda ops, A, B: ops.solve(A, B), lambda ops, A, B: ops.inv(A) @ B):
        tape = record(lambda ops, A, B, w, form=form: ops.sum(w * form(ops, A, B)), shapes, ("A", "B"))
        found = analyse(tape, inputs, SINGLE)
        assert np.allclose(found["gradient", "B"].enclosure.high, back, rtol=1e-10)
        assert np.allclose(found["gradient", "A"].enclosure.high, whole, rtol=1e-10)


# R38: determinants.


def log_determinant(size: int):
    return operation_of(lambda ops, a: ops.slogdet(a)[1], (size, size))


def test_errors_of_a_matrix_move_the_logarithm_of_its_determinant_by_the_trace():
    matrix = square_matrix(4)
    moved = 1e-4 * np.sign(np.linalg.inv(matrix)).T
    result = step(log_determinant(4), [matrix], errors=[np.abs(moved)])
    assert 0.95 < share(np.linalg.slogdet(matrix + moved)[1], result) <= 1


def test_the_second_order_of_a_determinant_counts():
    result = step(log_determinant(1), [[[1.0]]], errors=[[[0.5]]])
    assert share(np.log(0.5), result) <= 1
    assert np.isinf(step(log_determinant(1), [[[1.0]]], errors=[[[1.0]]]).worst)


@pytest.mark.parametrize("size", [4, 24])
def test_the_spread_of_a_determinant_is_that_of_its_roundings(size):
    squares = []
    for seed in range(60):
        matrix = np.random.default_rng(seed).standard_normal((size, size)).astype(single)
        result = step(log_determinant(size), [matrix.astype(float)])
        error = log_of_pivots(matrix) - result.float64
        assert np.abs(error) <= result.worst
        squares.append(error**2 / result.variance)
    assert 0.1 < np.sqrt(np.mean(squares)) < 1.2


def log_of_pivots(matrix: np.ndarray) -> np.ndarray:
    """In float32: NumPy computes linear algebra in float64."""
    return np.sum(np.log(np.abs(np.diagonal(eliminated(matrix)[0]))))


def test_the_gradient_of_a_determinant_is_the_transposed_inverse():
    matrix = square_matrix(4)
    tape = record(lambda ops, A: 3.0 * ops.slogdet(A)[1], {"A": (4, 4)}, ("A",))
    found = analyse(tape, {"A": matrix}, SINGLE)
    assert np.allclose(found["gradient", "A"].enclosure.high, 3 * np.linalg.inv(matrix).T, rtol=1e-10)


def test_the_sign_of_a_determinant_is_refused_where_it_is_used():
    def used(ops, A):
        sign, logarithm = ops.slogdet(A)
        return sign * logarithm

    with pytest.raises(RecordingError, match="sign of a determinant is not recorded"):
        record(used, {"A": (2, 2)}, ("A",))


# Symmetric changes.


def loss(ops, A, y):
    z = ops.solve_triangular(ops.cholesky(ops.watch("K", A * 0.5)), y, lower=True)
    return ops.sum(z * z)


def case(dtype="float64", conditioned=0.5):
    generator = np.random.default_rng(0)
    points = generator.standard_normal((4, 4))
    matrix = (points @ points.T + conditioned * np.eye(4)).astype(dtype)
    inputs = {"A": (matrix + matrix.T) / 2, "y": generator.standard_normal(4).astype(dtype)}
    truth = judge.truth(record(loss, {"A": (4, 4), "y": (4,)}, ("A",)), inputs, Format.of(dtype))
    alpha = np.linalg.solve(inputs["A"] / 2, inputs["y"])
    return truth, inputs, alpha


def verdict(form, **options):
    truth, inputs, alpha = case(**options)
    adjoint = form(-np.outer(alpha, alpha))
    answer = BackendAnswer(np.asarray(inputs["y"] @ alpha), {"A": adjoint / 2}, {"K": inputs["A"] / 2}, {"K": adjoint})
    return judge.judge(answer, truth, "rounding")


@pytest.mark.parametrize(
    "form",
    [
        lambda G: G,
        lambda G: np.tril(G) + np.tril(G, -1),
        lambda G: np.triu(G) + np.triu(G, 1),
        lambda G: G + np.tril(np.ones((4, 4)), -1) - np.triu(np.ones((4, 4)), 1),
    ],
)
def test_adjoints_of_a_symmetric_matrix_agree_that_do_the_same_to_symmetric_changes(form):
    assert verdict(form).verdict is Verdict.AGREES


@pytest.mark.parametrize("form", [np.tril, lambda G: 2 * G - np.diag(np.diag(G)), lambda G: G * 0.5])
def test_adjoints_of_a_symmetric_matrix_differ_that_do_something_else(form):
    judged = verdict(form)
    assert judged.verdict is Verdict.DIFFERS
    assert judged.first_wrong.name == "K"


def test_a_matrix_that_is_used_elsewhere_too_is_judged_entry_by_entry():
    def used_twice(ops, A, y):
        return loss(ops, A, y) + ops.sum(ops.matmul(A, y) ** 2)

    def products(ops, A, y):
        return loss(ops, ops.matmul(A, ops.matrix_transpose(A)), y)

    from gradcheck.oracle.symmetry import symmetric_outputs

    shapes = {"A": (4, 4), "y": (4,)}
    assert symmetric_outputs(record(loss, shapes, ("A", "y"))) == {("adjoint", "K"), ("gradient", "A")}
    assert symmetric_outputs(record(used_twice, shapes, ("A", "y"))) == {("adjoint", "K")}
    assert symmetric_outputs(record(products, shapes, ("A", "y"))) == {("adjoint", "K")}


def test_an_ill_conditioned_matrix_is_undecided_with_its_condition_number():
    hilbert = (1 / (np.arange(6)[:, None] + np.arange(6) + 1)).astype(single)
    inputs = {"A": hilbert, "y": np.ones(6, single)}
    truth = judge.truth(record(loss, {"A": (6, 6), "y": (6,)}, ("A",)), inputs, SINGLE)
    judged = judge.judge(BackendAnswer(np.asarray(0.0), {"A": np.zeros((6, 6))}), truth, "rounding")
    assert judged.verdict is Verdict.UNDECIDED
    assert "in cholesky of a matrix with condition number 1.4e+07" in judged.reason


def test_a_matrix_that_is_not_symmetric_has_no_factor():
    truth, inputs, _ = case()
    inputs = inputs | {"A": inputs["A"] + np.triu(np.ones((4, 4)), 1)}
    truth = judge.truth(truth.tape, inputs, truth.format)
    assert "cholesky is undefined" in truth.undefined


def test_the_gradient_of_a_factor_is_that_of_its_formula():
    truth, _, alpha = case()
    found = truth.analysis["gradient", "A"].enclosure.high
    assert np.allclose(found, -np.outer(alpha, alpha) / 2, rtol=1e-9)


@pytest.mark.parametrize("lower", [True, False])
def test_the_gradient_of_a_solution_is_that_of_its_formula(lower):
    matrix = lower_triangular(4) if lower else lower_triangular(4).T
    inputs = {"T": matrix, "B": np.arange(8.0).reshape(4, 2), "w": np.linspace(-1, 1, 8).reshape(4, 2)}
    shapes = {name: array.shape for name, array in inputs.items()}
    tape = record(lambda ops, T, B, w: ops.sum(w * ops.solve_triangular(T, B, lower)), shapes, ("T", "B"))
    found = analyse(tape, inputs, SINGLE)
    back = np.linalg.solve(matrix.T, inputs["w"])
    whole = -back @ np.linalg.solve(matrix, inputs["B"]).T
    assert np.allclose(found["gradient", "B"].enclosure.high, back, rtol=1e-12)
    assert np.allclose(found["gradient", "T"].enclosure.high, np.tril(whole) if lower else np.triu(whole), rtol=1e-12)
