"""Hand-written gradients in bfloat16 and float16: they get and give NumPy arrays of that dtype."""

from __future__ import annotations

import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import gradcheck
from gradcheck.backends._engine import Unavailable
from gradcheck.backends._worker import handwritten
from gradcheck.oracle import Format
from gradcheck.results import Verdict
from tests.conftest import Command

LAYER = """
import numpy as np

def inputs(k): return {"W": (k, k), "V": (k, k), "x": (k,)}

wrt = ("W", "V")

def loss(W, V, x):
    h = np.tanh(W @ x)
    r = V @ h
    return np.sum(r * r)

def backward(W, V, x, slope=lambda h: 1 - h * h):
    h = np.tanh((W @ x).astype(W.dtype))
    r = (V @ h).astype(W.dtype)
    dr = 2 * r
    dh = (V.T @ dr).astype(W.dtype)
    gradients = {"W": np.outer(dh * slope(h), x), "V": np.outer(dr, h)}
    assert {each.dtype for each in (W, V, x, h, r, dr, dh, *gradients.values())} == {W.dtype}
    assert W.dtype.itemsize == 2
    return np.sum(r * r), gradients | {"h": dh, "r": dr}, {"h": h, "r": r}

def by_sums(W, V, x):
    h = np.tanh(np.sum(W * x, axis=1))
    r = np.sum(V * h, axis=1)
    dh = np.sum(V.T * (2 * r), axis=1)
    return np.sum(r * r), {"W": np.outer(dh * (1 - h * h), x), "V": np.outer(2 * r, h)}

def wrong(W, V, x):
    return backward(W, V, x, slope=lambda h: 1 - h)

def in_float32(W, V, x):
    return by_sums(*(each.astype(np.float32) for each in (W, V, x)))

def by_einsum(W, V, x):
    same = np.eye(len(x), dtype=x.dtype)
    return by_sums(W, V, np.einsum("ij,j->i", same, x))

def mutating(W, V, x):
    answer = backward(W, V, x)
    x *= 2
    return answer

gradients = {each.__name__: each for each in (backward, by_sums, wrong, in_float32, by_einsum, mutating)}
"""


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("narrow") / "layer.py"
    path.write_text(LAYER)
    return path


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gradients_get_and_give_arrays_of_the_dtype(layer: Path, dtype: str) -> None:
    report = gradcheck.check(layer, k=8, dtype=dtype, backends=["backward", "by_sums"])
    report.assert_agrees()
    assert [backend.notes for backend in report.backends] == [(), ()]


def test_the_cause_of_an_error_is_found_in_float32(layer: Path) -> None:
    source = layer.read_text().replace("    assert W.dtype.itemsize == 2\n", "")
    path = layer.with_name("any_dtype.py")
    path.write_text(source)
    (wrong,) = gradcheck.check(path, k=8, dtype="bfloat16", backends=["wrong"]).backends
    assert (wrong.verdict, wrong.cause.kind, wrong.first_wrong.name) == ("differs", "wrong formula", "W")
    assert wrong.cause.reason == "2.2 off in bfloat16, 2.3 in float32"


def test_an_answer_in_float32_is_reported(layer: Path) -> None:
    (backend,) = gradcheck.check(layer, k=8, dtype="bfloat16", backends=["in_float32"]).backends
    assert (backend.verdict, backend.notes) == ("agrees", ("answers in float32, not in the requested bfloat16",))


def test_a_function_that_numpy_lacks_for_bfloat16_is_named(layer: Path, gradcheck: Command) -> None:
    done = gradcheck("run", layer, "-b", "by_einsum", "--dtype", "bfloat16")
    assert done.returncode == 3
    text = 'return by_sums(W, V, np.einsum("ij,j->i", same, x))'
    line = [each.strip() for each in LAYER.splitlines()].index(text) + 1
    shown = "".join(done.stdout.split())
    assert f"unsupported: {layer}:{line}: {text}: ".replace(" ", "") in shown
    assert "NumPylacksthisforbfloat16(invaliddatatypeforeinsum):expectedthisstepinfloat32" in shown


def test_an_error_in_every_dtype_is_no_matter_of_bfloat16(layer: Path) -> None:
    path = layer.with_name("broken.py")
    path.write_text(LAYER.replace("h = np.tanh(np.sum", "h = np.tanhh(np.sum"))
    (backend,) = gradcheck.check(path, dtype="bfloat16", backends=["by_sums"]).backends
    assert backend.verdict is Verdict.CRASHED
    assert "has no attribute 'tanhh'" in str(backend.reason)


def test_a_changed_input_is_found(layer: Path) -> None:
    (backend,) = gradcheck.check(layer, k=8, dtype="bfloat16", backends=["mutating"]).backends
    assert backend.reason == "it changes its inputs: x"


def test_an_interpreter_without_bfloat16_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(Unavailable, match=rf"{sys.executable} has no package ml_dtypes.* pip install ml_dtypes"):
        handwritten.bfloat16()


def test_labels_and_masks_stay_integers_and_booleans() -> None:
    def loss(x, t, m):
        return np.sum(np.where(m, x * t, 0.0))

    def mine(x, t, m):
        assert [each.dtype.name for each in (x, t, m)] == ["bfloat16", "int64", "bool"]
        return np.sum(np.where(m, x * t.astype(x.dtype), 0)), {"x": t.astype(x.dtype) * m}

    def sample(rng):
        return {"t": rng.integers(5, size=(4,)), "m": rng.uniform(size=4) < 0.5}

    shapes = {"x": (4,), "t": (4,), "m": (4,)}
    check = {"inputs": shapes, "gradients": {"mine": mine}, "sample": sample, "dtype": "bfloat16", "backends": ["mine"]}
    gradcheck.check(loss, **check).assert_agrees()


def test_a_sum_that_stops_growing_in_bfloat16_is_within_its_bound() -> None:
    """`np.sum` adds one entry after the other in bfloat16: 256 + 1 is 256 there."""

    def loss(x):
        return np.sum(np.exp(0 * x) * x) + np.sum(np.exp(0 * x))

    def mine(x):
        ones = np.exp(0 * x)
        assert float(np.sum(ones)) == 256.0
        return np.sum(ones * x) + np.sum(ones), {"x": ones}

    report = gradcheck.check(loss, inputs={"x": (400,)}, gradients={"mine": mine}, dtype="bfloat16", backends=["mine"])
    report.assert_agrees()
    assert report.backends[0].loss_error > 140


@pytest.mark.parametrize("seed", [4, 16, 18])
def test_sums_in_bfloat16_that_lose_the_sign_of_an_operand_of_a_sigmoid_are_right(seed: int) -> None:
    """Operands of ±20,000 whose sums of 64 products are off by some 1,000 in bfloat16: σ may be 0 or 1."""
    report = gradcheck.check(
        "sigmoid_skip", k=64, seed=seed, dtype="bfloat16", distribution="saturated", backends=["manual"]
    )
    assert report.backends[0].verdict != "differs"


def test_records_in_bfloat16_are_judged(gradcheck: Command, tmp_path: Path) -> None:
    x = np.array([0.5, 0.25, 1.0, -1.0], ml_dtypes.bfloat16)
    path = tmp_path / "square.py"
    path.write_text("def inputs(k): return {'x': (k,)}\ndef loss(ops, x): return ops.sum(x * x)\n")
    for name, array in (("as_bfloat16", 2 * x), ("as_float32", (2 * x).astype(np.float32))):
        answer = {"dtype": "bfloat16", "loss": float(np.sum(x * x)), "gradients/x": array}
        arrays = {"problem": "square.py", "inputs/x": x.astype(np.float32)}
        arrays |= {f"answers/mine/{key}": value for key, value in answer.items()}
        np.savez(tmp_path / f"{name}.npz", **arrays)
    done = gradcheck("verify", "as_float32.npz")
    assert done.returncode == 0, done.stdout + done.stderr
    refused = gradcheck("verify", "as_bfloat16.npz")
    assert refused.returncode == 2
    assert "expected an array of real numbers; of bfloat16, save .astype(np.float32)" in refused.stderr


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh"])
def test_numpy_rounds_each_function_of_bfloat16_once(name: str) -> None:
    """Every finite number of bfloat16: the error is one rounding, and one more of float32."""
    numbers = np.arange(2**16, dtype=np.uint16).view(ml_dtypes.bfloat16)
    format = Format.of("bfloat16", **handwritten.FORMATS["bfloat16"])
    with np.errstate(all="ignore"):
        numbers = numbers[np.isfinite(numbers)]
        true = getattr(np, name)(numbers.astype(np.float64))
        got = getattr(np, name)(numbers).astype(np.float64)
        compared = np.isfinite(true) & (np.abs(true) < format.safe_largest)
        error = np.abs(got - true)[compared]
    assert compared.sum() > 30000
    assert (error <= 1.001 * format.roundoff * np.abs(true[compared]) + format.underflow).all()
