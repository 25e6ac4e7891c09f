"""The hand-written backpropagation: its own products, its sigmoid, and no rounding in between."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck import problems
from gradcheck.backends._worker.source import execute
from gradcheck.problems import cases

PROBLEM = problems.load("sigmoid_skip")
MODULE = execute(str(PROBLEM.path))


@pytest.mark.parametrize(
    ("product", "left", "right", "shown"),
    [
        ("matrix_vector_product", [[1, 2], [3, 4]], [1, 2, 3], r"\(2, 2\) and \(3,\)"),
        ("matrix_vector_product", [1, 2], [1, 2], r"\(2,\) and \(2,\)"),
        ("transposed_product", [[1, 2], [3, 4]], [1, 2, 3], r"\(2, 2\) and \(3,\)"),
        ("outer_product", [[1, 2]], [1, 2], r"\(1, 2\) and \(2,\)"),
        ("elementwise_product", [1, 2], [1, 2, 3], r"\(2,\) and \(3,\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_by_name(product: str, left: list, right: list, shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        getattr(MODULE, product)(left, right)


def test_products_against_numpy() -> None:
    matrix, vector, other = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [1.0, 10.0, 100.0], [1.0, 10.0]
    assert MODULE.matrix_vector_product(matrix, vector) == (np.array(matrix) @ vector).tolist()
    assert MODULE.transposed_product(matrix, other) == (np.array(matrix).T @ other).tolist()
    assert MODULE.outer_product(other, vector) == np.outer(other, vector).tolist()
    assert MODULE.elementwise_product(vector, vector) == [1.0, 100.0, 10000.0]


@pytest.mark.parametrize("name", ["manual", "numpy"])
def test_sigmoids_are_stable_far_out(name: str) -> None:
    one = np.array([[1.0]])
    for y, expected in ((1000.0, 1.0), (-1000.0, 0.0), (0.0, 0.5)):
        with np.errstate(all="raise", under="ignore"):
            loss, gradients, values = MODULE.gradients[name](A=one * y, B=0 * one, C=one, x=np.array([1.0]))
        assert values["u"][0] == expected
        assert float(loss) == expected**2
        assert gradients["A"][0][0] == 2 * expected * expected * (1 - expected)


@given(st.floats(-800, 800))
def test_the_sigmoid_is_good_to_a_few_units_in_the_last_place(y: float) -> None:
    exact = 1 / (1 + Fraction(math.exp(-y))) if abs(y) < 700 else None
    if exact is not None:
        assert abs(Fraction(MODULE.sigmoid(y)) - exact) <= 8 * Fraction(2) ** -53 * exact


@pytest.mark.parametrize("name", ["manual", "numpy"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_everything_stays_in_the_dtype_of_the_case(name: str, dtype: str) -> None:
    case = cases.sample(PROBLEM, 3, 0, dtype)
    loss, gradients, values = MODULE.gradients[name](**case.inputs)
    for array in (loss, *gradients.values(), *values.values()):
        assert np.asarray(array).dtype == dtype


@pytest.mark.parametrize("seed", range(5))
def test_gradients_against_central_differences(seed: int) -> None:
    inputs = dict(cases.sample(PROBLEM, 3, seed, "float64").inputs)
    step = 2.0**-17
    for name in PROBLEM.wrt:
        for index in np.ndindex(3, 3):
            moved = []
            for sign in (1, -1):
                array = inputs[name].copy()
                array[index] += sign * step
                moved.append(float(MODULE.manual(**(inputs | {name: array}))[0]))
            slope = (moved[0] - moved[1]) / (2 * step)
            for gradient in (MODULE.manual, MODULE.vectorised):
                assert abs(gradient(**inputs)[1][name][index[0]][index[1]] - slope) < 1e-7
