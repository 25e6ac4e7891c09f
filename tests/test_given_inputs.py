"""`inputs=` with arrays: one case of the caller's own numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import gradcheck
from gradcheck.errors import RequestError
from tests.conftest import FAKES, Command

LAYER = str(FAKES / "faulty.py")
a, b = np.array([1.0, -2.0]), np.array([[0.5, 3.0], [-1.0, 0.25]])


@pytest.fixture(scope="module")
def session() -> Iterator[gradcheck.Session]:
    with gradcheck.Session() as session:
        yield session


def chosen(x: Any, at: Any) -> Any:
    return np.sum(x[at] ** 2)


def scattered(x: Any, at: Any) -> Any:
    gradient = np.zeros_like(x)
    np.add.at(gradient, at, 2 * x[at])
    return np.sum(x[at] ** 2), {"x": gradient}


def assigned(x: Any, at: Any) -> Any:
    gradient = np.zeros_like(x)
    gradient[at] = 2 * x[at]
    return np.sum(x[at] ** 2), {"x": gradient}


def test_the_case_has_these_inputs(session: gradcheck.Session) -> None:
    report = session.check(LAYER, inputs={"a": a, "b": b}, backends=["right"])
    report.assert_agrees()
    assert report["right"].arrays()["a"].tolist() == [2.0, -4.0]
    assert report.case.k == 2
    assert report.case.replay.startswith(f"{__file__}:"), "it runs where this test runs"


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_case_has_the_dtype_of_its_arrays(session: gradcheck.Session, dtype: Any) -> None:
    report = session.check(LAYER, inputs={"a": a.astype(dtype), "b": b.astype(dtype)}, backends=["right"])
    assert report.case.dtype == np.dtype(dtype).name


def test_a_dtype_that_is_asked_for_comes_first(session: gradcheck.Session) -> None:
    inputs = {"a": a.astype(np.float32), "b": b}
    report = session.check(LAYER, inputs=inputs, dtype="float32", backends=["right"])
    assert (report.case.dtype, report.exit_code) == ("float32", 0)


def test_integers_of_a_function_have_no_gradient(session: gradcheck.Session) -> None:
    gradients = {"scattered": scattered, "assigned": assigned}
    inputs = {"x": np.arange(3.0), "at": np.array([0, 2, 2])}
    report = session.check(chosen, inputs=inputs, gradients=gradients)
    assert [backend.verdict for backend in report.backends] == ["agrees", "differs"]
    with pytest.raises(AssertionError, match=r"dL/dx\[2\] = 4 off by 4"):
        report.assert_agrees()


def test_the_command_in_the_report_runs_the_same_case(
    session: gradcheck.Session, gradcheck: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # from which the command runs
    report = session.check(LAYER, inputs={"a": a, "b": b / 3}, backends=["right", "one_entry_off"])
    program, *words = report.case.replay.split()
    assert program == "gradcheck"
    again = gradcheck(*words)
    assert again.returncode == 1
    assert report.finding().splitlines()[1:4] == again.stdout.splitlines()[2:5]


def test_cotangents_and_directions_come_from_the_seed() -> None:
    def squares(x: Any, cotangent: Any) -> Any:
        return x * x, {"x": 2 * x * cotangent}

    given = {"x": np.arange(3.0)}
    first, second = (
        gradcheck.check(lambda x: x * x, inputs=given, gradients={"mine": squares}, seed=seed) for seed in (1, 2)
    )
    assert first.exit_code == second.exit_code == 0
    assert first["mine"].loss != second["mine"].loss
    assert "cotangents from the seed" in first.case.notes[0]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"a": a}, "inputs: no input 'b': expected a, b"),
        ({"a": a, "b": b, "B": b}, r"inputs: unknown input 'B': did you mean 'b'\? expected a, b"),
        ({"a": a, "b": b[:1]}, r"inputs: inputs a \(2,\), b \(1, 2\): no k gives these shapes: .*"),
        ({"a": a, "b": b * np.nan}, "inputs: b holds a value that is not finite: expected finite numbers"),
        ({"a": a, "b": b * 1j}, "inputs: b is of dtype complex128: expected an array of real numbers"),
        ({"a": a, "b": (2, 2)}, r"inputs: b is \(2, 2\): expected an array of real numbers"),
        ({"a": a, "b": None}, "inputs: b is None: expected an array of real numbers"),
        ({"a": a, "b": [[1.0], [2.0, 3.0]]}, "inputs: b: lists side by side differ in length or depth: expected .*"),
        ({"a": a.astype("f4"), "b": b}, "inputs: a is float32, b is float64: expected one dtype, or dtype= .*"),
        ({"a": a.astype("g"), "b": b.astype("g")}, r"inputs: a is float\d+: expected one of float64, .*, or dtype="),
        ([a, b], r'inputs is of type list: expected the inputs by name, such as \{"x": \[1.0, 2.0\]\}'),
    ],
)
def test_wrong_inputs_are_refused_in_one_line(session: gradcheck.Session, inputs: Any, message: str) -> None:
    with pytest.raises(RequestError, match=f"^{message}$"):
        session.check(LAYER, inputs=inputs, backends=["right"])


def test_a_size_beside_arrays_must_be_theirs(session: gradcheck.Session) -> None:
    with pytest.raises(RequestError, match=r"^k=3: the inputs have size 2: expected k=2, or none$"):
        session.check(LAYER, inputs={"a": a, "b": b}, k=3, backends=["right"])


def test_numbers_that_a_dtype_lacks_are_refused(session: gradcheck.Session) -> None:
    with pytest.raises(RequestError, match=r"^inputs: b holds a value that overflows float16: expected smaller"):
        session.check(LAYER, inputs={"a": a, "b": 1e6 * b}, dtype="float16", backends=["right"])


def test_many_cases_take_no_arrays(session: gradcheck.Session) -> None:
    with pytest.raises(RequestError, match=r"^inputs: arrays are one case: expected shapes, or check\(\)"):
        session.sweep(LAYER, inputs={"a": a, "b": b}, seed=range(3))


def test_old_files_of_inputs_make_place_for_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gradcheck.problems import cases
    from gradcheck.runs import given

    monkeypatch.setattr(given, "MOST_KEPT", 3)
    problem = gradcheck.load_problem(LAYER)
    for seed in range(5):
        given.keep(cases.sample(problem, 2, seed, "float64"), tmp_path / "inputs" / f"{seed}.npz")
    assert len(list((tmp_path / "inputs").iterdir())) == 3
    assert (tmp_path / "inputs" / "4.npz").exists()
