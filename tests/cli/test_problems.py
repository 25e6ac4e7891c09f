"""Listing, showing and starting problems, and messages about a wrong file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Command


def test_the_list_has_names_and_titles(gradcheck: Command) -> None:
    printed = gradcheck("problems").stdout
    assert "sigmoid_skip             Sigmoid branch plus linear skip: L = ‖C(σ(Ax) + Bx)‖²." in printed.splitlines()


def test_a_group_lists_with_its_name_alone_and_with_list(gradcheck: Command) -> None:
    for group in ("problems", "backends"):
        listed = gradcheck(group, "list")
        assert listed.returncode == 0
        alone = gradcheck(group).stdout
        assert listed.stdout.split("\n\n")[0] == alone.split("\n\n")[0]  # ages of environments come after


def test_one_problem_is_shown_with_its_shapes(gradcheck: Command) -> None:
    printed = gradcheck("problems", "show", "sigmoid_skip", "--k", "5").stdout
    assert "k = 5      A        5 × 5\n" in printed
    assert "           x        5  (no gradient)\n" in printed
    assert "gradients  manual, numpy\nbackends   manual, numpy, torch, mxnet\n" in printed


def test_the_starting_file_passes_and_is_never_overwritten(gradcheck: Command, tmp_path: Path) -> None:
    done = gradcheck("problems", "new", "layer.py")
    assert done.returncode == 0
    assert "gradcheck run layer.py" in done.stdout
    ran = gradcheck("run", "layer.py", "-b", "mine", "--k", 8, "--dtype", "float32")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (tmp_path / "layer.py").write_text("mine")
    again = gradcheck("problems", "new", "layer.py")
    assert again.returncode == 2
    assert "layer.py: File exists" in again.stderr
    assert (tmp_path / "layer.py").read_text() == "mine"
    assert gradcheck("problems", "new", "layer.txt").returncode == 2
    missing = gradcheck("problems", "new", "sub/layer.py")
    assert missing.returncode == 2
    assert "sub/layer.py: no folder sub: expected one; write mkdir -p sub" in missing.stderr


def test_a_problem_without_a_docstring_is_shown_without_an_empty_line(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(LOSS.replace("LOSS", "ops.sum(a)"))
    assert gradcheck("problems", "show", "plain.py").stdout.startswith("file ")


LOSS = "def inputs(k): return {'a': (k,), 'b': (k, 2)}\n\n\ndef loss(ops, a, b):\n    return LOSS\n"


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("ops.frobnicate(a)", "problem.py:5: unknown operation ops.frobnicate"),
        (
            "ops.sum(__import__('numpy').tanh(a))",
            "a NumPy function received a value of the problem: write words of ops alone",
        ),
        ("ops.sum(ops.matmul(a, a + b))", "problem.py:5: "),
        ("a > 0", "the loss returns a condition: expected one number, computed from the inputs with words of ops"),
        (
            "3.0",
            "the loss returns 3.0, which does not depend on the inputs: expected one number, computed from the inputs",
        ),
        ("ops.sum(ops.watch('a', a + a))", "problem.py:5: the name 'a' is taken"),
        ("ops.sum(a) if ops.sum(a) > 0 else ops.sum(b)", "write ops.where(condition, a, b) instead of if"),
        ("undefined", "NameError"),
    ],
)
def test_a_loss_that_cannot_be_recorded_is_refused_by_file_and_line(
    gradcheck: Command, tmp_path: Path, loss: str, message: str
) -> None:
    (tmp_path / "problem.py").write_text(LOSS.replace("LOSS", loss))
    done = gradcheck("run", "problem.py", "-b", "torch")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "problem.py:5" in done.stderr or "problem.py:4" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_nothing_is_built_for_a_request_that_is_wrong(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "problem.py").write_text(LOSS.replace("LOSS", "ops.frobnicate(a)"))
    done = gradcheck("run", "problem.py", "-b", "torch", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "cache").exists()


def test_a_gradient_of_an_unknown_name_is_reported(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "problem.py").write_text(
        LOSS.replace("LOSS", "ops.sum(a * a)")
        + "def mine(a, b): return (a * a).sum(), {'a': 2 * a, 'b': 0 * b, 'q': a}\ngradients = {'mine': mine}\n"
    )
    done = gradcheck("run", "problem.py", "-b", "mine")
    assert done.returncode == 1
    printed = " ".join(done.stdout.split())
    assert "mine: differs (proved): dL/dq is given: q is neither an input nor a watched value: expected" in printed
