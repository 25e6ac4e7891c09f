"""Managed environments, with real uv: built once for all engines that share one, locked, with a manifest."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradcheck.execution import engines, environments
from gradcheck.execution.engines import Spec
from gradcheck.execution.environments import Environment, Missing
from gradcheck.execution.environments.building import base_python
from gradcheck.execution.environments.manifest import manifest_path, read_manifest
from tests.environments.small import HeardLines, build, engine, wheel

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
OLDER = ".".join(f"cp3{minor}" for minor in range(9, sys.version_info[1]))


def test_an_environment_is_built_once_and_found_again(tmp_path: Path, wheels: Path) -> None:
    small = engine(tmp_path)
    missing = environments.find(Spec("small"), small)
    assert isinstance(missing, Missing)
    assert missing.buildable
    assert "gradcheck backends build small" in missing.reason
    built, lines = build(small)
    assert isinstance(built, Environment)
    assert (built.where, built.version) == ("managed", "2.0")
    assert "small: building an environment with small==2.0" in lines
    assert list(built.python.parents[1].rglob("small/__pycache__/*.pyc")), "byte-compiled"
    assert environments.find(Spec("small"), small) == built
    assert build(small)[1] == ["small: complete"], "nothing is done twice"


def test_a_manifest_says_what_was_built_how_large_it_is_and_when(tmp_path: Path, wheels: Path) -> None:
    wheel(wheels, "small", "2.0", content=bytes(3_000_000))
    small = engine(tmp_path)
    build(small)
    manifest = read_manifest(manifest_path(small, None))
    assert manifest is not None
    assert (manifest.distribution, manifest.version, manifest.packages) == ("small", "2.0", {"small": "2.0"})
    assert 3_000_000 < manifest.size < 3_300_000
    assert abs(manifest.built - time.time()) < 60


def test_engines_of_one_distribution_share_an_environment_that_is_built_once(tmp_path: Path, wheels: Path) -> None:
    wanted = {Spec("small"): engine(tmp_path), Spec("small-eager"): engine(tmp_path, "small-eager")}
    listener = HeardLines()
    built = environments.Builder(listener).build(wanted)
    first, second = built.values()
    assert isinstance(first, Environment)
    assert first == second
    assert listener.lines[0] == "small, small-eager: building an environment with small==2.0"
    assert not any("waiting" in line for line in listener.lines)
    assert listener.lines.count("small, small-eager: complete") == 1


def test_a_failure_to_build_a_shared_environment_is_reported_for_each_backend(tmp_path: Path, wheels: Path) -> None:
    wanted = {
        Spec("small"): engine(tmp_path, release="9"),
        Spec("small-eager"): engine(tmp_path, "small-eager", release="9"),
        Spec("beside"): engine(tmp_path, "beside", "beside"),
    }
    listener = HeardLines()
    first, second, beside = environments.Builder(listener).build(wanted).values()
    assert isinstance(first, Missing)
    assert first == second
    assert "try again with: gradcheck backends build small small-eager" in first.reason
    assert isinstance(beside, Environment)
    assert "small, small-eager: cannot be built" in listener.lines
    assert "beside: complete" in listener.lines


def test_an_environment_without_its_manifest_or_its_interpreter_is_built_again(tmp_path: Path, wheels: Path) -> None:
    small = engine(tmp_path)
    built, _ = build(small)
    manifest_path(small, None).unlink()
    assert isinstance(environments.find(Spec("small"), small), Missing)
    again, _ = build(small)
    assert isinstance(again, Environment)
    assert isinstance(built, Environment)
    assert not built.python.exists(), "the half that was left is gone"
    again.python.unlink()
    assert isinstance(environments.find(Spec("small"), small), Missing)
    assert isinstance(build(small)[0], Environment)


@pytest.mark.parametrize(
    ("version", "beside"),
    [(None, ()), ("2.0", ()), ("1.7", ()), ("1.6.9", ("beside<3",)), ("1.5", ("beside<3",)), ("1.0", ("beside<2",))],
)
def test_an_older_release_is_built_with_what_it_needs(
    tmp_path: Path, version: str | None, beside: tuple[str, ...]
) -> None:
    assert engine(tmp_path).packages(version) == (f"small=={version or '2.0'}", *beside)


def test_a_requested_release_has_its_own_environment(tmp_path: Path, wheels: Path) -> None:
    small = engine(tmp_path)
    newest, _ = build(small)
    older, _ = build(small, "1.0")
    assert isinstance(older, Environment)
    assert older.version == "1.0"
    assert newest != older
    listing = [path.name for path in older.python.parents[1].rglob("*.dist-info")]
    assert sorted(listing) == ["beside-1.0.dist-info", "small-1.0.dist-info"]


def test_a_release_only_for_older_pythons_is_built_on_one(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    older = [sys.executable, "-m", "uv", "python", "find", f">=3.9,<{HERE}"]
    if subprocess.run(older, capture_output=True).returncode:
        pytest.skip(f"uv finds no Python older than {HERE} here")
    wheel(wheels, "small", "0.5", python=OLDER)
    built, lines = build(engine(tmp_path), "0.5")
    assert isinstance(built, Environment)
    assert "small==0.5: not for this Python; trying an older one" in lines
    version = subprocess.run([built.python, "-c", "import sys; print(sys.version_info < (3, 9))"], capture_output=True)
    assert version.stdout == b"False\n"


def test_the_first_reason_is_reported_if_an_older_python_does_not_help(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATH", "UV_PYTHON_INSTALL_DIR"):  # no other Python is found
        monkeypatch.setenv(name, str(tmp_path))
    wheel(wheels, "small", "0.5", python=OLDER)
    missing, lines = build(engine(tmp_path), "0.5")
    assert isinstance(missing, Missing)
    assert "small==0.5: not for this Python; trying an older one" in lines
    assert "no wheels with a matching Python" in missing.reason
    own, lines = build(engine(tmp_path, release="0.5"))
    assert isinstance(own, Missing)
    assert not any("older" in line for line in lines), "an engine says itself on which Pythons its own release installs"


def test_the_cpu_build_is_preferred_and_the_registrys_is_the_fallback(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    small = engine(tmp_path, distribution="iniconfig", release="2.0.0")
    options = {sys.platform: ("--index", "http://127.0.0.1:9/nowhere")}  # nothing answers there
    preferring = engines.EngineDeclaration(**{**vars(small), "install_options": options})
    built, lines = build(preferring)
    assert isinstance(built, Environment)
    assert any("cannot be had; trying the registry's own build" in line for line in lines)


def test_uv_gets_the_range_of_pythons_if_this_one_does_not_fit(tmp_path: Path) -> None:
    small = engine(tmp_path)
    assert base_python(small) == getattr(sys, "_base_executable", sys.executable)
    older = engines.EngineDeclaration(**{**vars(small), "python": ((3, 9), (3, 10))})
    assert base_python(older) == ">=3.9,<3.10"


def test_the_current_interpreter_is_taken_where_the_framework_is_installed(tmp_path: Path) -> None:
    here = engines.EngineDeclaration(**{**vars(engine(tmp_path, "here", "msgspec", "0")), "module": "msgspec"})
    found = environments.find(Spec("here"), here)
    assert isinstance(found, Environment)
    assert (found.where, found.python) == ("current", Path(sys.executable))
    requested = environments.find(Spec("here", version="0"), here)
    assert isinstance(requested, Missing), "a requested release is never the current one"
