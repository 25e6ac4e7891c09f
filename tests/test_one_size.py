"""Problems of one size: `inputs()` takes no k, and no report or call has one."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

import gradcheck as api
from gradcheck import problems
from gradcheck.errors import ProblemError
from gradcheck.problems import cases
from tests.conftest import Command

SOURCE = """
import numpy as np

def inputs(): return {"x": (3, 2), "t": (3, 2)}

def sample(rng): return {"t": np.eye(2)[rng.integers(2, size=3)]}

wrt = ("x",)

def loss(ops, x, t): return ops.sum(x * t)

def mine(x, t): return np.sum(x * t), {"x": 1 * t}

gradients = {"mine": mine}
"""
REFUSED = "gradcheck: k = 3: {}/layer.py has one size, since its inputs() takes no k: expected no k\n"


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer.py"
    path.write_text(SOURCE)
    return path


def test_no_size_is_shown_in_a_report_or_its_command(gradcheck: Command, layer: Path) -> None:
    table = gradcheck("run", "layer.py")
    assert table.returncode == 0, table.stderr
    first, *_, last = table.stdout.splitlines()
    assert first == "layer.py  seed 0  float64  uniform"
    assert last == "again: gradcheck run layer.py --seed 0 --dtype float64"
    assert "Gradients" in table.stdout, "no axis is longer than 4"
    report = json.loads(gradcheck(*shlex.split(last)[2:], "--format", "json").stdout)
    assert "k" not in report["case"]
    assert np.shape(report["backends"][0]["gradients"]["x"]) == (3, 2)


def test_long_gradients_are_left_out_like_those_of_a_large_size(gradcheck: Command, layer: Path) -> None:
    layer.write_text(SOURCE.replace("(3, 2)", "(17, 2)").replace("size=3", "size=17"))
    table = gradcheck("run", "layer.py").stdout
    assert "Gradients" not in table
    assert json.loads(gradcheck("run", "layer.py", "--format", "json").stdout)["backends"][0]["gradients"] is None


def test_a_requested_size_is_refused(gradcheck: Command, layer: Path, tmp_path: Path) -> None:
    for words in (("run", "layer.py"), ("problems", "show", "layer.py")):
        done = gradcheck(*words, "--k", 3)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", REFUSED.format(tmp_path))


def test_a_size_from_python_is_refused_too(layer: Path) -> None:
    with pytest.raises(ProblemError, match=r"k = 3: .*layer.py has one size, since its inputs\(\) takes no k"):
        api.check(layer, k=3)
    api.check(layer).assert_agrees()


def test_a_size_in_a_file_or_a_variable_holds_for_problems_that_have_one(gradcheck: Command, layer: Path) -> None:
    (layer.parent / "pyproject.toml").write_text("[tool.gradcheck]\nk = 4\n")
    assert gradcheck("run", "layer.py", GRADCHECK_K="5").returncode == 0
    assert gradcheck("run", "layer.py", "--k", 3).returncode == 2


def test_the_shapes_are_shown_without_a_size(gradcheck: Command, layer: Path) -> None:
    shown = gradcheck("problems", "show", "layer.py").stdout
    assert "\n           x        3 × 2\n" in shown
    assert "k =" not in shown


def test_inputs_from_a_file_and_records_need_no_size(gradcheck: Command, layer: Path) -> None:
    inputs = {"x": np.ones((3, 2)).tolist(), "t": np.eye(2)[[0, 1, 1]].tolist()}
    (layer.parent / "inputs.json").write_text(json.dumps(inputs))
    assert gradcheck("run", "layer.py", "--inputs", "inputs.json").returncode == 0
    answer = {"loss": 3.0, "gradients": {"x": inputs["t"]}, "dtype": "float64"}
    record = {"problem": "layer.py", "inputs": inputs, "answers": {"mine": answer}}
    (layer.parent / "record.json").write_text(json.dumps(record))
    done = gradcheck("verify", "record.json")
    assert done.returncode == 0, done.stderr
    (layer.parent / "inputs.json").write_text(json.dumps({"x": [[1.0]], "t": [[1.0]]}))
    refused = gradcheck("run", "layer.py", "--inputs", "inputs.json")
    assert refused.returncode == 2
    assert "x (1, 1), t (1, 1): expected those of layer.py, x (3, 2), t (3, 2)\n" in refused.stderr


def test_several_problems_give_the_size_to_those_that_have_one(gradcheck: Command, layer: Path) -> None:
    done = gradcheck("run", "layer.py", "mlp", "-b", "mine", "-b", "numpy", "--dtype", "all", "--k", 2, "--write", "m")
    assert done.returncode == 0, done.stderr
    assert len((layer.parent / "m").read_text().splitlines()) == 9


def test_shapes_without_a_function_are_of_one_size() -> None:
    def loss(ops, x):
        return ops.sum(x * x)

    def mine(x):
        return (x * x).sum(), {"x": 2 * x}

    report = api.check(loss, inputs={"x": (5,)}, gradients={"mine": mine})
    report.assert_agrees()
    assert "--k" not in report.case.replay


def test_matrices_are_scaled_by_their_columns_where_there_is_no_size(layer: Path) -> None:
    problem = problems.load(str(layer))
    scaled = cases.sample(problem, None, 0, "float64", "unit-scaled").inputs["x"]
    assert np.array_equal(scaled, cases.sample(problem, None, 0, "float64").inputs["x"] / np.sqrt(2))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sample(rng)", "sample(rng, k)", r"sample takes \(rng, k\): expected sample\(rng\), as there is inputs\(\)"),
        ("inputs()", "inputs(k)", r"sample takes \(rng\): expected sample\(rng, k\), as there is inputs\(k\)"),
        ("inputs()", "inputs(k, n)", r"inputs takes \(k, n\): expected inputs\(k\), or inputs\(\) for one size"),
        ("rng.integers(2, size=3)", "rng.integers(2)", r"sample\(rng\)\['t'\] has shape \(2,\): expected \(3, 2\)"),
    ],
)
def test_wrong_inputs_are_refused_in_words(layer: Path, old: str, new: str, message: str) -> None:
    layer.write_text(SOURCE.replace(old, new))
    with pytest.raises(ProblemError, match=message):
        cases.sample(problems.load(str(layer)), None, 0, "float64")
