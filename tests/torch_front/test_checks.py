"""`gradcheck.torch.check` in a process with PyTorch, on functions of every kind, right and wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.findings import OF_OPERATORS
from tests.frameworks import TORCH

ENCODER = [
    *("linear1.bias", "linear1.weight", "linear2.bias", "linear2.weight"),
    *("norm1.bias", "norm1.weight", "norm2.bias", "norm2.weight"),
    *("self_attn.in_proj_bias", "self_attn.in_proj_weight"),
    *("self_attn.out_proj.bias", "self_attn.out_proj.weight"),
]
AGREES = {
    **{f"right torch.{dtype}": ["w", "x"] for dtype in ("float64", "float32", "float16", "bfloat16")},
    "encoder torch.float64": ENCODER,
    "encoder torch.float32": ENCODER,
    "second derivatives": ["cotangent", "w", "x"],
    "second derivatives in bfloat16": ["cotangent", "w", "x"],
    "second derivatives of a model": [
        *("batch[x]", "cotangent[pair][0]", "cotangent[y]"),
        *("layer.bias", "layer.weight", "norm.bias", "norm.weight"),
    ],
    "second derivatives of a sum": ["cotangent", "input 0"],
    "views": ["a", "b", "c"],
    "sparse gradient": ["weight"],
    "mask of numbers": ["q"],
    "every dtype": ["w", "x"],
    "a model in another dtype": ["batch[x]", "layer.bias", "layer.weight", "norm.bias", "norm.weight"],
    "two dtypes in one": ["input 0", "input 1"],
    "modes": ["a", "b"],
    "modes of a module": ["lstm.bias_hh_l0", "lstm.bias_ih_l0", "lstm.weight_hh_l0", "lstm.weight_ih_l0"],
    "modes in bfloat16": ["w", "x"],
    "lambda": ["a", "b"],
    "inference mode": ["a"],
    "closure": ["a", "tagged.layer.bias", "tagged.layer.weight", "tagged.norm.bias", "tagged.norm.weight"],
    "method": ["batch[x]", "self.layer.bias", "self.layer.weight", "self.norm.bias", "self.norm.weight"],
    "callable object": ["layer.bias", "layer.weight", "x"],
    "method of an object": ["layer.bias", "layer.weight", "x"],
    "outputs": ["batch[x]", "layer.bias", "layer.weight", "norm.bias", "norm.weight"],
    "partial": ["input 0", "input 1", "input 2"],
    "partial of a module": ["input 0[x]", "self.layer.bias", "self.layer.weight", "self.norm.bias", "self.norm.weight"],
    "empty memory": ["input"],
    "permuted memory": ["a"],
    "compiled": ["w", "x"],
    "running": ["x"],
    "zeros": ["a"],
    "mean of a layer norm": ["a"],
    "any entry that is not a number": ["a"],
    "group norm and its statistics": ["x"],
    "custom operator beside a reference": ["input 0"],
}
"""Right functions, and the names of the checked gradients."""
DIFFERS = {
    "MissingMeanPath": "dL/dx is proved wrong in 20 of 20 entries",
    "Rounded": "dL/dw is proved wrong in 5 of 5 entries",
    "NarrowCotangent": "its errors are as large as those of float32",
    "OneEntry": "first wrong: dL/dx[1][2]",
    "ignored cotangent": "dL/dx is proved wrong in 20 of 20 entries",
    "wrong in float32": "cause: wrong formula: 1.9 off in float32, 1.9 in float64",
    "wrong inside a model": "first wrong: dL/d1[",
    "DetachedInput": "dL/dx is proved wrong in 20 of 20 entries",
    "DetachedCotangent": "dL/dcotangent is proved wrong in 20 of 20 entries",
    "WrongTangent": "WrongTangent forward: differs (proved): dL/dx is proved wrong in 20 of 20 entries",
    "WrongInBatches": "WrongInBatches batched: differs (proved): dL/dx is proved wrong in 20 of 20 entries",
    "wrong in one dtype": "float32: WrongInFloat32: differs (proved): dL/dx is proved wrong in 20 of 20 entries",
    "NarrowGradient": "its errors are as large as those of float32",
    "NoGradient": "dL/dx is proved wrong in 20 of 20 entries",
    "FlatCotangent": "FlatCotangent strided: differs (proved): dL/dx is proved wrong in",
    "FlatInput": "FlatInput: differs (proved): dL/dx is proved wrong in",
    "TwoResults": "its backward pass fails where results have no gradient: TypeError: unsupported operand type(s)",
    "WithoutCotangent": "dL/dx is not zero where results have no gradient: expected zeros or None",
    "detached result": "dL/da is proved wrong in 20 of 20 entries",
    "changed input": "it changes its inputs: x",
    "varying": "dL/dx varies from call to call by 1.0",
}
"""Wrong functions, and a part of the finding."""
OPERATORS = [f"{operator} {dtype}" for engine, operator, dtype in OF_OPERATORS if engine == TORCH.name]
REFUSED = {
    "custom operator": "gradcheck_tests.twice.default: the vocabulary has no word for it: expected operators of "
    "docs/torch.md, or reference= with the same function written in them",
    "OnceDifferentiable": "it cannot be differentiated twice: a step is marked with @once_differentiable: expected",
    "fused attention": "it cannot be differentiated twice: derivative for aten::_scaled_dot_product_flash_attention",
    "mistake in a shape": "RuntimeError: mat1 and mat2 shapes cannot be multiplied (4x5 and 4x5)",
    "NoBatches": "NoBatches: its gradients cannot be batched: vmap: It looks like you're calling .item() on a Tensor",
    "no forward mode": "Cube: it has no forward mode: You must implement the jvp function for custom autograd.Function "
    "to use it with forward mode AD: expected a jvp() of the autograd.Function, or forward=False",
    "forward mode in float16": "forward=True in float16: an underflow in forward mode may cause",
    "forward mode of a batch": "its forward mode cannot be batched: In order to use an autograd.Function with",
    "second derivatives in forward mode": "forward=True with order=2: expected one of the two",
    "Function by itself": "RmsNorm: an autograd.Function by itself: expected a function: write RmsNorm.apply",
    "no function": "int is no function: expected a function, a method or a module",
    "array of NumPy": "input 1 is an array of NumPy: expected a tensor: write torch.from_numpy(array), and",
    "mistake in a backward pass": "RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    "unknown dtype": "dtypes: 'float8' is no dtype: did you mean 'float64'? expected some of float64, float32",
    "no dtype": "dtypes is empty: expected some of float64, float32, float16, bfloat16, or all",
    "overflow": "in float16: input 0 holds a value that is not finite: expected finite numbers",
    "OtherShape": "PyTorch refuses a gradient: Function OtherShapeBackward returned an invalid gradient at index 0 - "
    "got [3] but expected shape compatible with [4, 5]",
    "branch": "it makes a Python number or a branch of the values of a tensor: expected reference= with",
    "mask": "the shape of aten.index.Tensor depends on values: expected reference= with",
    "splits at a tensor": "record it: the shape of aten.slice.Tensor depends on values: expected reference= with",
    "dropout": "dropout with p = 0.5 in training draws random numbers: write model.eval(), or p = 0",
    "no gradient": "no input requires a gradient: write x.requires_grad_() for those to check",
    "two dtypes": "the inputs that require a gradient have dtypes float64, float32: expected one dtype",
    "tensor from outside": "outside requires a gradient, and is no argument: expected it among the inputs",
    "other outputs": "it returns shape (5,): expected shape (4, 5), as the reference returns",
    "parameter of the function alone": "the reference has no input weights: expected the parameters and inputs of",
}
"""Requests that are wrong, and a part of the sentence."""

HOLDS = {
    "buffers": "a check leaves the buffers as they are",
    "docstring": "the example of the module agrees",
    "parameters of gradcheck": "docs/torch.md has each parameter of torch's gradcheck and gradgradcheck",
    "parameters stay": "a check in other dtypes leaves parameters and inputs as they are",
}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return json.loads(TORCH.run("checks"))


@pytest.mark.parametrize("name", AGREES)
def test_a_right_function_agrees_in_every_gradient(found: dict[str, Any], name: str) -> None:
    assert found[name].get("verdict") == "agree", found[name]
    assert found[name]["checked"] == AGREES[name]


@pytest.mark.parametrize("name", DIFFERS)
def test_a_wrong_function_differs(found: dict[str, Any], name: str) -> None:
    assert found[name].get("verdict") == "differ", found[name]
    assert DIFFERS[name] in found[name]["finding"]


@pytest.mark.parametrize("name", OPERATORS)
def test_a_known_error_of_an_operator_is_found(found: dict[str, Any], name: str) -> None:
    assert found[name].get("verdict") == "differ", "it is mended: take it from the findings"


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_request_is_refused_in_one_line(found: dict[str, Any], name: str) -> None:
    assert REFUSED[name] in found[name].get("refused", found[name])
    assert "\n" not in found[name]["refused"]


def test_a_mistake_in_a_backward_pass_is_shown_with_its_own_line(found: dict[str, Any]) -> None:
    lines = (Path(__file__).parent / "functions.py").read_text().splitlines()
    (line,) = (number for number, text in enumerate(lines, 1) if text.endswith("# two shapes that do not fit"))
    assert f"functions.py:{line}: RuntimeError" in found["mistake in a backward pass"]["refused"]


@pytest.mark.parametrize("name", HOLDS)
def test_what_else_must_hold(found: dict[str, Any], name: str) -> None:
    assert found[name] == {"holds": True}, HOLDS[name]


def test_the_finding_names_the_line_of_the_check(found: dict[str, Any]) -> None:
    last = found["OneEntry"]["finding"].splitlines()[-1]
    assert last.startswith("again: ")
    assert "checks.py:" in last
    assert "checks.py" in found["OneEntry"]["finding"].split("at: ")[1]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("partial", "addcmul"), ("lambda", "lambda"), ("method", "Tagged.loss"), ("OneEntry", "OneEntry")],
)
def test_a_function_is_shown_under_its_own_name(found: dict[str, Any], name: str, shown: str) -> None:
    assert found[name]["name"] == shown


def test_each_dtype_has_a_report(found: dict[str, Any]) -> None:
    assert found["every dtype"]["verdicts"] == dict.fromkeys(("float64", "float32", "float16", "bfloat16"), "agree")
    assert found["wrong in one dtype"]["verdicts"] == {"float64": "agree", "float32": "differ"}


def test_a_sparse_gradient_is_judged_by_its_values(found: dict[str, Any]) -> None:
    assert found["sparse gradient"]["notes"] == [
        "dL/dweight has the layout torch.sparse_coo: its values are judged",
    ]


def test_a_mistake_in_a_function_is_shown_with_its_own_line(found: dict[str, Any]) -> None:
    refused = found["mistake in a shape"]["refused"]
    assert refused.startswith("multiplied: ")
    assert "functions.py:" in refused
    assert "reference=" not in refused


def test_a_finding_names_the_backward_pass_that_is_wrong(found: dict[str, Any]) -> None:
    for name in ("OneEntry", "DetachedInput"):  # with a reference, and without
        line = found[name]["finding"].partition(" at: ")[2].splitlines()[0]
        assert line.endswith("def backward(ctx, g):")
        assert "functions.py:" in line


def test_each_mode_is_a_row_of_its_own(found: dict[str, Any]) -> None:
    assert found["modes"]["rows"] == ["lambda", "lambda batched", "lambda forward", "lambda forward batched"]


def test_modules_after_a_wrong_one_are_not_wrong(found: dict[str, Any]) -> None:
    assert "also wrong" not in found["wrong inside a model"]["finding"]


def test_every_check_is_looked_at(found: dict[str, Any]) -> None:
    assert set(found) == {*AGREES, *DIFFERS, *OPERATORS, *REFUSED, *HOLDS}
