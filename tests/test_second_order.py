"""Order 2: products of the Hessian and a direction from the seed, v·∇L in the place of the loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import gradcheck as api
from gradcheck import problems
from gradcheck.oracle import Format, analyse, tape_of
from gradcheck.problems import cases
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import wrt_of
from gradcheck.testing.problems import SAMPLES, WORD_OF, directions, drawn, source
from tests.conftest import Command

LAYER = """
import numpy as np

def inputs(k): return {"W": (k, k), "x": (k,)}

def loss(W, x):
    h = np.tanh(W @ x)
    return h @ h

def gradient(W, x):
    h = np.tanh(W @ x)
    da = 2 * h * (1 - h * h)
    return h @ h, {"W": np.outer(da, x), "x": W.T @ da}

def product(W, x, direction, slope=lambda h: 2 * (1 - h * h) * (1 - 3 * h * h)):
    h = np.tanh(W @ x)
    da = 2 * h * (1 - h * h)
    moved = direction["W"] @ x + W @ direction["x"]
    dda = slope(h) * moved
    return da @ moved, {
        "W": np.outer(dda, x) + np.outer(da, direction["x"]),
        "x": W.T @ dda + direction["W"].T @ da,
    }

def wrong(W, x, direction):
    return product(W, x, direction, slope=lambda h: 2 * (1 - h * h) ** 2)

def without_direction(W, x): return gradient(W, x)

def a_dictionary(W, x, direction): return product(W, x, direction)[1]

gradients = {"by_hand": gradient}
hessian_products = {each.__name__: each for each in (product, wrong, without_direction, a_dictionary)}
"""


@pytest.fixture
def layer(tmp_path: Path) -> str:
    path = tmp_path / "layer.py"
    path.write_text(LAYER)
    return str(path)


def test_engines_and_a_product_by_hand_agree(gradcheck: Command, layer: str) -> None:
    result = gradcheck("run", layer, "--order", "2", "-b", "product", "-b", "torch", "-b", "jax", "--format", "json")
    assert result.returncode == 0, result.stdout
    report = json.loads(result.stdout)
    assert {backend["spec"]: backend["verdict"] for backend in report["backends"]} == dict.fromkeys(
        ("product", "torch", "jax"), "agrees"
    )
    assert report["case"]["order"] == 2
    assert "--order 2" in report["case"]["replay"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_product_without_a_term_differs(layer: str, dtype: str) -> None:
    report = api.check(layer, order=2, dtype=dtype, backends=["product", "wrong"])
    right, wrong = report.backends
    assert (right.verdict, wrong.verdict) == ("agrees", "differs")
    assert wrong.cause is not None
    assert wrong.cause.kind == "wrong formula"


def test_the_report_says_what_its_loss_is(gradcheck: Command, layer: str) -> None:
    printed = gradcheck("run", layer, "--order", "2", "-b", "product").stdout
    assert "the loss is v·∇L along the direction v from the seed" in " ".join(printed.split())


def test_gradients_and_products_are_backends_of_their_own_order(layer: str) -> None:
    first = api.check(layer, backends=["by_hand", "product"])
    assert [each.verdict for each in first.backends] == ["agrees", "unsupported"]
    assert first.backends[1].reason == "the file has no gradients['product']"
    second = api.check(layer, order=2, backends=["by_hand", "product"])
    assert [each.verdict for each in second.backends] == ["unsupported", "agrees"]
    assert second.backends[0].reason == "the file has no hessian_products['by_hand']"


def test_a_run_without_backends_has_those_of_its_order(layer: str) -> None:
    assert [backend.spec for backend in api.check(layer).backends] == ["by_hand"]
    assert "by_hand" not in [backend.spec for backend in api.check(layer, order=2).backends]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("without_direction", "expected (W, x, direction), the inputs and the direction, arrays by name"),
        ("a_dictionary", 'expected (v·∇L, {"W": the part of Hv that belongs to W, ...}) for the direction v'),
    ],
)
def test_a_malformed_product_is_explained(layer: str, name: str, expected: str) -> None:
    (backend,) = api.check(layer, order=2, backends=[name]).backends
    assert backend.verdict == "crashed"
    assert expected in str(backend.reason)


def test_a_function_takes_its_products_by_keyword() -> None:
    def loss(a):
        return np.sum(a**3)

    def product(a, direction):
        return np.sum(3 * a**2 * direction["a"]), {"a": 6 * a * direction["a"]}

    report = api.check(loss, inputs={"a": (4,)}, hessian_products={"mine": product}, order=2)
    report.assert_agrees()


def test_another_order_is_refused(gradcheck: Command) -> None:
    result = gradcheck("run", "--order", "3")
    assert result.returncode == 2
    assert "--order 3: expected 1 or 2" in result.stderr


def test_engines_that_differentiate_once_say_so() -> None:
    backends = api.check("sigmoid_skip", order=2, backends=["numpy", "mxnet", "central-difference"]).backends
    assert {backend.verdict for backend in backends} == {"unsupported"}
    assert backends[1].reason == "it differentiates once: it has no derivatives of gradients"


def test_inputs_from_a_file_have_directions(gradcheck: Command, layer: str, tmp_path: Path) -> None:
    case = cases.sample(problems.load(layer), 2, 3, "float64", order=2)
    np.savez(tmp_path / "inputs.npz", **case.inputs)
    result = gradcheck("run", layer, "--order", "2", "--inputs", str(tmp_path / "inputs.npz"), "-b", "product")
    assert result.returncode == 0, result.stderr
    without = {name: array for name, array in case.inputs.items() if name != "direction[x]"}
    np.savez(tmp_path / "inputs.npz", **without)
    result = gradcheck("run", layer, "--order", "2", "--inputs", str(tmp_path / "inputs.npz"), "-b", "product")
    assert result.returncode == 2
    assert "no input 'direction[x]'" in result.stderr


def test_a_record_of_products_is_verified(gradcheck: Command, layer: str, tmp_path: Path) -> None:
    inputs = cases.sample(problems.load(layer), 2, 3, "float64", order=2).inputs
    W, x, along_W, along_x = inputs.values()
    moved, h = along_W @ x + W @ along_x, np.tanh(W @ x)
    da, dda = 2 * h * (1 - h * h), 2 * (1 - h * h) * (1 - 3 * h * h) * moved
    products = {"W": np.outer(dda, x) + np.outer(da, along_x), "x": W.T @ dda + along_W.T @ da}
    answer = {"dtype": "float64", "loss": da @ moved, "gradients": {name: a.tolist() for name, a in products.items()}}
    record = {
        "problem": layer,
        "inputs": {name: array.tolist() for name, array in inputs.items()},
        "answers": {"mine": answer},
    }
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record))
    assert gradcheck("verify", str(path), "--trust").returncode == 0
    answer["gradients"]["x"][0] *= 1 + 1e-9
    path.write_text(json.dumps(record))
    assert gradcheck("verify", str(path), "--trust").returncode == 1


def test_directions_have_entries_of_one_size_and_keep_symmetry(tmp_path: Path) -> None:
    path = tmp_path / "symmetric.py"
    path.write_text("""
def inputs(k): return {"A": (k, k), "B": (k, k)}
def sample(rng, k):
    B = rng.standard_normal((k, k))
    return {"A": B @ B.T + k}
def loss(ops, A, B): return ops.sum(ops.cholesky(A) * B)
""")
    inputs = cases.sample(problems.load(str(path)), 4, 0, "float64", order=2).inputs
    A, B = inputs["direction[A]"], inputs["direction[B]"]
    assert np.array_equal(A, A.T)
    assert np.all((np.abs(B) > 0.5) & (np.abs(B) < 1))
    api.check(str(path), k=4, order=2, backends=["torch", "jax", "autograd"]).assert_agrees()


@pytest.mark.parametrize("word", dict.fromkeys(WORD_OF))
def test_the_product_of_a_word_is_the_change_of_its_gradient(word: str, tmp_path: Path) -> None:
    """(∇L(x + hv) − ∇L(x − hv))/(2h), whose own error is about 1e-10."""
    for number in (number for number, each in enumerate(WORD_OF) if each == word):
        path = tmp_path / f"sample_{number}.py"
        path.write_text(source([number], 3))
        problem = problems.load(str(path))
        graph, wrt = graph_of(problem, 3), wrt_of(problem, 3)
        inputs, along = drawn(problem, 3, "float64", "uniform"), directions(graph.along(wrt), "float64")

        def gradients(by, inputs=inputs, graph=graph, wrt=wrt, along=along):
            moved = {name: array + by * along.get(f"direction[{name}]", 0) for name, array in inputs.items()}
            return analyse(tape_of(graph, wrt).at(moved), moved, Format.of("float64"))

        products = analyse(tape_of(graph.along(wrt), wrt).at(inputs | along), inputs | along, Format.of("float64"))
        above, below = gradients(1e-5), gradients(-1e-5)
        for name in wrt if word != "stop_gradient" else ():
            change = above["gradient", name].enclosure.high - below["gradient", name].enclosure.high
            found = np.asarray(products["gradient", name].enclosure.high, float)
            assert found == pytest.approx(np.asarray(change, float) / 2e-5, rel=1e-6, abs=1e-8), SAMPLES[number]
