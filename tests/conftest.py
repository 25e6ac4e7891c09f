"""Fixtures: the real command, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FAKES = Path(__file__).parent / "fakes"
Command = Callable[..., subprocess.CompletedProcess[str]]


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
