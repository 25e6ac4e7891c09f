"""Why an answer is wrong: real gradients that have a wrong formula, and right ones that lose digits."""

from __future__ import annotations

from pathlib import Path

import pytest

import gradcheck
from gradcheck.results import Backend

PROBLEM = """
import numpy as np

def inputs(k): return {"A": (k, k), "x": (k,)}

wrt = ("A",)

def loss(ops, A, x):
    y = ops.tanh(A @ x)
    return ops.sum(y * y)

def right(A, x):
    y = np.tanh(A @ x)
    return np.sum(y * y), {"A": np.outer(2 * y * (1 - y * y), x)}

def halved(A, x):
    value, gradients = right(A, x)
    return value, {"A": gradients["A"] / 2}

def scaled(A, x):
    value, gradients = right(A, x)
    return value, {"A": gradients["A"] * 1.001}

def zero(A, x):
    return right(A, x)[0], {"A": np.zeros_like(A)}

def one_entry(A, x):
    value, gradients = right(A, x)
    gradients["A"][0, 0] += 1e-6
    return value, gradients

def one_rounded_entry(A, x):
    value, gradients = right(A, x)
    gradients["A"][0, 0] *= 1 + 2.0**-24
    return value, gradients

def a_hair(A, x):
    value, gradients = right(A, x)
    gradients["A"][0, 0] *= 1 + 2.0**-30
    return value, gradients

def cancels(A, x):
    value, gradients = right(A, x)
    return value, {"A": (gradients["A"] + 1000) - 1000}

def buffered(A, x):
    value, gradients = right(A, x)
    buffer = np.zeros(A.shape)
    buffer += gradients["A"] + 1000
    return value, {"A": buffer - 1000}

def buffered_and_negative(A, x):
    value, gradients = right(A, x)
    buffer = np.zeros(A.shape)
    buffer -= gradients["A"]
    return value, {"A": buffer}

def buffered_inside(A, x):
    value, gradients = right(A, x)
    buffer = np.zeros(A.shape)
    buffer += gradients["A"] + 1000
    return value, {"A": ((buffer - 1000) * x.dtype.type(1)).astype(x.dtype)}

def not_a_number(A, x):
    value, gradients = right(A, x)
    return value, {"A": gradients["A"] * np.nan}

def noisy(A, x):
    value, gradients = right(A, x)
    return value, {"A": gradients["A"] + 1e-3 * np.random.rand(*A.shape)}

def missing(A, x):
    return right(A, x)[0], {}

gradients = {f.__name__: f for f in (
    right, halved, scaled, zero, one_entry, one_rounded_entry, a_hair, cancels, buffered, buffered_and_negative,
    buffered_inside, not_a_number, missing, noisy,
)}
"""


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("diagnosis") / "problem.py"
    path.write_text(PROBLEM)
    return path


def checked(problem: Path, *names: str, **settings: object) -> dict[str, Backend]:
    report = gradcheck.check(problem, k=4, backends=list(names), **settings)
    return {backend.name: backend for backend in report.backends}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_wrong_formula_is_distinguished_from_lost_digits(problem: Path, dtype: str) -> None:
    found = checked(problem, "right", "halved", "zero", "cancels", dtype=dtype)
    assert found["right"].cause is None
    assert {name: each.cause.kind for name, each in found.items() if each.cause} == {
        "halved": "wrong formula",
        "zero": "wrong formula",
        "cancels": "lost digits",
    }


def test_the_number_of_lost_bits_is_that_of_the_cancellation(problem: Path) -> None:
    cause = checked(problem, "cancels")["cancels"].cause
    assert cause.of_bits == 53
    assert 8 <= cause.bits <= 14  # 1000 has ten bits more than the entries, and these are below 1
    assert "longdouble" in cause.reason


@pytest.mark.parametrize("name", ["one_entry", "one_rounded_entry", "a_hair"])
def test_a_small_error_of_one_entry_is_a_wrong_formula(problem: Path, name: str) -> None:
    assert checked(problem, name)[name].cause.kind == "wrong formula"


def test_code_that_rounds_in_between_is_not_reported_as_a_wrong_formula(problem: Path) -> None:
    found = checked(problem, "buffered", "buffered_inside")
    assert {name: each.cause.kind for name, each in found.items()} == {
        "buffered": "unknown",
        "buffered_inside": "unknown",
    }
    assert "your gradient converts to float64" in found["buffered"].cause.reason


def test_a_factor_that_all_entries_share_may_be_wrong_or_narrow(problem: Path) -> None:
    backend = checked(problem, "scaled")["scaled"]
    assert backend.first_wrong.pattern == "1.001 × the truth"
    assert backend.cause.reason == "a factor that all entries share is wrong, or computed in float16"


def test_a_pattern_shows_a_wrong_formula_where_no_second_answer_does(problem: Path) -> None:
    backend = checked(problem, "buffered_and_negative")["buffered_and_negative"]
    assert backend.first_wrong.pattern == "−1 × the truth"
    assert backend.cause.kind == "wrong formula"


def test_the_finding_has_the_pattern(problem: Path) -> None:
    report = gradcheck.check(problem, k=4, backends=["halved"])
    assert "it is 1/2 × the truth" in report.finding()
    assert "cause: wrong formula" in report.finding()


def test_nan_and_missing_arrays_have_no_invented_cause(problem: Path) -> None:
    found = checked(problem, "not_a_number", "missing")
    assert found["not_a_number"].cause is None
    assert found["missing"].cause is None


def test_a_variation_is_the_cause_of_a_varying_answer(problem: Path) -> None:
    assert checked(problem, "noisy")["noisy"].cause.reason == "it varies from call to call"


@pytest.mark.parametrize(
    ("name", "verdict"), [("halved", "differs"), ("cancels", "agrees"), ("buffered", "differs"), ("missing", "differs")]
)
def test_the_gate_formula_accepts_only_lost_digits(problem: Path, name: str, verdict: str) -> None:
    report = gradcheck.check(problem, k=4, backends=[name], gate="formula")
    assert report.backends[0].verdict == verdict
    if verdict == "agrees":
        assert report.exit_code == 0
        assert "cancels: lost digits" in report.finding()
        assert "first wrong: dL/dA" in report.finding()


def test_an_engine_runs_once_more_too(tmp_path: Path) -> None:
    path = tmp_path / "far_below.py"
    path.write_text(
        'def inputs(k): return {"x": (k,)}\n\ndef loss(ops, x):\n    return ops.sum(ops.expm1(16 * x - 20))\n'
    )
    [torch] = gradcheck.check(path, backends=["torch"]).backends
    assert torch.verdict == "differs"
    assert torch.cause.kind in ("lost digits", "unknown")
    assert torch.cause.kind != "wrong formula"


WIDE = """
import numpy as np

GAIN = np.array([0.1, 0.7, 1.3])
ONE = np.ones((3, 3))

def inputs(): return {"A": (3, 3), "x": (3,)}

wrt = ("A",)

def loss(A, x):
    return np.sum((np.tanh(A @ x) * GAIN) ** 2)

def right(A, x):
    y = np.tanh(A @ x)
    return loss(A, x), {"A": np.outer(2 * y * GAIN**2 * (1 - y * y), x)}

def wrong(A, x):
    y = np.tanh(A @ x)
    return loss(A, x), {"A": np.outer(2 * y * GAIN**2 * (1 - y), x)}

def cancels_before(A, x):
    y = np.tanh(A @ x)
    return loss(A, x), {"A": np.outer(2 * y * GAIN**2 * ((1 + 10000 - y * y) - 10000), x)}

def cancels_behind(A, x):
    y = np.tanh((A * ONE) @ x)
    return loss(A, x), {"A": np.outer(2 * y * GAIN**2 * ((1 + 1e15 - y * y) - 1e15), x)}

def wrong_in_float64(A, x):
    value, gradients = wrong(A.astype(float), x.astype(float))
    return value, gradients

gradients = {f.__name__: f for f in (right, wrong, cancels_before, cancels_behind, wrong_in_float64)}
"""
NOTE = "answers in float64, not in the requested {}"
UNKNOWN = {
    "float64 alone": "run again in longdouble: your gradient converts to float64, in dL/dA",
}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wide") / "wide.py"
    path.write_text(WIDE)
    return path


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_constants_of_float64_widen_an_answer_and_its_cause_is_found(wide: Path, dtype: str) -> None:
    report = gradcheck.check(wide, dtype=dtype)
    found = {backend.name: backend for backend in report.backends}
    assert all(NOTE.format(dtype) in backend.notes for backend in found.values())
    assert found["right"].verdict == "agrees"
    assert "in float64" in found["wrong"].cause.reason
    assert "in longdouble" in found["wrong"].cause.reason
    assert {name: each.cause.kind for name, each in found.items() if each.cause} == {
        "wrong": "wrong formula",
        "cancels_before": "lost digits",
        "cancels_behind": "lost digits",
        "wrong_in_float64": "unknown",
    }
    assert found["cancels_before"].cause.of_bits == {"float32": 24, "float16": 11}[dtype]
    assert found["cancels_behind"].cause.of_bits == 53
    assert found["wrong_in_float64"].cause.reason == UNKNOWN["float64 alone"]


def test_an_error_that_stays_in_longdouble_and_at_rounded_inputs_is_a_wrong_formula(wide: Path) -> None:
    found = {backend.name: backend for backend in gradcheck.check(wide).backends}
    assert not any(backend.notes for backend in found.values())
    assert found["wrong"].cause.kind == "wrong formula"
    assert str(found["wrong_in_float64"].cause) == f"unknown: {UNKNOWN['float64 alone']}"


BUFFER = """
import numpy as np

ONE = np.ones(3)

def inputs(): return {"A": (3, 3), "x": (3,)}

wrt = ("A",)

def loss(A, x):
    return np.sum(np.tanh(A @ x) ** 2)

def rounds(A, x):
    y = np.tanh(A @ x) * ONE
    slope = np.empty(3)
    slope[:] = 1 - y * y
    slope[0] = 1 + 1e9 - y[0] * y[0]
    slope[0] -= 1e9
    return loss(A, x), {"A": np.outer(2 * y * slope, x)}

gradients = {"rounds": rounds}
"""


@pytest.mark.parametrize("seed", range(3))
def test_an_error_that_differs_at_rounded_inputs_has_no_known_cause(tmp_path: Path, seed: int) -> None:
    """A buffer of float64 rounds longdouble too, and makes the answers of float32 those of float64."""
    path = tmp_path / "buffer.py"
    path.write_text(BUFFER)
    (backend,) = gradcheck.check(path, seed=seed).backends
    assert backend.verdict == "differs"
    assert backend.cause.kind == "unknown"
    assert "at inputs rounded to float32: the code may round to float64 in between" in backend.cause.reason
