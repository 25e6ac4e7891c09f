"""Hand-written gradients in the environments of engines: `mine@torch`, `mine@torch==2.6.0`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from gradcheck import problems
from gradcheck.errors import RequestError
from gradcheck.execution import engines, selection
from gradcheck.execution.engines import Spec
from tests.conftest import Command

SOURCE = """
def inputs(k): return {"x": (k,)}

def loss(ops, x): return ops.sum(x * x)

def mine(x):
    import helper, torch
    leaf = torch.tensor(x, requires_grad=True)
    helper.squared(leaf).sum().backward()
    return float((leaf * leaf).sum()), {"x": leaf.grad.numpy()}

gradients = {"mine": mine}
"""


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("def squared(x): return x * x\n")
    path = tmp_path / "layer.py"
    path.write_text(SOURCE)
    return path


def test_a_name_after_an_at_sign_is_an_engine_and_a_path_has_a_slash() -> None:
    assert engines.parse("mine@torch") == Spec("mine", home=Spec("torch"))
    assert engines.parse("mine@torch==2.6.0") == Spec("mine", home=Spec("torch", "2.6.0"))
    assert engines.parse("mine@./python").python == Path("python").absolute()
    for text in ("mine@torch", "mine@torch==2.6.0", "mine@/usr/bin/python3", "torch==2.6.0"):
        assert str(engines.parse(text)) == text


def test_a_gradient_runs_where_the_engine_is_installed(gradcheck: Command, layer: Path) -> None:
    done = gradcheck("run", "layer.py", "-b", "mine@torch", "-b", "torch", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert [backend["spec"] for backend in report["backends"]] == ["mine@torch", "torch"]
    ran_in = report["environment"]["backends"]
    assert ran_in["mine@torch"]["python"] == ran_in["torch"]["python"]
    words = shlex.split(report["case"]["replay"])
    assert words[-4:] == ["--backend", "mine@torch", "--backend", "torch"]
    assert gradcheck(*words[1:]).returncode == 0


def test_a_missing_environment_is_named_by_its_engine(gradcheck: Command, layer: Path, cache: Path) -> None:
    done = gradcheck("run", "layer.py", "-b", "mine@mxnet==1.7.0", "--no-build", "--format", "json")
    [mine] = json.loads(done.stdout)["backends"]
    assert done.returncode == 3
    assert mine["reason"].endswith("build its environment with: gradcheck backends build mxnet==1.7.0")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mine@toch", "backend 'mine@toch': no engine 'toch': did you mean 'torch'? expected an engine, such as "),
        ("mine@python3", "expected an engine, such as mine@torch, or a path, such as mine@./python3"),
        ("torch@jax", "backend 'torch@jax': torch is an engine with an environment of its own: expected "),
        ("mine@torch==two", "backend 'torch==two': 'two' is not a release: expected one such as 2.4.1"),
    ],
)
def test_unknown_engines_are_refused_in_words(layer: Path, spec: str, message: str) -> None:
    with pytest.raises(RequestError) as refusal:
        selection.choose([spec], problems.load(str(layer)))
    assert message in str(refusal.value)
