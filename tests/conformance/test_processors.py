"""With `--processor`, the instructions that engines report: an engine may ignore a variable."""

from __future__ import annotations

import os
import subprocess

import pytest

from gradcheck.execution import engines, environments
from gradcheck.execution.engines import Spec
from gradcheck.execution.environments import Environment, scrubbed

NUMPY = """
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
print(*(name for name in __cpu_dispatch__ if __cpu_features__[name]))
"""
MXNET = """
import mxnet
mxnet.npx.set_np()
mxnet.npx.softmax(mxnet.np.ones((2, 9))).asnumpy()
"""
TENSORFLOW = """
import tensorflow as tf
print(tf.constant([[1.0703125]], tf.bfloat16) @ tf.constant([[1.109375]], tf.bfloat16) == 1.1796875)
"""
"""(1 + 9/128)(1 + 14/128) lies 126/128 of the way from 1.1796875 to the next number: it is truncated."""

REPORTED = {
    "autograd": (NUMPY, {"avx2": "X86_V3", "avx": ""}),
    "mxnet": (MXNET, {"avx2": "isa:Intel AVX2", "avx": "isa:Intel AVX\n"}),
    "tensorflow": (TENSORFLOW, {"avx2": "True", "avx": "True"}),
    "torch": (
        "import torch; print(torch.backends.cpu.get_cpu_capability())",
        {"avx2": "AVX2", "avx": "DEFAULT"},
    ),
}
"""Engine -> what is run in its environment, and what that prints on each processor. XLA and MLX say nothing."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """No cases without an emulated processor."""
    nothing = pytest.param("", marks=pytest.mark.skip("without --processor nothing is emulated"))
    metafunc.parametrize("name", REPORTED if metafunc.config.getoption("--processor") else [nothing])


def test_the_engine_uses_the_instructions_of_the_processor(name: str, pytestconfig: pytest.Config) -> None:
    code, expected = REPORTED[name]
    place = environments.find(Spec(name), engines.find(name))
    assert isinstance(place, Environment), "test_vocabulary.py builds it"
    done = subprocess.run(
        [place.python, "-c", code],
        capture_output=True, text=True, check=True, env={**scrubbed(os.environ), "DNNL_VERBOSE": "1"},
    )  # fmt: skip
    wanted = expected[pytestconfig.getoption("--processor")]
    assert wanted in done.stdout
    assert wanted or not done.stdout.strip()
