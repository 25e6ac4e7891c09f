"""`gradcheck.jax.check` in a process with JAX, on functions of every kind, right and wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.frameworks import JAX

LAYERS = ["params[first][bias]", "params[first][kernel]", "params[second][kernel]"]
NAMES_OF_BLOCK = [
    *("params[down][bias]", "params[down][kernel]"),
    *("params[ln_1][bias]", "params[ln_1][scale]", "params[ln_2][bias]", "params[ln_2][scale]"),
    *("params[proj][bias]", "params[proj][kernel]", "params[qkv][bias]", "params[qkv][kernel]"),
    *("params[up][bias]", "params[up][kernel]", "x"),
]
AGREES = {
    **{f"right {dtype}": ["w", "x"] for dtype in ("float64", "float32", "float16", "bfloat16")},
    "layers float64": [*LAYERS, "x"],
    "layers float32": [*LAYERS, "x"],
    "block": NAMES_OF_BLOCK,
    "loops": ["h", "w", "x"],
    "compiled": LAYERS,
    "second derivatives": ["cotangent", "w", "x"],
    "second derivatives in bfloat16": ["cotangent", "w", "x"],
    "second derivatives in float32": ["cotangent", "x"],
    "mask of numbers": ["a"],
    "every dtype": ["w", "x"],
    "float64 where JAX has none": ["w", "x"],
    "closure": ["a"],
    "method": ["batch[x]"],
    "callable": ["x"],
    "partial": ["a"],
    "outputs": ["w", "x"],
    "batched": ["a"],
    "reference": ["x"],
    "modes": ["a", "b"],
    "modes in bfloat16": ["a"],
}
"""Right functions, and the names of the checked gradients."""
DIFFERS = {
    "ignored cotangent": "dL/dx is proved wrong in 20 of 20 entries",
    "missing mean path": "dL/dx is proved wrong in 20 of 20 entries",
    "missing mean path float32": "cause: wrong formula: 3.4 off in float32, 3.4 in float64",
    "missing mean path bfloat16": "dL/dx is proved wrong in 15 of 20 entries",
    "rounded": "dL/dw is proved wrong in 5 of 5 entries",
    "narrow_cotangent": "its errors are as large as those of float32",
    "one_entry": "first wrong: dL/dx[1][2]",
    "another function": "first wrong: output[0][4]",
    "wrong in batches": "cubed batched: differs (proved): dL/dx is proved wrong in 20 of 20 entries",
    "wrong rule in both modes": "cube forward: differs (proved): dL/dx is proved wrong in 20 of 20 entries",
    "detached input": "dL/dx is proved wrong in 20 of 20 entries",
    "detached cotangent": "dL/dcotangent is proved wrong in 20 of 20 entries",
    "wrong in one dtype": "float32: cubed: differs (proved): dL/dx is proved wrong in 20 of 20 entries",
    "varying": "dL/dx varies from call to call by 1.0",
}
"""Wrong functions, and a part of the finding."""
REFUSED = {
    "forward mode of custom_vjp": "a function with jax.custom_vjp has no forward mode: expected jax.custom_jvp, or",
    "forward mode in float16": "forward=True in float16: tangents underflow where adjoints do not",
    "second derivatives in forward mode": "forward=True with order=2: expected one of the two",
    "second derivatives of a batch": "check_batched=True with order=2: expected one of the two",
    "no batches": "cubed: its gradients cannot be batched: The numpy.ndarray conversion method __array__()",
    "mistake in a rule": "tests/jax_front/checks.py:",
    "unknown dtype": "dtypes: 'float8' is no dtype: did you mean 'float64'? expected some of float64, float32",
    "callback": "pure_callback: JAX does not see what it computes: expected primitives of docs/jax.md, or reference=",
    "until": "the number of turns of a while_loop depends on floating numbers: expected a number that does not, or "
    "reference= with the same function in plain operators",
    "NumPy": "it makes an array of NumPy, not of jax.numpy: expected reference= with",
    "name of an argument": "argnums='x': expected the numbers of arguments by position, such as (0, 1)",
    "branch": "it makes a Python number or a branch of the values of an array: expected reference= with",
    "integers": "no input is a floating array with entries: expected jax.numpy arrays of floats to check",
    "two dtypes": "the inputs have dtypes float64, float32: expected one dtype, or argnums= for some of them",
    "other outputs": "it returns shape (5,): expected shape (4, 5), as the reference returns",
    "no such argument": "argnums=1: the function has 1 arguments by position",
    "gate": "gate='all': expected rounding, formula or proved",
}
"""Requests that are wrong, and a part of the sentence."""

HOLDS = {"docstring": "the example of the module agrees"}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return json.loads(JAX.run("checks"))


@pytest.mark.parametrize("name", AGREES)
def test_a_right_function_agrees_in_every_gradient(found: dict[str, Any], name: str) -> None:
    assert found[name].get("verdict") == "agree", found[name]
    assert found[name]["checked"] == AGREES[name]


@pytest.mark.parametrize("name", DIFFERS)
def test_a_wrong_function_differs(found: dict[str, Any], name: str) -> None:
    assert found[name].get("verdict") == "differ", found[name]
    assert DIFFERS[name] in found[name]["finding"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_request_is_refused_in_one_line(found: dict[str, Any], name: str) -> None:
    assert REFUSED[name] in found[name].get("refused", found[name])
    assert "\n" not in found[name]["refused"]


@pytest.mark.parametrize("name", HOLDS)
def test_what_else_must_hold(found: dict[str, Any], name: str) -> None:
    assert found[name] == {"holds": True}, HOLDS[name]


def test_each_dtype_has_a_report(found: dict[str, Any]) -> None:
    assert found["every dtype"]["verdicts"] == dict.fromkeys(("float64", "float32", "float16", "bfloat16"), "agree")
    assert found["wrong in one dtype"]["verdicts"] == {"float64": "agree", "float32": "differ"}


def test_a_finding_names_the_backward_pass_that_is_wrong(found: dict[str, Any]) -> None:
    assert "def rounded(saved, g):" in found["rounded"]["finding"].partition(" at: ")[2].splitlines()[0]


def test_each_mode_is_a_row_of_its_own(found: dict[str, Any]) -> None:
    assert found["loops"]["rows"] == ["loops", "loops forward"]
    assert found["modes"]["rows"] == ["lambda", "lambda batched", "lambda forward", "lambda forward batched"]


def test_the_finding_names_the_line_of_the_check_and_of_the_formula(found: dict[str, Any]) -> None:
    finding = found["another function"]["finding"]
    assert "checks.py:" in finding.splitlines()[-1].removeprefix("again: ")
    assert "return x / jnp.sqrt(jnp.mean(x**2" in finding.split("at: ")[1]


def test_every_check_is_looked_at(found: dict[str, Any]) -> None:
    assert set(found) == {*AGREES, *DIFFERS, *REFUSED, *HOLDS}
