"""Fixtures: the real command, in a process of its own; an empty cache of environments."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Some of the conformance suite takes minutes, since each dtype is compiled anew: CI runs that too."""
    parser.addoption("--other-dtypes", action="store_true", help="try variants of engines in the dtypes left out else")
    parser.addoption("--thorough", action="store_true", help="try faults at many more moments: minutes, for CI")


FAKES = Path(__file__).parent / "fakes"
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of ours; uv's own stays, so that nothing is downloaded twice."""
    uv_cache = os.environ.get("UV_CACHE_DIR") or subprocess.run(
        [sys.executable, "-m", "uv", "cache", "dir"], capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip
    monkeypatch.setenv("UV_CACHE_DIR", uv_cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gradcheck" / "environments"


@pytest.fixture
def gradcheck(tmp_path: Path) -> Command:
    """Runs `gradcheck WORD...` in an empty folder; `variables` are set, or removed where None."""

    def run(*words: object, **variables: str | None) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADCHECK_")}
        for name, value in variables.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        command = [sys.executable, "-m", "gradcheck", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)

    return run
