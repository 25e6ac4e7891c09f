"""The committed dumps, read without JAX, and scripts of this folder, run with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from gradcheck.api import Logged
from gradcheck.execution.environments import Environment, scrubbed
from gradcheck.runs import runner

ROOT = Path(__file__).parents[2]
PACKAGES = Path(msgspec.__file__).parents[1]

FOLDER = Path(__file__).parents[1] / "data" / "jax"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def dump(name: str) -> dict[str, Any]:
    """A dump, and JAX's answers with it; or the sentence with which it is refused."""
    read = json.loads((FOLDER / f"{name}.json").read_text())
    kinds = ("arrays", "answers") if "arrays" in read else ()
    return {**read, **{kind: {name: array(each) for name, each in read[kind].items()} for kind in kinds}}


def array(given: dict[str, Any]) -> np.ndarray:
    return np.array(given["data"], given["dtype"]).reshape(given["shape"])


def interpreter() -> Path:
    """The Python of the environment that gradcheck builds for JAX."""
    place = runner.build(["jax"], Logged())["jax"]
    assert isinstance(place, Environment), place
    code = "import sys; print(*sys.version_info[:2])"
    release = subprocess.run([place.python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    if release != [str(each) for each in sys.version_info[:2]]:
        pytest.skip("the environment of JAX has another Python, which cannot import gradcheck's packages")
    return place.python


def run(script: str, *arguments: str) -> str:
    """Run a script of this folder with JAX; gradcheck's own packages come last, so that JAX keeps its NumPy."""
    paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; sys.path.append({str(PACKAGES)!r})"
    code = f"{paths}; sys.argv = {[script, *arguments]!r}; from tests.jax_front import {script}; {script}.main()"
    command = [interpreter(), "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=scrubbed(os.environ), timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
