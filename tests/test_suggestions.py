"""Every unknown name gets a suggestion of a similar name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck.text.suggestions import near
from tests.conftest import Command


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("torhc", "torch"), ("Float32", "float32"), ("jax_eager", "jax-eager"), ("something else", None), ("", None)],
)
def test_the_nearest_name_whatever_its_case(name: str, nearest: str | None) -> None:
    assert near(name, ["torch", "float32", "jax", "jax-eager"]) == nearest


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("rn",), "did you mean 'run'? expected backends, hunt, problems, report"),
        (("layer.py",), "did you mean 'gradcheck run layer.py'?"),
        (("backends", "biuld"), "did you mean 'build'?"),
        (("report",), "Missing argument 'FILE...': expected gradcheck report [OPTIONS] FILE...\n"),
        (("problems", "layer.py"), "did you mean 'gradcheck problems show layer.py'? expected list, new, show"),
        (("help",), "did you mean '--help'?"),
        (("run", "settngs.py"), "problem 'settngs.py': no such file: did you mean 'settings.py'?"),
        (("run", "settings"), "problem 'settings': unknown: did you mean 'settings.py'?"),
        (("run", "-k", 3), "-k: no such option: did you mean '--k'? see --help"),
        (("run", "-b", "numpy,torch"), "exec:/path/to/program for each -b"),
        (("backends", "remove", "mxnte"), "backend 'mxnte': unknown: did you mean 'mxnet'?\n"),
        (("run", "--k", 3, "--distribuiton", "normal"), "Did you mean '--distribution'?"),
        (("run", "-b", "torhc"), "backend 'torhc': unknown: did you mean 'torch'?\n"),
        (("run", "-b", "Numpy"), "did you mean 'numpy'?"),
        (("run", "sigmoidskip"), "problem 'sigmoidskip': unknown: did you mean 'sigmoid_skip'?"),
        (("run", "--dtype", "flaot32"), "--dtype flaot32: did you mean 'float32'? expected float64"),
        (("run", "--distribution", "normla"), "did you mean 'normal'?"),
        (("run", "--gate", "prooved"), "did you mean 'proved'?"),
        (("run", "--format", "jsn"), "format 'jsn': unknown: did you mean 'json'?"),
        (("verify", "--gate", "prove", "record.json"), "--gate prove: did you mean 'proved'?"),
        (("run", "--dtype", "float32,bfloat"), "did you mean 'bfloat16'?"),
        (("problems", "show", "mpl"), "did you mean 'mlp'?"),
        (
            ("run", "--config", "settings.toml"),
            "settings.toml: dtpye = 'float32': unknown setting: did you mean 'dtype'?",
        ),
    ],
)
def test_a_near_name_is_suggested_in_one_line(
    gradcheck: Command, tmp_path: Path, words: tuple[object, ...], meant: str
) -> None:
    (tmp_path / "settings.py").touch()
    (tmp_path / "settings.toml").write_text('dtpye = "float32"\n')
    done = gradcheck(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert meant in done.stderr
    assert done.stderr.count("\n") == 1
