"""Frameworks whose functions are checked in their own process: committed dumps, and scripts that run with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from gradcheck.api import Logged
from gradcheck.execution.environments import Environment, scrubbed
from gradcheck.graphs import Graph
from gradcheck.judging import judge
from gradcheck.oracle import Format, tape_of
from gradcheck.runs import upkeep

ROOT = Path(__file__).parents[1]
PACKAGES = Path(msgspec.__file__).parents[1]


class Framework(NamedTuple):
    """A framework by the name of its engine; its dumps are in tests/data/NAME, its scripts in tests/NAME_front."""

    name: str

    @property
    def folder(self) -> Path:
        return ROOT / "tests" / "data" / self.name

    @property
    def names(self) -> list[str]:
        """The names of its dumps."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def dump(self, name: str) -> dict[str, Any]:
        """A dump, and the framework's answers with it; or the sentence with which it is refused."""
        read = json.loads((self.folder / f"{name}.json").read_text())
        kinds = ("arrays", "answers") if "arrays" in read else ()
        return {**read, **{kind: {name: array(each) for name, each in read[kind].items()} for kind in kinds}}

    def interpreter(self) -> Path:
        """The Python of the environment that gradcheck builds for it."""
        place = upkeep.build([self.name], Logged())[self.name]
        assert isinstance(place, Environment), place
        code = "import sys; print(*sys.version_info[:2])"
        release = subprocess.run([place.python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        if release != [str(each) for each in sys.version_info[:2]]:
            pytest.skip(f"the environment of {self.name} has another Python: it cannot import gradcheck's packages")
        return place.python

    def run(self, script: str, *arguments: str) -> str:
        """Run a script of its folder with it; gradcheck's own packages come last, so that it keeps its NumPy."""
        paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; sys.path.append({str(PACKAGES)!r})"
        module = f"from tests.{self.name}_front import {script}; {script}.main()"
        code = f"{paths}; sys.argv = {[script, *arguments]!r}; {module}"
        command = [self.interpreter(), "-W", "ignore", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, env=scrubbed(os.environ), timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


def array(given: dict[str, Any]) -> np.ndarray:
    return np.array(given["data"], given["dtype"]).reshape(given["shape"])


def check_truth(graph: Graph, given: Mapping[str, Any]) -> None:
    """Hold the truth of a graph to the framework's own answers, with cotangents of 1."""
    names = [each for each in graph.inputs if each in given["answers"]]
    ones = {name: np.ones(shape) for name, shape in graph.cotangents.items()}
    inputs = {name: ones.get(name, given["arrays"].get(name)) for name in graph.inputs}
    truth = judge.truth(tape_of(graph, tuple(names)), inputs, Format.of("float64"))
    for key in [("loss", None), *(("gradient", each) for each in names)]:
        found, answer = truth.analysis[key], given["answers"][key[1] or "loss"]
        assert (abs(found.enclosure.distance(answer)) <= found.worst + found.enclosure.radius).all(), key
        assert found.worst.max() < 1e-3 * max(abs(answer).max(), 1), "the bound has power"


TORCH, JAX = Framework("torch"), Framework("jax")
