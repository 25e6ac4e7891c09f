"""Coverage: the report counts which branches of the loss its inputs take, and names those that they do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradcheck
from gradcheck.judging.coverage import Coverage
from gradcheck.results import Report
from tests.conftest import FAKES, Command

HUBER = FAKES / "huber.py"


def counts(report: Report) -> dict[str, tuple[int, int]]:
    """The counts of true and false by the condition."""
    return {each.text: (each.true, each.false) for each in report.conditions}


def of_loss(loss: Callable[..., Any], **inputs: Any) -> dict[str, tuple[int, int]]:
    arrays = {name: np.asarray(array) for name, array in inputs.items()}
    floating = [name for name, array in arrays.items() if array.dtype.kind == "f"]
    answer = (0.0, {name: np.zeros(arrays[name].shape) for name in floating})
    return counts(gradcheck.verify(loss, inputs=arrays, answers={"mine": answer}))


def test_a_wrong_branch_that_is_never_taken_agrees_and_the_report_says_so() -> None:
    report = gradcheck.check(HUBER, k=4)
    line = 1 + next(n for n, text in enumerate(HUBER.read_text().splitlines()) if "return np.sum" in text)
    assert report.verdict == "agree"
    assert report.untried() == [f"  not tried: `a > 2.25` (huber.py:{line}) was true in 0 of 4 entries"]
    assert report.untried()[0] in report.finding().splitlines()


def test_the_wrong_branch_differs_where_it_is_taken_and_then_nothing_is_missing() -> None:
    report = gradcheck.check(HUBER, k=4, scale=4.0, seed=2)
    assert report.verdict == "differ"
    assert counts(report)["a > 2.25"][0] > 0
    assert report.untried() == []


def test_the_table_and_the_json_report_have_the_branch(gradcheck: Command) -> None:
    printed = gradcheck("run", HUBER, "--k", "4").stdout.splitlines()
    agree = printed.index("agree: every backend agrees")
    assert printed[agree + 1].startswith("  not tried: `a > 2.25` (huber.py:")
    [branch] = [
        each
        for each in json.loads(gradcheck("run", HUBER, "--k", "4", "--format", "json").stdout)["conditions"]
        if each["text"] == "a > 2.25"
    ]
    assert (branch["true"], branch["false"], branch["shown"]) == (0, 4, "huber.py")


X = np.array([-2.0, -0.5, 0.0, 0.5, 3.0])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda x: np.sum(np.maximum(x, 0.25)), {"x > 0.25": (2, 3)}),
        (lambda x: np.sum(np.minimum(2 * x, 1)), {"2 * x < 1": (3, 2)}),
        (lambda x: np.sum(np.clip(x, -1, 1)), {"x < -1": (1, 4), "x > 1": (1, 4)}),
        (lambda x: np.sum(x.clip(max=1)), {"x > 1": (1, 4)}),
        (lambda x: np.sum(abs(x)), {"x > 0": (2, 3)}),
        (lambda ops, x: ops.sum(ops.relu(x - 1)), {"x - 1 > 0": (1, 4)}),
        (lambda ops, x: ops.sum(ops.leaky_relu(x)), {"x > 0": (2, 3)}),
        (lambda x: np.sum(np.where(x <= 0.5, x, 1)), {"x <= 0.5": (4, 1)}),
        (lambda x: np.sum(np.where(~(x > 0), x, 1)), {"x > 0": (2, 3)}),
        (
            lambda x: np.sum(np.where((x > 0) & (x < 1), x, 1)),
            {"x > 0": (2, 3), "x < 1": (4, 1), "(x > 0) & (x < 1)": (1, 4)},
        ),
        (lambda x: np.sum(np.where(np.arange(5) > 2, x, 1)), {}),
        (lambda x: np.sum(np.tanh(x)), {}),
    ],
)
def test_each_condition_is_counted_by_its_own_words(loss: Callable[..., Any], expected: dict[str, Any]) -> None:
    assert of_loss(loss, x=X) == expected


def test_masks_and_labels_that_a_problem_gives_are_counted() -> None:
    def loss(ops: Any, x: Any, mask: Any, label: Any) -> Any:
        chosen = ops.where(label == 1, x, 0)
        return ops.sum(ops.where(mask, chosen, x))

    mask, label = np.array([True, True, False, True, True]), np.array([0, 1, 2, 3, 1])
    assert of_loss(loss, x=X, mask=mask, label=label) == {"label == 1": (2, 3), "mask": (4, 1)}


def test_a_line_in_a_loop_is_one_condition() -> None:
    def loss(x: Any) -> Any:
        for shift in (0.0, 1.0, 10.0):
            x = np.maximum(x, 0) + shift
        return np.sum(x)

    assert of_loss(loss, x=X) == {"x > 0": (2 + 2 + 5, 3 + 3 + 0)}


def test_where_a_line_does_not_show_the_condition_the_word_stands_for_it() -> None:
    choose = np.maximum
    assert of_loss(lambda x: np.sum(choose(x, 1.0)), x=X) == {"maximum: a > b": (1, 4)}


def test_cases_add_up() -> None:
    whole = Coverage()
    reports = [gradcheck.check(HUBER, k=k, scale=scale) for k, scale in ((4, 1.0), (3, 4.0))]
    whole.add(reports[0].conditions)
    assert [branch for branch in whole.untried if "2.25" in branch]
    for report in reports[1:]:
        whole.add(report.conditions)
    found = {each.text: (each.true, each.false) for each in whole.conditions}
    parts = [counts(report)["a > 2.25"] for report in reports]
    assert found["a > 2.25"] == tuple(map(sum, zip(*parts)))
    assert sum(found["a > 2.25"]) == 7
    assert not whole.untried


def test_many_branches_take_four_lines() -> None:
    def loss(x: Any) -> Any:
        a = np.maximum(x, 100)
        b = np.maximum(x, 200)
        c = np.maximum(x, 300)
        d = np.maximum(x, 400)
        return np.sum(a + b + c + d)

    report = gradcheck.verify(loss, inputs={"x": X}, answers={"mine": (5000.0, {"x": np.zeros(5)})})
    assert report.verdict == "agree"
    assert len(report.untried()) == 4
    assert report.untried()[-1] == "  not tried: 1 more branch"
