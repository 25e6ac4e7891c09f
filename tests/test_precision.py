"""gradcheck finds and reports a backend that does not compute in the requested precision."""

from __future__ import annotations

from pathlib import Path

import pytest

import gradcheck

AS_FLOAT32 = "its errors are as large as those of float32: it may compute in that"
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

def silently_narrow(A, x):
    value, gradients = right(A.astype("float32"), x.astype("float32"))
    return np.float64(value), {name: array.astype("float64") for name, array in gradients.items()}

def narrow(A, x):
    return right(A.astype("float32"), x.astype("float32"))

def wide(A, x):
    return right(A.astype("float64"), x.astype("float64"))

def one_entry(A, x):
    value, gradients = right(A, x)
    gradients["A"][0, 0] *= 1 + 1e-8
    return value, gradients

gradients = {f.__name__: f for f in (right, silently_narrow, narrow, wide, one_entry)}
"""


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("precision") / "problem.py"
    path.write_text(PROBLEM)
    return path


@pytest.mark.parametrize("k", [3, 16])
def test_float32_instead_of_float64_is_found(problem: Path, k: int) -> None:
    report = gradcheck.check(problem, k=k, backends=["right", "silently_narrow", "narrow", "one_entry"])
    right, silently_narrow, narrow, one_entry = report.backends
    assert (right.verdict, right.notes) == ("agrees", ())
    assert silently_narrow.verdict == "differs"
    for backend in (silently_narrow, narrow):
        assert str(backend.cause) == f"unknown: {AS_FLOAT32}"
    assert narrow.notes == ("answers in float32, not in the requested float64",)
    assert (one_entry.verdict, one_entry.cause.kind) == ("differs", "wrong formula")
    assert AS_FLOAT32 in report.finding()


def test_float64_instead_of_float32_is_reported(problem: Path) -> None:
    wide, right = gradcheck.check(problem, dtype="float32", backends=["wide", "right"]).backends
    assert (wide.verdict, wide.notes) == ("agrees", ("answers in float64, not in the requested float32",))
    assert right.notes == ()


def test_float16_instead_of_float32_is_distinguished_from_bfloat16(problem: Path) -> None:
    source = PROBLEM.replace('"float32"', '"float16"').replace("np.float64(value)", "np.float32(value)")
    path = problem.with_name("narrower.py")
    path.write_text(source.replace('astype("float64") for', 'astype("float32") for'))
    (narrow,) = gradcheck.check(path, dtype="float32", backends=["silently_narrow"]).backends
    assert narrow.cause.reason == "its errors are as large as those of float16: it may compute in that"
