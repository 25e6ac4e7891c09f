"""Devices other than the CPU: backends that compute there, backends that cannot, and the allowance for TF32."""

from __future__ import annotations

import json
import subprocess

import pytest

from gradcheck import problems
from gradcheck.api import Logged
from gradcheck.execution import environments, selection
from gradcheck.execution.engines import Spec
from gradcheck.execution.environments import Environment
from gradcheck.execution.messages import Request
from gradcheck.execution.pool import Pool, hosted
from gradcheck.execution.selection import TF32_ROUNDING
from gradcheck.execution.worker import Failure
from gradcheck.problems.recording import graph_of
from gradcheck.results import Verdict
from tests.conftest import Command


def has_gpu() -> bool:
    try:
        return subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True).stdout.startswith(b"GPU")
    except OSError:
        return False


GPU = pytest.mark.skipif(not has_gpu(), reason="no NVIDIA GPU here")
NO_GPU = pytest.mark.skipif(has_gpu(), reason="there is a GPU here")


@NO_GPU
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_an_engine_built_without_the_device_reports_it(name: str) -> None:
    """Without a driver nothing is built for a device: the request goes to the worker of the CPU's environment."""
    engine = selection.known_engine(Spec(name))
    place = environments.Builder(Logged()).build({Spec(name): engine})[Spec(name)]
    assert isinstance(place, Environment)
    pool = Pool()
    try:
        pool.start({name: hosted(place.python, backend=str(engine.path), device="cuda", tf32=False)}, timeout=120)
        problem = problems.load("sigmoid_skip")
        request = Request(problem.path, graph_of(problem, 1), "float64", ("A",), {})
        ((_, failure),) = pool.evaluate(request, [name])
    finally:
        pool.close()
    assert isinstance(failure, Failure)
    assert failure.verdict is Verdict.UNAVAILABLE
    assert "sees no CUDA device" in failure.reason


@NO_GPU
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_missing_device_is_unavailable(gradcheck: Command, name: str) -> None:
    done = gradcheck("run", "--device", "cuda", "-b", name, "-b", "numpy", "--format", "json")
    engine, numpy = json.loads(done.stdout)["backends"]
    assert engine["verdict"] == "unavailable"
    assert engine["reason"] == "no cuda here: this machine has no NVIDIA driver"
    assert numpy["verdict"] == "agrees", "hand-written gradients compute where they do"
    assert "--device cuda" in json.loads(done.stdout)["case"]["replay"]
    assert done.returncode == 3


def test_an_engine_without_devices_reports_it(gradcheck: Command) -> None:
    done = gradcheck("run", "--device", "cuda", "-b", "mxnet", "--format", "json")
    (mxnet,) = json.loads(done.stdout)["backends"]
    assert mxnet["verdict"] == "unsupported"
    assert mxnet["reason"].startswith("mxnet computes on the CPU only: jax, ")
    assert mxnet["reason"].endswith("support cuda")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device", "gpu"), "--device gpu: expected cpu, cuda or cuda:N"),
        (("--device", "cuda:x"), "--device cuda:x: expected cpu, cuda or cuda:N"),
        (("--tf32",), "tf32: expected with a device such as cuda"),
    ],
)
def test_a_wrong_device_is_refused(gradcheck: Command, words: tuple[str, ...], message: str) -> None:
    done = gradcheck("run", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_only_engines_with_the_device_run_by_default() -> None:
    problem = problems.load("sigmoid_skip")
    assert [row.key for row in selection.choose((), problem, "cuda")] == ["manual", "numpy", "torch"]


def test_only_the_format_of_float32_products_on_the_device_has_tf32() -> None:
    problem = problems.load("sigmoid_skip")
    numpy, torch = selection.choose(["numpy", "torch"], problem, "cuda:1", tf32=True)
    assert torch.format("float32").operand_rounding == TF32_ROUNDING
    assert torch.format("float64").operand_rounding == 0
    assert numpy.format("float32").operand_rounding == 0
    (plain,) = selection.choose(["torch"], problem, "cuda:1")
    assert plain.format("float32").operand_rounding == 0


@GPU
@pytest.mark.parametrize("name", ["torch", "jax"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_they_agree_on_the_gpu(gradcheck: Command, name: str, dtype: str) -> None:
    words = ("--device", "cuda", "-b", name, "--k", 16, "--dtype", dtype, "--format", "json")
    for more in ((), ("--tf32",)):
        report = json.loads(gradcheck("run", *words, *more).stdout)
        assert report["backends"][0]["verdict"] == "agrees"
        assert report["environment"]["backends"][name]["device"] == "cuda"
