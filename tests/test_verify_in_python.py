"""`gradcheck.verify`: answers that were computed elsewhere, in Python."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import gradcheck
from gradcheck.errors import RequestError
from gradcheck.problems import cases

a = np.array([1.0, -2.0, 0.5])


def cubes(a: Any) -> Any:
    return np.sum(a**3)


def test_a_right_answer_agrees_and_a_wrong_one_differs() -> None:
    answers = {"mine": (np.sum(a**3), {"a": 3 * a**2}), "bad": {"loss": np.sum(a**3), "gradients": {"a": 3 * a}}}
    report = gradcheck.verify(cubes, inputs={"a": a}, answers=answers)
    assert [backend.verdict for backend in report.backends] == ["agrees", "differs"]
    assert (
        report.case.replay
        == f"{__file__}:{test_a_right_answer_agrees_and_a_wrong_one_differs.__code__.co_firstlineno + 2}"
    )
    with pytest.raises(AssertionError, match="dL/da is proved wrong in 2 of 3 entries"):
        report.assert_agrees()


def test_a_lambda_and_a_closure_are_losses() -> None:
    by = 2.0
    answer = {"mine": (by * np.sum(a**3), {"a": 3 * by * a**2})}
    gradcheck.verify(lambda a: by * np.sum(a**3), inputs={"a": a}, answers=answer).assert_agrees()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_an_answer_has_the_dtype_of_its_gradients(dtype: Any) -> None:
    given = a.astype(dtype)
    found = {"a": (3 * given.astype(float) ** 2).astype(dtype)}
    loss = np.sum(given.astype(float) ** 3).astype(dtype)
    report = gradcheck.verify(cubes, inputs={"a": given}, answers={"mine": (loss, found)})
    report.assert_agrees()
    assert report.case.dtype == np.dtype(dtype).name


def test_the_answer_of_a_shipped_gradient_is_verified() -> None:
    from gradcheck.problems.shipped.mlp import vectorised

    case = cases.sample(gradcheck.load_problem("mlp"), 3, 1, "float64")
    answer = vectorised(**case.inputs)
    gradcheck.verify("mlp", inputs=case.inputs, answers={"mine": answer}).assert_agrees()


def test_integers_have_no_gradient() -> None:
    labels, logits = np.array([0, 2]), np.array([[0.1, 0.2, 0.3], [1.0, -1.0, 0.0]])

    def loss(ops: Any, logits: Any, labels: Any) -> Any:
        return -ops.sum(ops.take_along_axis(ops.log_softmax(logits), labels[:, None]))

    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    value = -np.log(shares[[0, 1], labels]).sum()
    answer = (value, {"logits": shares - np.eye(3)[labels]})
    gradcheck.verify(loss, inputs={"logits": logits, "labels": labels}, answers={"mine": answer}).assert_agrees()


@pytest.mark.parametrize(
    ("problem", "inputs", "answers", "options", "expected"),
    [
        ("mlp", {"a": a}, {"mine": (1.0, {})}, {}, "verify: no input 'X' and no"),
        (cubes, {"a": a}, {"mine": (1.0, 2.0)}, {}, 'verify: mine: (1.0, 2.0): expected (loss, {"W": dL/dW, ...})'),
        (
            cubes,
            {"a": a},
            {"mine": {"loss": 1.0}},
            {},
            "verify: mine: no key 'gradients': expected the gradients by name",
        ),
        (cubes, {"a": a}, {}, {}, "verify: answers: an empty object: expected answers by name, one at least"),
        (cubes, {"a": a}, {"mine": (1.0, {"a": "x"})}, {}, "is not a number: expected an array of real numbers"),
        (
            cubes,
            {"a": a},
            {"mine": (1.0, {"a": a})},
            {"gate": "some"},
            "gate='some': expected rounding, formula or proved",
        ),
        ("mlp", {"a": a}, {"mine": (1.0, {})}, {"wrt": ["a"]}, "expected only where the problem is a function"),
    ],
)
def test_a_malformed_answer_is_refused(problem: Any, inputs: Any, answers: Any, options: Any, expected: str) -> None:
    with pytest.raises(RequestError, match=re.escape(expected)):
        gradcheck.verify(problem, inputs=inputs, answers=answers, **options)


def test_a_path_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "cubes.py"
    path.write_text("def inputs(k): return {'a': (k,)}\ndef loss(ops, a): return ops.sum(a ** 3)\n")
    gradcheck.verify(path, inputs={"a": a}, answers={"mine": (np.sum(a**3), {"a": 3 * a**2})}).assert_agrees()
