"""The examples in PyTorch, JAX and Triton."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import gradcheck as api
from gradcheck.execution import engines, environments
from gradcheck.execution.engines import Spec
from gradcheck.execution.environments import Environment

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_forgotten_term_is_found_in_both_frameworks(dtype: str) -> None:
    report = api.check(EXAMPLES / "rms_norm.py", dtype=dtype)
    assert {backend.spec: backend.verdict for backend in report.backends} == {
        "torch-right": "agrees",
        "torch-wrong": "differs",
        "jax-right": "agrees",
        "jax-wrong": "differs",
    }
    for wrong in (backend for backend in report.backends if backend.verdict == "differs"):
        assert wrong.first_wrong is not None
        assert (wrong.first_wrong.kind, wrong.first_wrong.name) == ("gradient", "x")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_module_and_its_port_agree(dtype: str) -> None:
    api.check(EXAMPLES / "ported_block.py", k=8, dtype=dtype).assert_agrees()


def test_a_port_with_another_epsilon_departs_at_the_norm(tmp_path: Path) -> None:
    text = (EXAMPLES / "ported_block.py").read_text()
    assert text.count("1e-5") == 1
    path = tmp_path / "port.py"
    path.write_text(text.replace("1e-5", "1e-6"))
    module, port = api.check(path, k=8).backends
    assert (module.verdict, port.verdict) == ("agrees", "differs")
    assert port.first_wrong is not None
    assert (port.first_wrong.kind, port.first_wrong.name) == ("value", "block.norm")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_kernel_in_triton_is_judged_by_its_interpreter(dtype: str) -> None:
    torch = engines.find("torch")
    assert torch is not None
    place = environments.find(Spec("torch"), torch)
    has_triton = "import torch, triton"
    if not isinstance(place, Environment) or subprocess.run([place.python, "-c", has_triton], check=False).returncode:
        pytest.skip("the environment of PyTorch has no triton")
    report = api.check(EXAMPLES / "triton_softmax.py", k=5, dtype=dtype, backends=[f"kernel@{place.python}"])
    report.assert_agrees()
