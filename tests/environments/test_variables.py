"""Variables of the caller that reach uv and workers, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gradcheck
from gradcheck.execution import environments
from gradcheck.execution.environments import Environment, Missing
from gradcheck.execution.environments.variables import index_settings
from tests.environments.small import build, engine


@pytest.mark.parametrize(
    ("caller", "handed_on"),
    [
        ({"PIP_INDEX_URL": "https://a.example"}, {"UV_DEFAULT_INDEX": "https://a.example"}),
        (
            {"PIP_EXTRA_INDEX_URL": "https://a.example https://b.example"},
            {"UV_INDEX": "https://a.example https://b.example"},
        ),
        ({"PIP_FIND_LINKS": "/a /b"}, {"UV_FIND_LINKS": "/a,/b"}),
        (
            {"PIP_INDEX_URL": "https://a.example", "UV_INDEX_URL": "https://b.example"},
            {"UV_INDEX_URL": "https://b.example"},
        ),
        ({}, {}),
    ],
)
def test_pips_settings_are_passed_on_where_uv_has_none(caller: dict[str, str], handed_on: dict[str, str]) -> None:
    assert index_settings(caller) == handed_on


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UV_CONSTRAINT", "{folder}/constraint.txt"),
        ("UV_OVERRIDE", "{folder}/constraint.txt"),
        ("UV_EXCLUDE", "{folder}/exclude.txt"),
        ("UV_RESOLUTION", "lowest"),
        ("UV_PRERELEASE", "allow"),
        ("UV_VENV_SEED", "1"),
        ("UV_NO_BINARY", "1"),
        ("UV_TARGET", "{folder}/elsewhere"),
        ("UV_PREFIX", "{folder}/elsewhere"),
        ("UV_SYSTEM_PYTHON", "1"),
        ("UV_PYTHON", "{folder}/no-python"),
        ("UV_PROJECT", "{folder}/no-project"),
        ("UV_WORKING_DIR", "{folder}/nowhere"),
        ("UV_MANAGED_PYTHON", "1"),
        ("PYTHONHOME", "{folder}/nowhere"),
        ("PYTHONPATH", "{folder}"),
        ("VIRTUAL_ENV", "{folder}/nowhere"),
        ("CONDA_PREFIX", "{folder}/nowhere"),
    ],
)
def test_variables_that_would_change_an_environment_do_not_reach_uv(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    (tmp_path / "constraint.txt").write_text("beside==0.1")
    (tmp_path / "exclude.txt").write_text("beside")
    monkeypatch.setenv(name, value.format(folder=tmp_path))
    built, _ = build(engine(tmp_path), "1.0")
    assert isinstance(built, Environment), built
    installed = [path.name for path in built.python.parents[1].glob("lib/*/site-packages/*.dist-info")]
    assert sorted(installed) == ["beside-1.0.dist-info", "small-1.0.dist-info"]


def test_the_caller_decides_what_is_trusted(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_REQUIRE_HASHES", "1")
    missing, _ = build(engine(tmp_path))
    assert isinstance(missing, Missing)
    assert "--require-hashes" in missing.reason


PROBLEM = '''
"""Half the square."""
def inputs(k):
    return {"x": (k,)}
def loss(ops, x):
    return ops.sum(x * x) / 2
def nosy(x):
    import os
    leaked = {"PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"} & set(os.environ)
    assert not leaked, f"leaked: {leaked}"
    import numpy
    return (x * x).sum() / 2, {"x": x}
gradients = {"nosy": nosy}
'''


def test_the_callers_python_does_not_reach_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('not the NumPy of this environment')")
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"):
        monkeypatch.setenv(name, str(tmp_path))
    problem = tmp_path / "half_square.py"
    problem.write_text(PROBLEM)
    report = gradcheck.check(problem, backends=["nosy"])
    assert report.backends[0].verdict == "agrees", report.backends[0].reason
    assert "PYTHONHOME" not in environments.scrubbed({"PYTHONHOME": "/", "HOME": "/"})


WAITING = '''
"""Half the square, as long as its process is as it should be."""
import gc, os
expected = "{expected}"
def inputs(k):
    return {{"x": (k,)}}
def loss(ops, x):
    return ops.sum(x * x) / 2
def alone(x):
    found = os.environ["OPENBLAS_THREAD_TIMEOUT"], gc.isenabled()
    assert found == (expected, True), found
    return (x * x).sum() / 2, {{"x": x}}
if "{reader}" == "file":
    assert os.environ["OPENBLAS_THREAD_TIMEOUT"] == expected
gradients = {{"alone": alone}}
'''


@pytest.mark.parametrize("setting", [None, "26"])
def test_idle_threads_of_blas_sleep_soon_unless_the_user_sets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str | None
) -> None:
    monkeypatch.delenv("OPENBLAS_THREAD_TIMEOUT", raising=False)
    if setting:
        monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", setting)
    problem = tmp_path / "half_square.py"
    problem.write_text(WAITING.format(expected=setting or "20", reader="gradient"))
    report = gradcheck.check(problem, backends=["alone"])
    assert report.backends[0].verdict == "agrees", report.backends[0].reason
    assert os.environ.get("OPENBLAS_THREAD_TIMEOUT") == setting, "the process that imports gradcheck is its user's"
    problem.write_text(WAITING.format(expected=setting or "20", reader="file"))
    done = subprocess.run([sys.executable, "-m", "gradcheck", "run", str(problem)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
