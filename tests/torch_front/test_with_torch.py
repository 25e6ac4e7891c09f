"""The table and the dumps, against PyTorch itself, in the environment that gradcheck builds for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gradcheck.api import Logged
from gradcheck.execution.environments import Environment, scrubbed
from gradcheck.runs import runner
from tests.torch_front.support import NAMES, array, dump

HERE = Path(__file__).parent
PACKAGES = Path(msgspec.__file__).parents[1]


@pytest.fixture(scope="module")
def interpreter() -> Path:
    place = runner.build(["torch"], Logged())["torch"]
    assert isinstance(place, Environment), place
    code = "import sys; print(*sys.version_info[:2])"
    release = subprocess.run([place.python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    if release != [str(each) for each in sys.version_info[:2]]:
        pytest.skip("the environment of PyTorch has another Python, which cannot import gradcheck's packages")
    return Path(place.python)


def run(interpreter: Path, script: str, *arguments: str) -> str:
    """Run a script of this folder with PyTorch; gradcheck's own packages come last, so that PyTorch keeps its NumPy."""
    code = f"import runpy, sys; sys.path.append({str(PACKAGES)!r}); runpy.run_path(sys.argv[0], run_name='__main__')"
    code = f"import sys; sys.argv = {[str(HERE / script), *arguments]!r}; {code}"
    command = [interpreter, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=scrubbed(os.environ), timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_core_operator_has_a_row_or_a_reason(interpreter: Path) -> None:
    found = json.loads(run(interpreter, "table.py"))
    assert (found["without"], found["unknown"]) == ([], [])
    assert found["core"] > 180, "the tag is known"


def test_the_committed_dumps_are_those_of_pytorch(
    interpreter: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    names = NAMES if pytestconfig.getoption("--thorough") else ["in_place", "several", "text"]
    run(interpreter, "dumping.py", str(tmp_path), *names)
    for name in names:
        made, committed = json.loads((tmp_path / f"{name}.json").read_text()), dump(name)
        assert made["nodes"] == committed["nodes"], name
        for key, answer in committed["answers"].items():
            np.testing.assert_allclose(array(made["answers"][key]), answer, rtol=1e-9, atol=1e-9)
