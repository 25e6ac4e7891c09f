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
    right, halved, zero, one_entry, one_rounded_entry, a_hair, cancels, buffered, buffered_and_negative,
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
def test_a_wrong_formula_is_told_from_lost_digits(problem: Path, dtype: str) -> None:
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


def test_code_that_rounds_on_its_way_is_not_called_a_wrong_formula(problem: Path) -> None:
    found = checked(problem, "buffered", "buffered_inside")
    assert {name: each.cause.kind for name, each in found.items()} == {
        "buffered": "unknown",
        "buffered_inside": "unknown",
    }
    assert "float64 where the inputs are longdouble" in found["buffered"].cause.reason


def test_a_pattern_tells_a_wrong_formula_where_no_second_answer_does(problem: Path) -> None:
    backend = checked(problem, "buffered_and_negative")["buffered_and_negative"]
    assert backend.first_wrong.pattern == "−1 × the truth"
    assert backend.cause.kind == "wrong formula"


def test_the_pattern_stands_in_the_finding(problem: Path) -> None:
    report = gradcheck.check(problem, k=4, backends=["halved"])
    assert "it is 1/2 × the truth" in report.finding()
    assert "cause: wrong formula" in report.finding()


def test_what_is_no_number_or_is_not_there_has_no_made_up_cause(problem: Path) -> None:
    found = checked(problem, "not_a_number", "missing")
    assert found["not_a_number"].cause is None
    assert found["missing"].cause is None


def test_an_answer_that_varies_has_that_for_its_cause(problem: Path) -> None:
    assert checked(problem, "noisy")["noisy"].cause.reason == "it varies from call to call"


@pytest.mark.parametrize(
    ("name", "verdict"), [("halved", "differs"), ("cancels", "agrees"), ("buffered", "differs"), ("missing", "differs")]
)
def test_the_gate_formula_lets_lost_digits_pass_and_nothing_else(problem: Path, name: str, verdict: str) -> None:
    report = gradcheck.check(problem, k=4, backends=[name], gate="formula")
    assert report.backends[0].verdict == verdict
    if verdict == "agrees":
        assert report.exit_code == 0
        assert "cancels: lost digits" in report.finding()
        assert "first wrong: dL/dA" in report.finding()


def test_an_engine_is_asked_once_more_too(tmp_path: Path) -> None:
    path = tmp_path / "far_below.py"
    path.write_text(
        'def inputs(k): return {"x": (k,)}\n\ndef loss(ops, x):\n    return ops.sum(ops.expm1(16 * x - 20))\n'
    )
    [torch] = gradcheck.check(path, backends=["torch"]).backends
    assert torch.verdict == "differs"
    assert torch.cause.kind in ("lost digits", "unknown")
    assert torch.cause.kind != "wrong formula"
