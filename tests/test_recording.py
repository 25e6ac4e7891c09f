"""A loss is recorded in gradcheck's own process, twice: it must be the same loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.errors import ProblemError
from gradcheck.graphs import record
from gradcheck.problems.recording import graph_of

FILE = """import numpy as np

COUNT = [0]


def inputs():
    return {"x": (3,)}


def loss(x):
    COUNT[0] += 1
    y = x * 2
    return np.sum(LINE)
"""


@pytest.mark.parametrize(
    "line", ["y * np.random.normal(size=3)", "y * COUNT[0]", "np.tanh(y) if COUNT[0] % 2 else np.exp(y)"]
)
def test_a_loss_that_changes_the_second_time_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "problem.py"
    path.write_text(FILE.replace("LINE", line))
    with pytest.raises(ProblemError, match="draw random arrays in sample") as caught:
        graph_of(problems.load(str(path)), None)
    assert str(caught.value).startswith(f"{path}:13: ")


def test_a_fixed_mask_is_a_constant(tmp_path: Path) -> None:
    path = tmp_path / "problem.py"
    path.write_text(FILE.replace("LINE", "y * np.random.default_rng(0).normal(size=3)"))
    [mask] = graph_of(problems.load(str(path)), None).constants.values()
    assert np.array_equal(mask, np.random.default_rng(0).normal(size=3))


def rebound(x):
    y = x * 2
    y = y + 1
    z = y * y
    for scale in (1.0, 2.0):
        h = z * scale
    while scale < 3.0:
        g = h * scale
        scale += 1
    same, idle = z, x + 1
    assert idle.shape == (3,)
    return np.sum(g * same)


def test_variables_that_are_assigned_once_are_watched_under_their_first_names() -> None:
    assert list(record(rebound, {"x": (3,)}).watched) == ["z"]


def test_an_array_with_a_values_shape_rounds_like_the_value() -> None:
    def loss(x):
        return np.sum(x * (np.ones_like(x) / 3 * 3))

    words = [node.word for node in record(loss, {"x": (3,)}).nodes]
    assert words.count("mul") == 2
    assert words.count("truediv") == 1
