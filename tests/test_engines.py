"""Reports name what engines lack, with the reason: without a check it would be a wrong gradient or a crash."""

from __future__ import annotations

import json


def answers(gradcheck, *words, **variables):
    """The rows of a report, by backend."""
    report = json.loads(gradcheck("run", "--format", "json", *words, **variables).stdout)
    return {row["spec"]: row for row in report["backends"]}


def test_mlx_refuses_functions_that_it_computes_in_float32_instead_of_float64(gradcheck):
    row = answers(gradcheck, "sigmoid_skip", "-b", "mlx")["mlx"]
    assert row["verdict"] == "unsupported"
    assert "computes it in float32, not in the requested float64: off by 1." in row["reason"]


def test_mlx_answers_in_float64_where_its_functions_are_right(gradcheck):
    assert answers(gradcheck, "mlp", "-b", "mlx")["mlx"]["verdict"] == "agrees"


def test_a_compiler_that_is_missing_is_unsupported_and_leaves_nothing_in_the_folder(gradcheck, tmp_path):
    cache = tmp_path / "cache"
    row = answers(gradcheck, "-b", "torch-compile", CXX="/no/such/compiler", TORCHINDUCTOR_CACHE_DIR=str(cache))
    assert row["torch-compile"]["verdict"] == "unsupported"
    assert "No working C++ compiler found" in row["torch-compile"]["reason"]
    assert set(tmp_path.iterdir()) <= {cache}


def test_forward_mode_gives_every_gradient(gradcheck):
    row = answers(gradcheck, "sigmoid_skip", "--k", "2", "-b", "torch-forward")["torch-forward"]
    assert (row["verdict"], set(row["gradients"])) == ("agrees", {"A", "B", "C"})
