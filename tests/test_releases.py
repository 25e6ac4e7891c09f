"""Two releases of one engine side by side, each in its own environment, and where they first diverge."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gradcheck.answers import BackendAnswer
from gradcheck.execution import engines
from gradcheck.runs import assemble
from tests.conftest import Command


@pytest.mark.parametrize(
    ("older", "release", "numpy"), [("jax==0.4.30", "0.4.30", "2."), ("autograd==1.6.2", "1.6.2", "1.26")]
)
def test_an_older_release_runs_beside_the_current_one(gradcheck: Command, older: str, release: str, numpy: str) -> None:
    name = older.partition("==")[0]
    done = gradcheck("run", "-b", older, "-b", name, "-b", "numpy", "--format", "json")
    report = json.loads(done.stdout)
    assert [backend["verdict"] for backend in report["backends"]] == ["agrees"] * 3, done.stderr
    current = engines.find(name)
    assert current is not None
    assert report["environment"]["backends"][older]["packages"][name] == release
    assert report["environment"]["backends"][older]["packages"]["numpy"].startswith(numpy)
    assert report["environment"]["backends"][name]["packages"][name] == current.release
    (divergence,) = report["first_divergences"]
    assert (divergence["left"], divergence["right"]) == (older, name)
    assert divergence["packages"][name] == [release, current.release]
    assert ("numpy" in divergence["packages"]) == (older == "autograd==1.6.2"), "its bits may be NumPy's"
    printed = " ".join(gradcheck("run", "-b", older, "-b", name).stdout.split())
    assert f"{older} and {name} (" in printed
    assert f"{name} {release} and {current.release}" in printed


def answer(**gradients: float) -> BackendAnswer:
    values = {"u": np.array([0.5, np.nan])}
    return BackendAnswer(np.array(1.0), {name: np.array([[value]]) for name, value in gradients.items()}, values)


def test_releases_are_compared_in_the_order_of_computation() -> None:
    left, right = answer(A=1.0, B=2.0), answer(A=1.0, B=2.5)
    divergence = assemble.first_divergence("torch==1", "torch==2", left, right)
    assert str(divergence) == "torch==1 and torch==2 first diverge at dL/dB[0][0] = 2 and 2.5, by 0.5"
    right.values["u"][0] = 0.25
    divergence = assemble.first_divergence("torch==1", "torch==2", left, right)
    assert str(divergence) == "torch==1 and torch==2 first diverge at u[0] = 0.5 and 0.25, by 0.2, in 1 of 2"


def test_equal_bits_are_reported_as_equal() -> None:
    divergence = assemble.first_divergence("a==1", "a==2", answer(A=1.0), answer(A=1.0))
    assert str(divergence) == "a==1 and a==2 give the same bits"
