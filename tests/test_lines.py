"""Every step has a line: of the hand-written gradient that is wrong, else of the loss."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import gradcheck
from gradcheck.findings import Source
from gradcheck.problems.lines import lines_of
from tests.conformance.test_third_party import COSINE, DISTRIBUTION, install
from tests.conftest import Command

LAYER = '''"""A layer in plain NumPy."""
import numpy as np


def inputs(k):
    return {"A": (k, k), "B": (k, k), "x": (k,)}


def loss(A, B, x):
    y = A @ x
    z = np.cos(y) + B @ x
    return np.sum(z**2)


def mine(A, B, x):
    y = A @ x
    z = np.cos(y) + B @ x
    dz = 2 * z
    dy = dz * np.sin(y)
    dA, dB = np.outer(dy, x), np.outer(dz, x)
    return np.sum(z**2), {"A": dA, "B": dB, "x": A.T @ dy + B.T @ dz, "y": dy, "z": dz}


gradients = {"mine": mine}
'''
DY = LAYER.splitlines().index("    dy = dz * np.sin(y)") + 1


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer.py"
    path.write_text(LAYER)
    return path


def test_a_finding_shows_the_line_of_the_hand_written_gradient(gradcheck: Command, layer: Path) -> None:
    done = gradcheck("run", layer, "--k", 2)
    assert "  first wrong: dL/dy[" in done.stdout
    assert f"           at: layer.py:{DY}  dy = dz * np.sin(y)\n" in done.stdout


def test_the_json_report_has_the_line_with_its_file(gradcheck: Command, layer: Path) -> None:
    [mine] = json.loads(gradcheck("run", layer, "--k", 2, "--format", "json").stdout)["backends"]
    assert mine["first_wrong"]["source"] == {"file": str(layer), "line": DY, "text": "dy = dz * np.sin(y)"}


@pytest.fixture(scope="module")
def wrong_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine whose derivative of cos has the wrong sign."""
    copy = tmp_path_factory.mktemp("wrong") / "copy"
    shutil.copytree(DISTRIBUTION, copy)
    module = copy / "gradcheck_tape.py"
    source = module.read_text()
    assert source.count(COSINE) == 1
    module.write_text(source.replace(COSINE, '"cos": lambda a, v: np.sin(a)'))
    return install(copy, tmp_path_factory.mktemp("installed"))


UNNAMED = LAYER.replace(
    "    z = np.cos(y) + B @ x\n    return np.sum(z**2)", "    return np.sum((np.cos(A @ x) + B @ x)**2)"
)


def test_watch_all_finds_the_first_wrong_step_of_an_engine_without_names(
    gradcheck: Command, tmp_path: Path, wrong_engine: Path
) -> None:
    path = tmp_path / "unnamed.py"
    path.write_text(UNNAMED.replace("    y = A @ x\n    return", "    return"))
    words = ("run", path, "--k", 2, "-b", "tape", "--format", "json")
    named, everything = (
        json.loads(gradcheck(*words, *more, PYTHONPATH=str(wrong_engine)).stdout)["backends"][0]
        for more in ((), ("--watch", "all"))
    )
    assert named["first_wrong"]["kind"] == "gradient"
    assert everything["first_wrong"]["kind"] == "adjoint"
    assert everything["first_wrong"]["name"].startswith("matmul")
    assert everything["first_wrong"]["source"]["text"] == "return np.sum((np.cos(A @ x) + B @ x)**2)"


def test_the_command_that_runs_again_watches_as_much(gradcheck: Command, layer: Path) -> None:
    done = gradcheck("run", layer, "--k", 2, "--watch", "all")
    assert done.stdout.splitlines()[-1].endswith("--watch all")


def by_dict(x):
    grads = {}
    h = x * 2
    grads["x"] = h + 1
    dh = h
    dh = dh * 3
    grads["h"] = dh
    return (h * h).sum(), grads, {"h": h}


def by_loop(x):
    total, dx = 0.0, x * 0
    for t in range(3):
        dx[t] += 2 * x[t]
    return total, {"x": dx}


def by_branches(x):
    if x.size == 0:
        return 0.0, {"x": x}
    for _ in range(2):
        dx = x
    loss, dx = x @ x, 2 * x

    def inner(y):
        dx = y
        return y, {"x": dx}

    assert inner(x)
    return loss, {"x": dx}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (by_dict, {("loss", None): 7, ("gradient", "x"): 3, ("adjoint", "h"): 5, ("value", "h"): 2}),
        (by_loop, {("loss", None): 1, ("gradient", "x"): 3}),
        (by_branches, {("loss", None): 5, ("gradient", "x"): 5}),
        (lambda x: (x, {"x": x}), {}),
        (len, {}),
    ],
)
def test_lines_of_gradients_in_other_styles(function, expected) -> None:
    first = function.__code__.co_firstlineno if hasattr(function, "__code__") else 0
    assert {key: line - first for key, (line, _) in lines_of(function, {"x": ()}).items()} == expected


GAIN = np.array([1.0, 2.0])


def gained(A, x):
    y = A @ x
    return np.sum((y * GAIN) ** 2)


def wrong(A, x):
    y = A @ x
    dy = y * GAIN**2
    return np.sum((y * GAIN) ** 2), {"A": np.outer(dy, x), "y": dy}


def crashing(A, x):
    raise ValueError("no")


def test_functions_have_the_lines_of_their_own_file() -> None:
    shapes, gradients = {"A": (2, 2), "x": (2,)}, {"wrong": wrong, "crashing": crashing}
    report = gradcheck.check(gained, inputs=shapes, wrt=["A"], gradients=gradients, backends=["wrong", "crashing"])
    first = wrong.__code__.co_firstlineno
    assert report.backends[0].first_wrong.source == Source(file=__file__, line=first + 2, text="dy = y * GAIN**2")
    assert report.backends[1].reason == f"{__file__}:{crashing.__code__.co_firstlineno + 1}: ValueError: no"
