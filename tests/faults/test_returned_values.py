"""Wrong return values of a hand-written gradient: one line with its file and line, and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck import check
from gradcheck.results import Backend

HEAD = """\
import numpy as np


def inputs(k):
    return {"W": (k, k), "x": (k,)}


def loss(ops, W, x):
    h = ops.watch("h", ops.tanh(W @ x))
    return ops.sum(h * h)


wrt = ("W",)
gradients = {}
"""
RIGHT = """
def right(W, x):
    h = np.tanh(W @ x)
    return np.sum(h * h), {"W": np.outer(2 * h * (1 - h * h), x)}


gradients["right"] = right
"""
CASES = {
    "nothing": ("pass", "returned None: is a return missing?: expected (loss, "),
    "loss_alone": ("return L", "returned an array of shape (): expected (loss, "),
    "a_string": ("return 'done'", "returned 'done': expected (loss, "),
    "four_things": ("return L, {}, {}, {}", "returned 4 things: expected (loss, "),
    "tuple_of_gradients": ("return L, (dW,)", "returned a tuple of 1 things as gradients: expected (loss, "),
    "array_as_gradients": ("return L, dW", "returned an array of shape (3, 3) as gradients: expected (loss, "),
    "number_as_name": ("return L, {0: dW}", "returned 0 as a name: expected names of inputs as strings"),
    "no_array": ("return L, {'W': None}", "dL/dW is None: expected an array of real numbers"),
    "text": ("return L, {'W': 'big'}", "dL/dW is 'big': expected an array of real numbers"),
    "imaginary": (
        "return L, {'W': dW * 1j}",
        "dL/dW is an array of complex numbers: expected an array",
    ),
    "objects": ("return L, {'W': np.array([None])}", "dL/dW is an array of Python objects: expected an array of real"),
    "a_dictionary": ("return L, {'W': {'x': dW}}", "dL/dW is a dict: expected an array of real numbers"),
    "ragged": ("return L, {'W': [[1.0], [1.0, 2.0]]}", "dL/dW is a list of 2 things that is not an array"),
    "no_loss": ("return None, {'W': dW}", "the loss is None: expected a real number"),
    "a_set_of_values": ("return L, {'W': dW}, {h.sum()}", "returned a set as watched values: expected (loss, "),
}
WRONG = {
    "other_case": ("return L, {'w': dW}", "dL/dW is missing, and dL/dw is given, for which there is no input"),
    "extra": (
        "return L, {'W': dW, 'Q': dW}",
        "dL/dQ is given: Q is neither an input nor a watched value: expected gradients of W, and optionally of h",
    ),
    "not_asked_for": (
        "return L, {'W': dW, 'x': x}",
        "dL/dx is given: x is not in wrt: expected gradients of W alone",
    ),
    "unwatched": (
        "return L, {'W': dW}, {'hh': h}",
        "a value hh is given: it is not watched: did you mean 'h'? expected some of h",
    ),
}
FIRST_LINES = {"other_names": "def other_names(W, y):"}


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("returned") / "returned.py"
    source = HEAD + RIGHT
    for name, (line, _) in (CASES | WRONG).items():
        source += f"\n\ndef {name}(W, x):\n    L, h = np.sum(W @ x), x\n    dW = np.outer(x, x)\n    {line}\n"
        source += f"\n\ngradients[{name!r}] = {name}\n"
    source += "\n\ndef other_names(W, y):\n    return 1.0, {'W': W}\n\n\ngradients['other_names'] = other_names\n"
    path.write_text(source)
    return path


@pytest.fixture(scope="module")
def rows(problem: Path) -> dict[str, Backend]:
    backends = ["right", *CASES, *WRONG, "other_names"]
    return {row.name: row for row in check(problem, backends=backends).backends}


def line_of(problem: Path, name: str) -> str:
    return f"{problem}:{1 + problem.read_text().splitlines().index(FIRST_LINES.get(name, f'def {name}(W, x):'))}"


@pytest.mark.parametrize("name", CASES)
def test_invalid_answers_are_named_with_file_and_line(problem: Path, rows: dict[str, Backend], name: str) -> None:
    assert rows[name].verdict == "crashed"
    assert str(rows[name].reason).startswith(f"{line_of(problem, name)}: {name}: {CASES[name][1]}")


def test_the_message_about_a_function_of_other_inputs_names_them(problem: Path, rows: dict[str, Backend]) -> None:
    where = line_of(problem, "other_names")
    assert rows["other_names"].reason == f"{where}: other_names: takes (W, y): expected (W, x), the inputs"


@pytest.mark.parametrize("name", WRONG)
def test_unrequested_arrays_are_named(rows: dict[str, Backend], name: str) -> None:
    assert (rows[name].verdict, rows[name].reason) == ("differs", WRONG[name][1])


def test_the_right_one_beside_them_agrees(rows: dict[str, Backend]) -> None:
    assert rows["right"].verdict == "agrees"
