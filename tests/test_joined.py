"""Small arrays are judged together: each as it would be alone, bit by bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gradcheck
from gradcheck.oracle import analysis
from gradcheck.oracle.joined import Joined
from gradcheck.oracle.quantities import Quantity
from tests.conftest import FAKES

FAULTY, HUBER = str(FAKES / "faulty.py"), str(FAKES / "huber.py")
WRONG = ["right", "wrong_sign", "one_entry_off", "not_a_number", "wrong_loss"]


@pytest.fixture(scope="module")
def session() -> Iterator[gradcheck.Session]:
    with gradcheck.Session() as session:
        yield session


def found(report: gradcheck.Report) -> Any:
    """A report without the times and the environment."""
    content = json.loads(report.to_json())
    for backend in content["backends"]:
        del backend["seconds"]
    del content["environment"]
    return content


@pytest.mark.parametrize("distribution", ["normal", "mixed", "zeros"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize(
    ("problem", "backends"),
    [("sigmoid_skip", ["manual", "numpy"]), ("mlp", ["numpy"]), (FAULTY, WRONG), (HUBER, ["mine"])],
)
def test_arrays_are_judged_together_as_each_alone(
    session: gradcheck.Session,
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
    backends: list[str],
    dtype: str,
    distribution: str,
) -> None:
    def check() -> Any:
        return found(session.check(problem, k=3, backends=backends, dtype=dtype, distribution=distribution))

    together = check()
    monkeypatch.setattr(analysis, "SMALL", 0)
    assert together == check()


def floors(ops: Any, x: Any) -> Any:
    return ops.sum(ops.watch("z", ops.floor(ops.watch("y", x * 3.0))) * x)


def by_floors(x: Any) -> Any:
    z = np.floor(x * 3.0)
    return np.sum(z * x), {"x": z}, {"y": x * 3.0, "z": z}


def squares(ops: Any, x: Any) -> Any:
    return ops.sum(ops.watch("y", x * x) * 1e-300)


def by_squares(x: Any) -> Any:
    with np.errstate(over="ignore"):
        y = x * x
    return np.sum(y * 1e-300), {"x": 2e-300 * x}, {"y": y}


@pytest.mark.parametrize(
    ("loss", "gradient", "x"),
    [(floors, by_floors, [1 / 3, 0.5]), (floors, by_floors, [1 / 3 + 1e-16, 2.0]), (squares, by_squares, [1e200, 1.0])],
)
def test_open_choices_and_wide_radii_are_judged_as_alone(
    session: gradcheck.Session, monkeypatch: pytest.MonkeyPatch, loss: Any, gradient: Any, x: list[float]
) -> None:
    def check() -> Any:
        content = found(session.check(loss, inputs={"x": np.array(x)}, gradients={"mine": gradient}))
        del content["case"]["replay"]
        return content

    together = check()
    monkeypatch.setattr(analysis, "SMALL", 0)
    assert together == check()


def test_errors_of_joined_quantities_keep_their_places() -> None:
    joined = Joined([(2,), (), (1, 2)])
    exact = Quantity(np.array([1.0, 2.0]))
    one = Quantity(np.array(3.0), worst=np.array(0.5), variance=np.array(0.25))
    matrix = Quantity(np.array([[4.0, 5.0]]), worst=np.array([[1.0, 2.0]]))
    whole = joined.quantity([exact, one, matrix])
    assert whole.middle.tolist() == [1, 2, 3, 4, 5]
    assert whole.radius is None, "all are exact"
    assert whole.worst is not None
    assert whole.worst.tolist() == [0, 0, 0.5, 1, 2]
    assert [piece.tolist() for piece in joined.pieces(whole.worst)] == [[0, 0], 0.5, [[1, 2]]]
