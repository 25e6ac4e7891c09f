"""Losses that return arrays: L = Σ cotangent · output, with cotangents from the seed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import gradcheck as api
from gradcheck import problems
from gradcheck.errors import RequestError
from gradcheck.problems import cases
from tests.conftest import Command

LAYER = """
import numpy as np

def inputs(k): return {"W": (k, k), "x": (k,)}

def loss(W, x):
    h = np.tanh(W @ x)
    y = W @ h
    return y

def vjp(W, x, cotangent, slope=lambda h: 1 - h * h):
    h = np.tanh(W @ x)
    dh = W.T @ cotangent
    da = dh * slope(h)
    return W @ h, {"W": np.outer(cotangent, h) + np.outer(da, x), "x": W.T @ da, "h": dh}, {"h": h}

def wrong(W, x, cotangent):
    return vjp(W, x, cotangent, slope=lambda h: 1 - h)

def wrong_output(W, x, cotangent):
    _, gradients, values = vjp(W, x, cotangent)
    transposed = W.T @ values["h"]
    return transposed, gradients, values

def no_cotangent(W, x): return vjp(W, x, 1.0)

def a_number(W, x, cotangent): return 1.0, vjp(W, x, cotangent)[1]

def a_tuple(W, x, cotangent): return (1, 2), vjp(W, x, cotangent)[1]

def mutating(W, x, cotangent):
    answer = vjp(W, x, cotangent.copy())
    cotangent *= 2
    return answer

gradients = {each.__name__: each for each in (vjp, wrong, wrong_output, no_cotangent, a_number, a_tuple, mutating)}
"""
TWO = """
import numpy as np

def inputs(): return {"W": (3, 2), "x": (2,)}

def loss(ops, W, x):
    return {"mean": ops.tanh(W @ x), "scale": ops.exp(ops.sum(x))}

def vjp(W, x, cotangent):
    h, s = np.tanh(W @ x), np.exp(np.sum(x))
    da = cotangent["mean"] * (1 - h * h)
    return {"mean": h, "scale": s}, {"W": np.outer(da, x), "x": W.T @ da + cotangent["scale"] * s}

def one_missing(W, x, cotangent):
    outputs, gradients = vjp(W, x, cotangent)
    return {"mean": outputs["mean"]}, gradients

gradients = {"vjp": vjp, "one_missing": one_missing}
"""
WITNESSES = ["central-difference", "taylor", "complex-step"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("outputs")
    (path / "layer.py").write_text(LAYER)
    (path / "two.py").write_text(TWO)
    return path


def test_an_array_is_checked_in_engines_witnesses_and_by_hand(folder: Path) -> None:
    report = api.check(folder / "layer.py", k=4, backends=["vjp", "torch", *WITNESSES])
    report.assert_agrees()
    assert report.case.notes == ("the loss is Σ cotangent · output of y, cotangents from the seed",)


def test_the_example_in_the_documentation_agrees(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "problems.md").read_text()
    [example] = [
        each
        for each in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        if "def backward(W, b, x, cotangent)" in each
    ]
    (tmp_path / "layer.py").write_text(example)
    report = api.check(tmp_path / "layer.py", backends=["mine", "torch"])
    report.assert_agrees()
    assert "output of y," in report.case.notes[0]


def test_outputs_by_name_are_checked(folder: Path) -> None:
    api.check(folder / "two.py", backends=["vjp", "torch", "taylor"]).assert_agrees()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_outputs_are_checked_in_narrower_dtypes(folder: Path, dtype: str) -> None:
    api.check(folder / "layer.py", k=4, dtype=dtype, backends=["vjp"]).assert_agrees()
    api.check(folder / "two.py", dtype=dtype, backends=["vjp"]).assert_agrees()


def test_functions_in_python_may_return_a_tuple() -> None:
    def f(x):
        return np.sin(x), np.sum(x * x)

    def vjp(x, cotangent):
        first, second = cotangent
        return (np.sin(x), np.sum(x * x)), {"x": first * np.cos(x) + 2 * second * x}

    def swapped(x, cotangent):
        (_, second), gradients = vjp(x, cotangent)
        return (np.cos(x), second), gradients

    gradients = {"vjp": vjp, "swapped": swapped}
    right, wrong = api.check(f, inputs={"x": (5,)}, gradients=gradients, backends=["vjp", "swapped"]).backends
    assert right.verdict == "agrees"
    assert wrong.reason == "output[0] is proved wrong in 5 of 5 entries"


def test_a_wrong_product_is_found_at_its_line(folder: Path) -> None:
    (wrong,) = api.check(folder / "layer.py", k=4, backends=["wrong"]).backends
    assert (wrong.evidence, wrong.first_wrong.name, wrong.cause.kind) == ("proved", "W", "wrong formula")
    assert wrong.first_wrong.source.text == "np.outer(cotangent, h) + np.outer(da, x)"


def test_a_wrong_output_is_found_at_its_line(folder: Path) -> None:
    (wrong,) = api.check(folder / "layer.py", k=4, backends=["wrong_output"]).backends
    assert (wrong.first_wrong.kind, wrong.first_wrong.name) == ("value", "y")
    assert wrong.first_wrong.source.text == 'transposed = W.T @ values["h"]'


@pytest.mark.parametrize(
    ("file", "gradient", "message"),
    [
        (
            "layer.py",
            "no_cotangent",
            "takes (W, x): expected (W, x, cotangent), the inputs and the cotangent: the loss returns an array, "
            "so L is Σ cotangent · output",
        ),
        ("layer.py", "a_number", "returned y of shape (): expected (4,), as the loss has it"),
        ("layer.py", "a_tuple", "returned y of shape (2,): expected (4,), as the loss has it"),
        ("two.py", "one_missing", "returned a dict as outputs: expected a dictionary with mean, scale, as the loss"),
    ],
)
def test_what_does_not_fit_the_outputs_has_one_clear_line(folder: Path, file: str, gradient: str, message: str) -> None:
    size = {"k": 4} if file == "layer.py" else {}
    (backend,) = api.check(folder / file, backends=[gradient], **size).backends
    assert backend.verdict == "crashed"
    assert f": {gradient}: {message}" in str(backend.reason)


def test_a_changed_cotangent_is_found(folder: Path) -> None:
    (backend,) = api.check(folder / "layer.py", k=4, backends=["mutating"]).backends
    assert backend.reason == "it changes its inputs: cotangent"


def test_cotangents_leave_the_other_inputs_of_a_seed_as_they_are(folder: Path) -> None:
    (folder / "scalar.py").write_text(LAYER.replace("    return y\n", "    return np.sum(y)\n", 1))
    drawn, scalar = (
        cases.sample(problems.load(str(folder / name)), 4, 7, "float64").inputs for name in ("layer.py", "scalar.py")
    )
    assert list(drawn) == [*scalar, "cotangent"]
    assert all(np.array_equal(drawn[name], array) for name, array in scalar.items())
    sizes = np.abs(drawn["cotangent"])
    assert ((sizes > 0.5) & (sizes < 1)).all()


def test_no_verdict_hangs_on_a_sum_that_cancels(gradcheck: Command, tmp_path: Path) -> None:
    """y = sin(½) and −sin(½), each with cotangent 1: the loss is 0 and the gradient is not."""
    source = "import numpy as np\ndef inputs(): return {'x': (2,)}\ndef loss(x): return np.sin(x)\n"
    source += (
        "def vjp(x, cotangent): return np.sin(x), {'x': FACTOR * np.cos(x) * cotangent}\ngradients = {'vjp': vjp}\n"
    )
    (tmp_path / "inputs.json").write_text(json.dumps({"x": [0.5, -0.5], "cotangent": [1.0, 1.0]}))
    for factor, verdict in (("1", "agrees"), ("(1 + 1e-14)", "differs")):
        (tmp_path / "cancelling.py").write_text(source.replace("FACTOR", factor))
        report = json.loads(gradcheck("run", "cancelling.py", "--inputs", "inputs.json", "--format", "json").stdout)
        assert [(each["loss"], each["verdict"]) for each in report["backends"]] == [(0.0, verdict)]


def test_no_verdict_hangs_on_a_sum_that_may_overflow() -> None:
    """Three squares of 200 and their cotangents: each is a number of float16, their sum may be none."""

    def f(ops, x):
        return ops.watch("squares", x * x)

    def vjp(x, cotangent):
        return x * x, {"x": 2 * x * cotangent}

    def sample(rng):
        return {"x": np.array([200.0, 200.0, 200.0])}

    check = {"inputs": {"x": (3,)}, "sample": sample, "gradients": {"vjp": vjp}, "dtype": "float16"}
    for seed in range(8):
        api.check(f, backends=["vjp"], seed=seed, **check).assert_agrees()


def test_a_record_has_the_cotangents_among_its_inputs(gradcheck: Command, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(TWO)
    W, x, c = [[0.5, 0.25], [1.0, -1.0], [0.0, 2.0]], [0.5, -0.25], [1.0, 0.5, -0.5]
    h, s = np.tanh(np.array(W) @ x), np.exp(np.sum(x))
    da = np.array(c) * (1 - h * h)
    gradients = {"W": np.outer(da, x).tolist(), "x": (np.array(W).T @ da + 2 * s).tolist()}
    answer = {"dtype": "float64", "loss": float(c @ h + 2 * s), "gradients": gradients, "values": {"mean": h.tolist()}}
    inputs = {"W": W, "x": x, "cotangent[mean]": c, "cotangent[scale]": 2.0}
    record = {"problem": "two.py", "inputs": inputs, "answers": {"mine": answer}}
    (tmp_path / "record.json").write_text(json.dumps(record))
    done = gradcheck("verify", "record.json")
    assert done.returncode == 0, done.stdout + done.stderr
    del inputs["cotangent[scale]"]
    (tmp_path / "record.json").write_text(json.dumps(record))
    refused = gradcheck("verify", "record.json")
    assert refused.returncode == 2
    assert "no input 'cotangent[scale]': expected W, x, cotangent[mean], cotangent[scale]" in refused.stderr


def test_show_lists_the_outputs(gradcheck: Command, folder: Path) -> None:
    shown = gradcheck("problems", "show", folder / "two.py").stdout
    assert "outputs    mean     3\n           scale    scalar\n" in shown


@pytest.mark.parametrize(
    ("inputs", "body", "message"),
    [
        ("x", "return {'x': np.sin(x)}", "the loss returns an output 'x': that name is taken: expected an output with"),
        ("cotangent", "return np.sin(cotangent)", "an input has the name 'cotangent': expected another name"),
        ("x", "return np.sin(x), x > 0", "the loss returns a tuple whose [1] is a condition: expected arrays that"),
        ("x", "return ()", "the loss returns a tuple, which does not depend on the inputs: expected one number"),
        (
            "x",
            "return np.sin(x) if hasattr(x, 'recording') else np.cos(x)",
            "on arrays, and 0.84147 while it is recorded",
        ),
        ("x", "return x + 1.0 if hasattr(x, 'recording') else 3.0", "the loss returns 3.0 on arrays: expected the out"),
    ],
)
def test_a_loss_whose_outputs_do_not_fit_is_refused(tmp_path: Path, inputs: str, body: str, message: str) -> None:
    path = tmp_path / "loss.py"
    sample = f"def sample(rng): return {{{inputs!r}: np.ones(2)}}"
    path.write_text(
        f"import numpy as np\ndef inputs(): return {{{inputs!r}: (2,)}}\n{sample}\ndef loss({inputs}): {body}\n"
        "gradients = {'mine': lambda x, cotangent: None}\n"
    )
    with pytest.raises(RequestError) as caught:
        api.check(path, backends=["mine"])
    assert message in str(caught.value)


def test_a_constant_output_is_described_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "loss.py"
    path.write_text("import numpy as np\ndef inputs(): return {'x': (2,)}\ndef loss(x): return np.sin(x), np.ones(2)\n")
    with pytest.raises(RequestError, match=r"a tuple whose \[1\] is a NumPy array of shape \(2,\): expected arrays"):
        api.check(path, backends=["torch"])
