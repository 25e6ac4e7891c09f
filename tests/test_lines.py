"""Every step has a line: of the hand-written gradient that is wrong, else of the loss."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradcheck
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
    source = {"file": str(layer), "shown": "layer.py", "line": DY, "text": "dy = dz * np.sin(y)"}
    assert mine["first_wrong"]["source"] == {**source, "of": "gradient", "instead": False}


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


def without_names(text: str) -> str:
    named = "    y = A @ x\n    z = np.cos(y) + B @ x\n    return np.sum(z**2)\n"
    return text.replace(named, "    return np.sum((np.cos(A @ x) + B @ x)**2)\n")


def test_watch_all_finds_the_first_wrong_step_of_an_engine_without_names(
    gradcheck: Command, tmp_path: Path, wrong_engine: Path
) -> None:
    path = tmp_path / "unnamed.py"
    path.write_text(without_names(LAYER))
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
    assert any(each.startswith("again: ") and each.endswith("--watch all") for each in done.stdout.splitlines())


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
    assert {key: found.line - first for key, found in lines_of(function, ["x"]).items()} == expected


def helper(x):
    value, dh = x @ x, 2 * x
    dx = dh * 3
    return value, {"x": dx, "h": dh, "z": x}, [dx, dh]


def backward_of(h):
    dx = 2 * h
    dh = 3 * h
    return dx, dh


def same(grads):
    return grads


NAMES = ("x", "h")


class Layer:
    def __init__(self, x):
        self.x, self.grads = x, {}

    def backward(self):
        self.zero()
        self.grads["x"] += 2 * self.x
        self.dh = 3 * self.x

    def zero(self):
        self.grads = {"x": 0 * self.x}


class Net:
    def __init__(self, x):
        self.layer = Layer(x)

    def gradients(self):
        self.layer.backward()
        return {**self.layer.grads, "h": self.layer.dh}


def by_wrapper(x):
    value, grads = helper(x)[:2]
    return value, {name: grads[name] for name in NAMES}


def by_comprehension(x):
    value, grads, _ = helper(x)
    return value, {name: each for name, each in grads.items() if each is not x}


def by_unknown_names(x):
    value, grads, _ = helper(x=x)
    names = sorted(grads)
    return value, {name: grads[name] for name in names}


def by_zip(x):
    value, _, grads = helper(x)
    return value, dict(x=grads[0], h=grads[-1])  # noqa: C408


def by_items(x):
    grads = helper(x)[1]
    return 0.0, dict(grads.items())


def by_update(x):
    grads = {"h": x}
    grads.update(helper(x)[1])
    grads["x"] *= 2
    return 0.0, same(grads)


def by_copies(x):
    grads = dict()  # noqa: C408
    for name in NAMES:
        grads[name] = helper(x)[1][name]
    return 0.0, grads.copy()


def by_scaled_copies(x):
    grads = {}
    for name, each in helper(x)[1].items():
        grads[name] = 2 * each
    return 0.0, grads


def by_union(x):
    grads = {"x": x} | helper(x)[1]
    grads |= {"h": 3 * x}
    return 0.0, grads


def by_parts(x):
    value = x @ x
    dx, dh = backward_of(x)
    return value, {"x": dx, "h": dh}


def by_object(x):
    layer = Layer(x)
    layer.backward()
    return 0.0, {**layer.grads, "h": layer.dh}


def by_object_in_object(x):
    return 0.0, Net(x).gradients()


def by_recursion(x):
    return by_recursion(x)


def by_itself(x):
    grads = by_itself(x)[1]
    grads = same(grads)
    return 0.0, grads


def by_long_chain(x):
    grads = {"x": 2 * x}
    grads = same(same(same(same(grads))))
    grads = same(same(same(same(grads))))
    grads = same(same(same(same(grads))))
    return 0.0, grads


def by_numbers(x):
    grads, values = dict[str, object](), {"z9": x}
    for t in range(2):
        dh = 3 * x
        grads |= {f"h{t}": dh, f"other{t}": 2 * x}
        grads[f"y{t}"] = 4 * x
    grads["x"] = 5 * x
    return 0.0, grads, values


HELPED = {"x": "dx = dh * 3", "h": "value, dh = x @ x, 2 * x"}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (by_wrapper, HELPED),
        (by_comprehension, HELPED | {"z": "x"}),
        (by_unknown_names, HELPED),
        (by_zip, HELPED),
        (by_items, HELPED | {"z": "x"}),
        (by_update, HELPED | {"x": 'grads["x"] *= 2', "z": "x"}),
        (by_copies, HELPED),
        (by_scaled_copies, dict.fromkeys("xh", "grads[name] = 2 * each")),
        (by_union, HELPED | {"h": "3 * x", "z": "x"}),
        (by_parts, {"x": "dx = 2 * h", "h": "dh = 3 * h"}),
        (by_object, {"x": 'self.grads["x"] += 2 * self.x', "h": "self.dh = 3 * self.x"}),
        (by_object_in_object, {"x": 'self.grads["x"] += 2 * self.x', "h": "self.dh = 3 * self.x"}),
        (by_recursion, {}),
        (by_itself, {}),
        (by_long_chain, {"x": "2 * x"}),
    ],
)
def test_an_entry_is_followed_to_the_line_that_assigns_it(function, expected) -> None:
    found = lines_of(function, ["x", "h"])
    assert {name: line.text for (kind, name), line in found.items() if kind != "loss"} == expected
    assert {line.file for line in found.values()} <= {__file__}


def test_keys_with_a_number_are_followed_to_the_line_that_assigns_all_of_them() -> None:
    found = lines_of(by_numbers, ["x"], ["h0", "h1", "y0", "y1", "z9"])
    assert {name: line.text for (kind, name), line in found.items() if kind != "loss"} == {
        "h0": "dh = 3 * x",
        "h1": "dh = 3 * x",
        "y0": 'grads[f"y{t}"] = 4 * x',
        "y1": 'grads[f"y{t}"] = 4 * x',
        "x": 'grads["x"] = 5 * x',
        "z9": "x",
    }


OPS = """import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))
"""
MODEL = """import numpy as np

from .ops import sigmoid


def forward(G, x):
    g = sigmoid(G @ x)
    return g, g * g


def loss(G, x):
    g, h = forward(G, x)
    return np.sum(h)


def grad(G, x):
    g, h = forward(G, x)
    dg = 2 * g
    return np.sum(h), {"G": np.outer(dg * (1 - g), x), "x": G.T @ (dg * g * (1 - g)), "g": dg}
"""
CHECK = """import numpy as np

import mymodel.model as m
from mymodel.model import loss


def inputs(k):
    return {"G": (k, k), "x": (k,)}


def mine(G, x):
    value, grads = m.grad(G, x)
    return value, {name: grads[name] for name in ("G", "x")}


def hidden(G, x):
    value, grads = m.grad(G, x)
    return value, {name: grads[name] for name in ("G", "x")} if True else {}


def watching(G, x):
    value, grads = m.grad(G, x)
    return value, grads, {"g": 2 * m.forward(G, x)[0]}


gradients = {"mine": mine, "hidden": hidden, "watching": watching}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {"mymodel/ops.py": OPS, "mymodel/model.py": MODEL, "checks/check.py": CHECK}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def line(text: str, part: str) -> int:
    [found] = [number for number, each in enumerate(text.splitlines(), 1) if part in each]
    return found


def test_a_line_in_another_file_has_a_path_that_can_be_opened(gradcheck: Command, project: Path) -> None:
    words = ("run", "checks/check.py", "--k", 2, "-b", "mine")
    done = gradcheck(*words)
    number = line(MODEL, "np.outer")
    assert f"           at: mymodel/model.py:{number}  np.outer(dg * (1 - g), x)\n" in done.stdout
    command = [sys.executable, "-m", "gradcheck", "run", "check.py", "--k", "2", "-b", "mine"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(project), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=project / "checks", check=False)
    assert f"           at: ../mymodel/model.py:{number}  np.outer(dg * (1 - g), x)\n" in done.stdout


def test_a_line_of_the_loss_is_called_so_where_that_of_the_gradient_is_unknown(
    gradcheck: Command, project: Path
) -> None:
    done = gradcheck("run", "checks/check.py", "--k", 2, "-b", "hidden")
    assert f"      loss at: mymodel/model.py:{line(MODEL, 'g = sig')}  g = sigmoid(G @ x)\n" in done.stdout
    report = gradcheck("run", "checks/check.py", "--k", 2, "-b", "hidden", "--format", "json")
    source = json.loads(report.stdout)["backends"][0]["first_wrong"]["source"]
    assert (source["of"], source["instead"]) == ("loss", True)


def test_a_line_of_the_loss_needs_no_such_words_for_an_engine(wrong_engine: Path, gradcheck: Command, layer) -> None:
    done = gradcheck("run", layer, "--k", 2, "-b", "tape", PYTHONPATH=str(wrong_engine))
    assert "           at: layer.py:" in done.stdout
    assert "your gradient" not in done.stdout
    assert "narrow it" not in done.stdout


def test_a_variable_that_a_helper_computes_has_the_line_of_its_assignment(gradcheck: Command, project: Path) -> None:
    (project / "checks/check.py").write_text('wrt = ("G",)\n\n\n' + CHECK.replace('("G", "x")}', '("G",)}'))
    words = ("run", "checks/check.py", "--k", 2, "--format", "json")
    done = gradcheck(*words, "-b", "mine")
    narrow = json.loads(done.stdout)["backends"][0]["first_wrong"]["narrow"]
    first = line(MODEL, "g = sigmoid")
    assert narrow == f'return adjoints too: "g" (mymodel/model.py:{first}), "h" (:{first + 1})'


ONLY_GRADIENTS = LAYER.replace(', "x": A.T @ dy + B.T @ dz, "y": dy, "z": dz', ', "x": A.T @ dy + B.T @ dz')


def test_without_adjoints_the_report_names_variables_between_which_to_look(gradcheck: Command, layer: Path) -> None:
    layer.write_text(ONLY_GRADIENTS)
    lines = gradcheck("run", layer, "--k", 2).stdout.splitlines()
    [narrow] = [line for line in lines if "narrow it" in line]
    assert narrow == '    narrow it: return adjoints too: "y" (layer.py:10)'  # dL/dB is right, so dL/dz is
    layer.write_text(ONLY_GRADIENTS.replace("2 * z", "2.1 * z"))
    both = 'narrow it: return adjoints too: "y" (layer.py:10), "z" (:11)\n'
    assert both in gradcheck("run", layer, "--k", 2).stdout
    layer.write_text(ONLY_GRADIENTS.replace("B.T @ dz}", 'B.T @ dz, "z": dz}'))
    assert 'narrow it: return adjoints too: "y" (layer.py:10)\n' in gradcheck("run", layer, "--k", 2).stdout
    layer.write_text(ONLY_GRADIENTS.replace("* np.sin", "* -np.sin").replace("dz}", 'dz + 1, "y": dy}'))
    assert "narrow it" not in gradcheck("run", layer, "--k", 2).stdout  # dL/dA and dL/dB are right
    layer.write_text(ONLY_GRADIENTS.replace("* np.sin", "* -np.sin").replace("outer(dy, x)", "outer(dy, 2 * x)"))
    layer.write_text(layer.read_text().replace("dz}", 'dz + 1, "y": dy}').replace("outer(dz, x)", "outer(dz, 3 * x)"))
    assert "first wrong: dL/dA[" in gradcheck("run", layer, "--k", 2).stdout
    assert "narrow it" not in gradcheck("run", layer, "--k", 2).stdout
    layer.write_text(LAYER)
    assert "narrow it" not in gradcheck("run", layer, "--k", 2).stdout


@pytest.mark.parametrize(
    ("gradient", "is_narrowed"),
    [
        ("np.outer(dz * np.sin(y), x)", True),
        ("dA", True),
        ("np.outer(twice(z) * np.sin(y), x)", True),
        ("np.outer(2 * z * np.sin(y), x[:])", False),
    ],
    ids=["of another line's adjoint", "in place", "through a function", "all on one line"],
)
def test_a_line_that_is_all_of_the_gradient_is_not_narrowed(
    gradcheck: Command, layer: Path, gradient: str, is_narrowed: bool
) -> None:
    in_place = "dA = np.zeros((2, 2))\n    dA += np.outer(dy, x)\n    dB = "
    source = ONLY_GRADIENTS.replace("dA, dB = np.outer(dy, x), ", in_place) + "\n\ndef twice(a): return 2 * a\n"
    layer.write_text(source.replace('"A": dA, "B": dB', f'"A": {gradient}, "B": -dB'))
    done = gradcheck("run", layer, "--k", 2, "--format", "json")
    first = json.loads(done.stdout)["backends"][0]["first_wrong"]
    assert first["name"] == "A"
    assert (first["narrow"] is not None) == is_narrowed


@pytest.mark.parametrize("has_names", [True, False], ids=["with names", "without names"])
def test_a_line_whose_operands_a_right_gradient_confirms_is_not_narrowed(
    gradcheck: Command, layer: Path, has_names: bool
) -> None:
    source = ONLY_GRADIENTS if has_names else without_names(ONLY_GRADIENTS)
    layer.write_text(source.replace("np.outer(dz, x)", "2 * np.outer(dz, x)").replace("* np.sin", "* -np.sin"))
    printed = gradcheck("run", layer, "--k", 2).stdout
    assert "first wrong: dL/dB[" in printed
    assert "narrow it" not in printed


def test_a_loss_without_names_is_asked_for_names(gradcheck: Command, layer: Path) -> None:
    layer.write_text(without_names(ONLY_GRADIENTS))
    expected = "    narrow it: assign steps to variables in the loss, and return their adjoints\n"
    assert expected in gradcheck("run", layer, "--k", 2).stdout


def test_of_two_wrong_gradients_the_one_on_the_earlier_line_comes_first(gradcheck: Command, layer: Path) -> None:
    layer.write_text(
        "import numpy as np\n\n\n"
        'def inputs(k):\n    return {"W": (k, k), "b": (k,), "x": (k,)}\n\n\nwrt = ("W", "b")\n\n\n'
        "def loss(W, b, x):\n    z = W @ x + b\n    return np.sum(z**2)\n\n\n"
        "def mine(W, b, x):\n    z = W @ x + b\n    d = 2 * z * 1.0001\n"
        '    return np.sum(z**2), {"W": np.outer(d, x), "b": d}\n\n\ngradients = {"mine": mine}\n'
    )
    lines = gradcheck("run", layer, "--k", 2).stdout.splitlines()
    first = next(number for number, each in enumerate(lines) if "first wrong: dL/db[" in each)
    assert any(each.startswith("mine: differs (proved): dL/db") for each in lines[:first])
    assert lines[first + 1].endswith("d = 2 * z * 1.0001")
    assert "      pattern: it is 1.0001 × the truth" in lines[:first]
    others = next(number for number, each in enumerate(lines) if "also wrong: dL/dW[" in each)
    assert lines[others + 1].endswith("np.outer(d, x)")


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
    source = report.backends[0].first_wrong.source
    assert (source.file, source.line, source.text, source.of) == (__file__, first + 2, "dy = y * GAIN**2", "gradient")
    assert report.backends[1].reason == f"{__file__}:{crashing.__code__.co_firstlineno + 1}: ValueError: no"


def test_a_file_with_the_name_of_the_problem_s_own_has_its_folder(gradcheck: Command, layer: Path) -> None:
    folder = layer.parent / "checks"
    folder.mkdir()
    (folder / "layer.py").write_text(
        "from importlib.util import module_from_spec, spec_from_file_location\n\n"
        f"spec = spec_from_file_location('other', {str(layer)!r})\nother = module_from_spec(spec)\n"
        "spec.loader.exec_module(other)\n"
        "inputs, loss, gradients = other.inputs, other.loss, other.gradients\n"
    )
    [mine] = json.loads(gradcheck("run", "checks/layer.py", "--k", 2, "--format", "json").stdout)["backends"]
    assert mine["first_wrong"]["source"]["shown"] == str(layer)
