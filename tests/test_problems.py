"""Problem files that are wrong are refused in one line that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck import problems
from gradcheck.errors import ProblemError
from gradcheck.problems.sampling import wrt_of

GOOD = "def inputs(k): return {'a': (k,)}\ndef loss(ops, a): return ops.sum(a)\n"


def test_shipped_problems_load() -> None:
    for name, problem in problems.described():
        assert isinstance(problem, problems.Problem), name
        assert problem.title


def test_a_missing_wrt_means_every_input(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    problem = problems.load(str(path))
    assert wrt_of(problem, 1) == ("a",)
    assert not (tmp_path / "__pycache__").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def inputs(k): return {'a': (k,)}\n", "no function 'loss'"),
        ("def loss(ops): pass\n", "no function 'inputs'"),
        ("def loss(:\n", ":1: invalid syntax"),
        ("import no_such_module\n", "loading raised ModuleNotFoundError: No module named 'no_such_module'"),
        (GOOD + "wrt = ('b',)\n", "wrt names 'b': expected some of a"),
        (GOOD + "wrt = ()\n", "wrt is empty"),
        (GOOD + "wrt = 'a'\n", r"wrt is 'a': expected a tuple of names, such as \('a',\)"),
        (GOOD + "gradients = {'mine': 3}\n", "gradients is"),
        ("def inputs(k): return {'a': (k / 2,)}\ndef loss(ops, a): pass\n", r"inputs\(1\)\['a'\] is \(0.5,\)"),
        ("def inputs(k): return {}\ndef loss(ops): pass\n", r"inputs\(1\) is empty"),
        (
            "def inputs(k): return {'a': k}\ndef loss(ops, a): pass\n",
            r"\['a'\] is 1: expected a tuple of sizes",
        ),
        (
            "def inputs(k): return [(k,)]\ndef loss(ops, a): pass\n",
            r"inputs\(1\) is \[.*: expected a mapping",
        ),
        (f"{GOOD}gradients = loss\n", r"gradients is <function.*: expected .*such as \{'mine': backward\}"),
        ("def inputs(k): return 1 / 0\ndef loss(ops): pass\n", r"inputs\(1\) raised ZeroDivisionError"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, source: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(ProblemError, match=message) as refusal:
        problems.load(str(path))
    assert str(path) in str(refusal.value)


def test_an_unknown_problem_is_refused() -> None:
    with pytest.raises(ProblemError, match=r"problem 'nope': unknown: expected .*sigmoid_skip"):
        problems.load("nope")
    with pytest.raises(ProblemError, match=r"problem 'nope.py': no such file"):
        problems.load("nope.py")
