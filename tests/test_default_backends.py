"""The backends of a run that names none: those of the problem's file, else its own gradients."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradcheck import problems
from gradcheck.errors import RequestError
from gradcheck.execution import selection
from tests.conftest import Command

LOSS = "def inputs(k): return {'a': (k,)}\ndef loss(ops, a): return ops.sum(a * a)\n"
MINE = f"{LOSS}def mine(a): return (a * a).sum(), {{'a': 2 * a}}\ngradients = {{'mine': mine}}\n"


def backends_of(folder: Path, source: str, device: str = "cpu") -> list[str]:
    (folder / "layer.py").write_text(source)
    return [each.key for each in selection.choose((), problems.load(str(folder / "layer.py")), device)]


def test_only_the_files_own_gradients_run(tmp_path: Path) -> None:
    assert backends_of(tmp_path, MINE) == ["mine"]


def test_a_file_names_the_backends_of_a_run(tmp_path: Path) -> None:
    assert backends_of(tmp_path, MINE + "backends = ('torch==2.6.0', 'mine')\n") == ["torch==2.6.0", "mine"]


def test_engines_of_a_file_without_the_device_are_left_out(tmp_path: Path) -> None:
    assert backends_of(tmp_path, MINE + "backends = ['mine', 'torch', 'mxnet']\n", "cuda") == ["mine", "torch"]
    assert backends_of(tmp_path, LOSS + "backends = ['mxnet']\n", "cuda") == ["mxnet"]


def test_shipped_problems_run_torch_and_another_engine_too() -> None:
    for name, path in problems.names().items():
        if path.parent == problems.FOLDER:
            problem = problems.load(name)
            assert problem.backends in [(*problem.gradients, "torch", each) for each in ("mxnet", "jax")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "",
            "has no gradients of its own and names no backends: expected -b torch, for example, or "
            'backends = ("torch",) in the file; in Python backends=["torch"]\n',
        ),
        ("backends = ()", "has no gradients of its own and names no backends: expected -b torch"),
        ("backends = 'torch'", """backends is 'torch': expected a tuple of names, such as ("mine", "torch")"""),
        ("backends = (3,)", "backends is (3,): expected a tuple of names"),
        ("backends = ('toch',)", "backends: backend 'toch': unknown: did you mean 'torch'?"),
        ("backends = ('torch', 'torch')", "backends: backend 'torch': named twice"),
        ("backends = ('torch=2',)", "backends: backend 'torch=2': expected NAME, NAME==VERSION"),
    ],
)
def test_invalid_backends_are_refused_in_one_line(gradcheck: Command, tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "layer.py").write_text(f"{LOSS}{line}\n")
    done = gradcheck("run", "layer.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gradcheck: {tmp_path / 'layer.py'}: {message}")
    assert done.stderr.count("\n") == 1


def test_named_backends_replace_those_of_the_file(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "layer.py").write_text(MINE + "backends = ('toch',)\n")
    done = gradcheck("run", "layer.py", "-b", "mine", "--format", "json")
    assert [backend["name"] for backend in json.loads(done.stdout)["backends"]] == ["mine"]


def test_a_run_of_many_cases_has_the_backends_that_each_file_names(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "layer.py").write_text(MINE)
    (tmp_path / "bare.py").write_text(LOSS)
    done = gradcheck("run", "layer.py", "--dtype", "float64,float32", "--write", "m.txt")
    assert done.returncode == 0, done.stderr
    [_, _, outcome] = (tmp_path / "m.txt").read_text().splitlines()
    assert outcome.startswith("layer.py float64 mine agrees ")
    refused = gradcheck("run", "layer.py", "bare.py")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "bare.py: has no gradients of its own and names no backends" in refused.stderr


def test_the_message_names_no_file_if_the_user_named_the_backend(tmp_path: Path) -> None:
    (tmp_path / "layer.py").write_text(MINE)
    with pytest.raises(RequestError, match=r"^backend 'toch': unknown"):
        selection.choose(("toch",), problems.load(str(tmp_path / "layer.py")))
