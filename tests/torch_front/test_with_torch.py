"""The table and the dumps, against PyTorch itself, in the environment that gradcheck builds for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.frameworks import TORCH, array


def test_every_core_operator_has_a_row_or_a_reason() -> None:
    found = json.loads(TORCH.run("table"))
    assert (found["without"], found["unknown"]) == ([], [])
    assert found["core"] > 180, "the tag is known"


DRAWN = ("dropped", "noisy")
"""Functions that draw numbers: their answers differ from run to run."""


def test_the_committed_dumps_are_those_of_pytorch(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    names = TORCH.names if pytestconfig.getoption("--thorough") else ["in_place", "several", "text"]
    TORCH.run("dumping", str(tmp_path), *names)
    for name in names:
        made, committed = json.loads((tmp_path / f"{name}.json").read_text()), TORCH.dump(name)
        assert made["nodes"] == committed["nodes"], name
        for key, answer in committed["answers"].items() if name not in DRAWN else ():
            np.testing.assert_allclose(array(made["answers"][key]), answer, rtol=1e-9, atol=1e-9)
