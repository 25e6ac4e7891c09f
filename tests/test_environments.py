"""Managed environments, with real uv: built once, locked, marked when complete, removed; and why one cannot be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradcheck import catalogue, environments
from gradcheck.catalogue import Spec
from gradcheck.environments import Environment, Missing
from tests.conftest import Command

# A small backend of its own, so that building it takes a second: NumPy's array interface is all that it needs.
BACKEND = '''
"""A small engine for tests."""
MODULE = "{module}"
DISTRIBUTION = "{distribution}"
RELEASE = "{release}"
REQUIREMENTS = ()
PYTHON = ((3, 9), None)
FORMATS = {{"float64": {{}}}}
LACKS = {{}}
def load():
    raise ImportError("for tests of building alone")
'''


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of ours; uv's own stays, so that nothing is downloaded twice."""
    uv_cache = os.environ.get("UV_CACHE_DIR") or subprocess.run(
        [sys.executable, "-m", "uv", "cache", "dir"], capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip
    monkeypatch.setenv("UV_CACHE_DIR", uv_cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gradcheck" / "environments"


def engine(tmp_path: Path, distribution: str = "iniconfig", release: str = "2.0.0") -> catalogue.Engine:
    path = tmp_path / "small.py"
    path.write_text(BACKEND.format(module="no_such_module_here", distribution=distribution, release=release))
    return catalogue.read_engine("small", path)


class Told:
    """Notes what a builder says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def building(self, spec: str, text: str) -> None:
        self.lines.append(f"{spec}: {text}")

    def built(self, spec: str) -> None:
        self.lines.append(f"{spec}: built")


def build(small: catalogue.Engine) -> tuple[Environment | Missing, list[str]]:
    told = Told()
    spec = Spec("small")
    return environments.Builder(told).build({spec: small})[spec], told.lines


def test_an_environment_is_built_once_and_found_again(tmp_path: Path, cache: Path) -> None:
    small = engine(tmp_path)
    missing = environments.find(Spec("small"), small)
    assert isinstance(missing, Missing)
    assert missing.buildable
    assert "gradcheck backends build small" in missing.reason
    built, told = build(small)
    assert isinstance(built, Environment)
    assert (built.where, built.version) == ("managed", "2.0.0")
    assert any("building an environment with iniconfig==2.0.0" in line for line in told)
    assert list(built.python.parents[1].rglob("iniconfig/__pycache__/*.pyc")), "byte-compiled"
    assert environments.find(Spec("small"), small) == built
    assert build(small)[1] == ["small: built"], "nothing is done twice"
    assert environments.remove(small) == 1
    assert not built.python.exists()
    assert isinstance(environments.find(Spec("small"), small), Missing)


def test_an_environment_without_its_mark_or_its_interpreter_is_built_again(tmp_path: Path, cache: Path) -> None:
    small = engine(tmp_path)
    built, _ = build(small)
    (mark,) = cache.glob("*.json")
    mark.unlink()
    assert isinstance(environments.find(Spec("small"), small), Missing)
    again, _ = build(small)
    assert isinstance(again, Environment)
    assert not built.python.exists(), "the half that was left is gone"
    again.python.unlink()
    assert isinstance(environments.find(Spec("small"), small), Missing)
    assert isinstance(build(small)[0], Environment)


def test_a_killed_build_is_built_again(tmp_path: Path, cache: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gradcheck", "backends", "build", "mxnet"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "Resolved" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stderr.close()
    assert not list(cache.glob("*.json"))
    mxnet = catalogue.engine("mxnet")
    assert mxnet is not None
    assert isinstance(environments.find(Spec("mxnet"), mxnet), Missing)
    done = subprocess.run(
        [sys.executable, "-m", "gradcheck", "backends", "build", "mxnet"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert isinstance(environments.find(Spec("mxnet"), mxnet), Environment)


def test_ctrl_c_ends_uv_and_leaves_no_mark(cache: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gradcheck", "backends", "build", "mxnet"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    said = process.stderr.read()
    assert process.wait() == 130
    assert time.monotonic() - began < 5
    assert said.endswith("gradcheck: interrupted\n")
    assert "Traceback" not in said
    assert not list(cache.glob("*.json"))
    process.stderr.close()


def test_two_builders_at_once_build_once(tmp_path: Path, cache: Path) -> None:
    command = [sys.executable, "-m", "gradcheck", "backends", "build", "mxnet"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0][0] == outputs[1][0]
    assert sum("building an environment" in said for _, said in outputs) == 1
    assert sum("waiting for another builder" in said for _, said in outputs) == 1
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_a_release_that_does_not_exist_is_unavailable_with_uvs_reason(tmp_path: Path, cache: Path) -> None:
    missing, _ = build(engine(tmp_path, release="0.0.0.999"))
    assert isinstance(missing, Missing)
    assert "iniconfig==0.0.0.999" in missing.reason
    assert "try again with: gradcheck backends build small" in missing.reason
    assert "\n" not in missing.reason
    assert not list(cache.glob("*.json"))


def test_without_network_a_backend_is_unavailable(gradcheck: Command, cache: Path, tmp_path: Path) -> None:
    nowhere = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")}
    done = gradcheck("run", "-b", "numpy", "-b", "mxnet", "--format", "json", **nowhere)
    numpy, mxnet = json.loads(done.stdout)["backends"]
    assert numpy["verdict"] == "agrees"
    assert mxnet["verdict"] == "unavailable"
    assert "uv could not build it" in mxnet["reason"]
    assert "gradcheck backends build mxnet" in mxnet["reason"]
    assert done.returncode == 3


def test_no_build_never_builds(gradcheck: Command, cache: Path) -> None:
    done = gradcheck("run", "-b", "mxnet", "--no-build", "--format", "json")
    (mxnet,) = json.loads(done.stdout)["backends"]
    assert mxnet["verdict"] == "unavailable"
    assert "gradcheck backends build mxnet" in mxnet["reason"]
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_a_verdict(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = gradcheck("run", "-b", "mxnet", "--format", "json", XDG_CACHE_HOME=str(tmp_path / "file"))
    (mxnet,) = json.loads(done.stdout)["backends"]
    assert mxnet["verdict"] == "unavailable"
    assert "cannot build in" in mxnet["reason"]


def test_listing_building_and_removing(gradcheck: Command, cache: Path) -> None:
    before = gradcheck("backends").stdout
    assert "mxnet        1.9.1          missing            float64 float32\n" in before
    assert "build its environment with: gradcheck backends build mxnet" in before
    built = gradcheck("backends", "build", "mxnet")
    assert built.returncode == 0
    assert built.stdout.startswith("mxnet: ")
    assert "mxnet        1.9.1          ready (managed)    float64 float32\n" in gradcheck("backends").stdout
    assert gradcheck("backends", "remove", "mxnet").stdout == "mxnet: 1 environment removed\n"
    assert gradcheck("backends", "remove", "mxnet").stdout == "mxnet: 0 environments removed\n"
    assert gradcheck("backends", "build", "nope").returncode == 2


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
def test_pips_settings_are_handed_on_where_uv_has_none(caller: dict[str, str], handed_on: dict[str, str]) -> None:
    assert environments.index_settings(caller) == handed_on


def test_the_cpu_build_is_preferred_and_the_registrys_is_the_fallback(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    small = engine(tmp_path)
    options = {sys.platform: ("--index", "http://127.0.0.1:9/nowhere")}  # nothing answers there
    preferring = catalogue.Engine(**{**vars(small), "install_options": options})
    built, told = build(preferring)
    assert isinstance(built, Environment)
    assert any("cannot be had; trying the registry's own build" in line for line in told)


def test_the_range_of_pythons_is_asked_for_where_this_one_does_not_fit(tmp_path: Path) -> None:
    small = engine(tmp_path)
    assert environments.base_python(small) == getattr(sys, "_base_executable", sys.executable)
    older = catalogue.Engine(**{**vars(small), "python": ((3, 9), (3, 10))})
    assert environments.base_python(older) == ">=3.9,<3.10"


def test_the_current_interpreter_is_taken_where_the_framework_is_installed(tmp_path: Path) -> None:
    path = tmp_path / "here.py"
    path.write_text(BACKEND.format(module="msgspec", distribution="msgspec", release="0"))
    found = environments.find(Spec("here"), catalogue.read_engine("here", path))
    assert isinstance(found, Environment)
    assert (found.where, found.python) == ("current", Path(sys.executable))
    asked = environments.find(Spec("here", version="0"), catalogue.read_engine("here", path))
    assert isinstance(asked, Missing), "a release that was asked for is never the current one"
