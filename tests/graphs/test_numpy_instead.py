"""What messages advise to write in a loss can be recorded, and computes what NumPy computes for the refused code."""

from __future__ import annotations

import json
import math
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pytest

from gradcheck.backends import Operations
from gradcheck.backends._numpy_vocabulary import PRIMITIVES
from gradcheck.backends._worker.graph import InterpretedGraph
from gradcheck.graphs import RecordingError, record
from gradcheck.graphs.numpy import KNOWN
from gradcheck.graphs.numpy_instead import FUNCTION_HINTS

SHAPES = {"A": (3, 3), "x": (3,), "s": ()}
EYE = np.eye(3)
MASK = np.array([True, False, True])
W = np.array([1.0, -2.0])

FOLLOWED = [
    ("np.append(A, x)", "np.concatenate", "np.concatenate([np.ravel(A), np.ravel(x)])"),
    ("np.apply_along_axis(np.sum, 1, A)", "np.stack", "np.stack([np.sum(row) for row in A])"),
    ("np.atleast_2d(x)", "np.reshape(a, (1, -1))", "np.reshape(x, (1, -1))"),
    ("np.average(x, weights=[1, 2, 3])", "np.sum(a * w)", "np.sum(x * [1, 2, 3]) / np.sum([1, 2, 3])"),
    ("np.cbrt(x)", "np.abs(a) ** (1 / 3)", "np.where(x > 0, 1.0, -1.0) * np.abs(x) ** (1 / 3)"),
    ("np.column_stack([x, x])", "axis=1", "np.stack([x, x], axis=1)"),
    ("np.convolve(x, W, 'valid')", "range(m)", "sum(W[j] * x[2 - 1 - j:3 - j] for j in range(2))"),
    ("np.correlate(x, W, 'valid')", "range(m)", "sum(W[j] * x[j:3 - 2 + 1 + j] for j in range(2))"),
    ("np.diag(A)", "write np.diagonal(a)", "np.diagonal(A)"),
    ("np.diag(x)", "a[:, None] * np.eye(n)", "x[:, None] * np.eye(3)"),
    ("np.diff(x)", "a[1:] - a[:-1]", "x[1:] - x[:-1]"),
    ("np.fmax(x, 0)", "np.maximum", "np.maximum(x, 0)"),
    ("np.fmin(x, 0)", "np.minimum", "np.minimum(x, 0)"),
    ("np.heaviside(x, 0)", "np.where", "np.where(x > 0, 1.0, 0.0)"),
    ("np.linalg.matrix_power(A, 2)", "a @ a", "A @ A"),
    ("np.logaddexp.reduce(x)", "np.max(a)", "np.max(x) + np.log(np.sum(np.exp(x - np.max(x))))"),
    ("x * np.logical_xor(x > 0, A > 0)", "& ~b", "x * (((x > 0) & ~(A > 0)) | ((A > 0) & ~(x > 0)))"),
    ("np.nansum(x)", "np.sum", "np.sum(x)"),
    ("np.ptp(x)", "np.max(a) - np.min(a)", "np.max(x) - np.min(x)"),
    ("A[None, [0, 2]]", "write a[i][:, None]", "A[[0, 2]][None]"),
    ("np.linalg.norm(x, 1)", "np.sum(np.abs(a)) of a vector", "np.sum(np.abs(x))"),
    ("np.linalg.norm(A, 1)", "np.max(np.sum(np.abs(a), axis=0))", "np.max(np.sum(np.abs(A), axis=0))"),
    ("np.linalg.norm(x, np.inf)", "np.max(np.abs(a)) of a vector", "np.max(np.abs(x))"),
    ("np.linalg.norm(A, np.inf)", "np.max(np.sum(np.abs(a), axis=1))", "np.max(np.sum(np.abs(A), axis=1))"),
    ("np.linalg.norm(x, 3)", "write np.sum(np.abs(a)**3) ** (1 / 3)", "np.sum(np.abs(x)**3) ** (1 / 3)"),
    ("np.trunc(x) * 0", "its gradient is zero: leave it out", "x * 0"),
]  # fmt: skip


def loss_of(expression: str) -> Any:
    names = {"np": np, "math": math, "EYE": EYE, "MASK": MASK, "W": W}
    return eval(f"lambda A, x, s: np.sum(({expression}) * s)", names)


def recorded(loss: Any, inputs: dict[str, Any]) -> float:
    """The value of a recorded loss."""
    graph = record(loss, {name: np.shape(array) for name, array in inputs.items()})
    interpreted = InterpretedGraph(json.loads(graph.json()))
    ops = Operations({**PRIMITIVES, "stop_gradient": lambda a: a}, lambda *_: 0.0)
    return float(interpreted.loss(ops, **inputs, **graph.constants))


@pytest.mark.parametrize(("refused", "advice", "written"), FOLLOWED, ids=[each[0] for each in FOLLOWED])
def test_the_advice_can_be_followed_and_computes_the_same(refused: str, advice: str, written: str) -> None:
    with pytest.raises(RecordingError) as caught:
        record(loss_of(refused), SHAPES)
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)
    rng = np.random.default_rng(0)
    inputs = {name: np.asarray(rng.normal(size=shape)) for name, shape in SHAPES.items()}
    assert np.allclose(recorded(loss_of(written), inputs), loss_of(refused)(**inputs), rtol=1e-12, atol=0)


def test_advice_is_for_functions_without_a_word() -> None:
    assert set(FUNCTION_HINTS) & set(KNOWN) == set()


def test_an_unknown_function_gets_a_near_name_and_no_list() -> None:
    with pytest.raises(RecordingError, match=r"np\.sinc: no word .*: did you mean 'np\.sin'\? docs/vocabulary\.md"):
        record(lambda x: np.sum(np.sinc(x)), {"x": (3,)})


STATEMENTS = [
    ("acc = np.zeros(3)\nacc += x**2\nreturn np.sum(acc)", 3, r"a \+= b changes an array in place: write a = a \+ b"),
    ("acc = np.ones(3)\nacc *= x\nreturn np.sum(acc)", 3, r"write a = a \* b"),
    ("A[0] += x\nreturn np.sum(A)", 2, r"a\[i\] \+= b changes entries of an array: write np\.stack or np\.concat"),
    ("B = A * 1\nB[0] = x\nreturn np.sum(B)", 3, "cannot be replaced: write np.concatenate of pieces"),
    ("B = np.zeros((3, 3))\nB[0] = x\nreturn np.sum(B)", 3, r"pieces, or np\.where\(mask, a, b\)"),
    ("B = np.zeros(3)\nB[0] = s\nreturn np.sum(B)", 3, r"pieces, or np\.where\(mask, a, b\)"),
    ("B = np.zeros((3, 3))\nB[0] += x\nreturn np.sum(B)", 3, r"a\[i\] \+= b changes entries of an array"),
    ("return np.sum(np.eye(3)[x])", 2, r"write \(x\[\.\.\., None\] == np\.arange\(3\)\)\.astype\(float\)"),
    ("table = np.ones((3, 2))\nreturn np.sum(table[x])", 3, r"let sample give table\[x\], as an input"),
    ("return np.sum(np.array([x[0], x[1]]))", 2, "write np.stack or np.concatenate of values in the place of np.array"),
    ("return np.sum(np.linalg.eigvals(A))", 2, "np.linalg.eigvals: not recorded yet; where its matrix is constant"),
    ("return np.float64(np.sum(x**2))", 2, "leave np.float64 out"),
    ("return float(np.sum(x**2))", 2, r"leave float\(\) out"),
    ('print("%f" % np.sum(x))\nreturn s', 2, "leave the print out"),
    ('print(f"{np.mean(x):.3f}")\nreturn s', 2, "leave the print out"),
    ('text = f"{np.mean(x):.3f}"\nreturn s', 2, "no entries while it is recorded: leave the format out"),
    ("return max(x)", 2, r"write np\.max\(a\) for the largest entry"),
    ("return min(x)", 2, r"write -np\.max\(-a\) for the smallest entry"),
    ("while s > 1:\n    s = s / 2\nreturn s", 2, "write for over a fixed number of steps"),
    ("assert s > 0\nreturn s", 2, "leave the assertion out"),
    ("if s > 0:\n    return s\nreturn -s", 2, r"write np\.where\(condition, a, b\) instead of if"),
    ('return np.sum(x), {"n": 1}', 1, r"a tuple whose \[1\] is a dict: expected arrays that are computed from the"),
    ('return {"loss": np.sum(x), "n": 1}', 1, r"a dict whose \[n\] is 1: expected arrays that are computed from the"),
    ('return {"n": np.sum(x), 1: x}', 1, "the loss returns an output '1': expected names such as 'mean'"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "line", "message"), STATEMENTS)
def test_the_users_line_decides_what_to_write(tmp_path: Path, body: str, line: int, message: str) -> None:
    path = tmp_path / "problem.py"
    path.write_text(f"def loss(A, x, s):\n{indent(body, '    ')}\n")
    names: dict[str, Any] = {"np": np}
    exec(compile(path.read_text(), str(path), "exec"), names)
    with pytest.raises(RecordingError, match=message) as caught:
        record(names["loss"], SHAPES)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert "ops." not in str(caught.value)


def test_an_empty_format_shows_the_value() -> None:
    assert record(lambda x: np.sum(x * len(f"{x}")), {"x": (3,)}).nodes


@pytest.mark.parametrize("name", ["loss", "arguments", "named", "self"])
def test_an_input_may_have_any_name(name: str) -> None:
    assert record(eval(f"lambda {name}: np.sum({name})", globals()), {name: (3,)}).inputs == {name: (3,)}
