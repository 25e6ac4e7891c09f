"""Examples in docstrings do what they show."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import gradcheck
import gradcheck.pytest_plugin

PACKAGE = Path(gradcheck.__file__).parent
ELSEWHERE = (PACKAGE / "torch.py", PACKAGE / "jax.py")
"""They need their frameworks: tests/torch_front/checks.py and tests/jax_front/checks.py run their examples."""
WITH_EXAMPLES = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text() and path not in ELSEWHERE]


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_examples(path: Path) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module_of(path)))
    assert tried > 0
    assert failed == 0


def test_the_example_of_the_fixture(tmp_path: Path) -> None:
    text = str(gradcheck.pytest_plugin.__doc__)
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    (tmp_path / "test_example.py").write_text(textwrap.dedent("\n".join(lines)))
    command = [sys.executable, "-m", "pytest", "-q", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
