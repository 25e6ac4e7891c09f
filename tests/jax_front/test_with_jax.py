"""The table and the dumps, against JAX itself, in the environment that gradcheck builds for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.frameworks import JAX


def test_every_primitive_has_a_row_or_a_reason() -> None:
    found = json.loads(JAX.run("table", "-"))
    assert (found["without"], found["unknown"], found["kept"]) == ([], [], [])
    assert found["primitives"] > 150, "they are known"


def test_the_committed_dumps_are_those_of_jax(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    names = JAX.names if pytestconfig.getoption("--thorough") else ["recurrent", "several", "until"]
    JAX.run("dumping", str(tmp_path), *names)
    for name in names:
        made, committed = json.loads((tmp_path / f"{name}.json").read_text()), JAX.dump(name)
        for key in ("nodes", "outputs", "refused"):
            assert made.get(key) == committed.get(key), name
