"""The main job and its exit codes, through the real command on real engines."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from gradcheck.api import Session
from gradcheck.settings import OPTIONS
from tests.conftest import FAKES, Command

FAULTY = FAKES / "faulty.py"
CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_main_job(gradcheck: Command) -> None:
    done = gradcheck("run", "--k", 3, "--seed", 0)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "sigmoid_skip  k = 3  seed 0  float64  uniform"
    for backend in ("manual", "numpy", "torch", "mxnet"):
        row = next(line for line in lines if line.startswith(backend))
        assert "agrees" in row
        assert "1.19370" in row
    for heading in ("Losses, and the largest error", "Largest absolute differences", "Gradients"):
        assert any(line.startswith(heading) for line in lines)
    assert "C[2][2]" in done.stdout
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout
    assert lines[-1] == "again: gradcheck run sigmoid_skip --k 3 --seed 0 --dtype float64"
    beside = [line for line in lines if not line.startswith(("A[", "B[", "C[", "Gradients"))]
    assert len(beside) - 3 <= 24, "without the head and the rule of the gradients, and one empty line"


def test_the_json_report_is_the_schema_and_repeats_itself(gradcheck: Command) -> None:
    words = ("run", "--k", 2, "--seed", 5, "--dtype", "float32", "--format", "json", "--report", "again.json")
    first, second = (gradcheck(*words) for _ in range(2))
    report = json.loads(first.stdout)
    jsonschema.validate(report, json.loads(gradcheck("schema").stdout))
    assert (report["schema"], report["verdict"], report["exit_code"]) == ("gradcheck-report/1", "agree", 0)
    assert [backend["name"] for backend in report["backends"]] == ["manual", "numpy", "torch", "mxnet"]
    assert len(report["pairs"]) == 6
    for backend in report["backends"]:
        assert np.shape(backend["gradients"]["A"]) == (2, 2)
        assert report["environment"]["backends"][backend["spec"]]["packages"]["numpy"]
    assert comparable(first.stdout) == comparable(second.stdout)
    assert list(report) == sorted(report)


def comparable(text: str) -> str:
    report = json.loads(text)
    del report["environment"]
    for backend in report["backends"]:
        del backend["seconds"]
    return json.dumps(report)


def test_the_replay_command_runs_the_same_case(gradcheck: Command) -> None:
    words = ("-b", "numpy", "--k", 2, "--seed", 9, "--distribution", "mixed", "--scale", "0.5", "--format", "json")
    first = json.loads(gradcheck("run", *words).stdout)
    again = shlex.split(first["case"]["replay"])
    assert again[0] == "gradcheck"
    second = json.loads(gradcheck(*again[1:], "--format", "json").stdout)
    assert second["case"] == first["case"]


def test_the_replay_command_has_all_options_that_differ_from_defaults(gradcheck: Command) -> None:
    done = gradcheck("run", "-b", "numpy", "--watch", "all", "--no-build", GRADCHECK_GATE="rounding")
    assert done.stdout.splitlines()[-1] == (
        "again: gradcheck run sigmoid_skip --k 3 --seed 0 --dtype float64 --backend numpy --gate rounding --watch all"
    ), "a file or a variable may give another gate later"


def test_help_lists_every_option_as_it_is_declared(gradcheck: Command) -> None:
    printed = "".join(gradcheck("run", "--help").stdout.split())
    for option in OPTIONS.values():
        flag = "PROBLEM:" if option.name == "problem" else f"{option.flag}{option.metavar}"
        assert f"{flag}{option.command_help}".replace(" ", "") in printed


def test_a_report_file_has_the_format_of_its_ending(gradcheck: Command, tmp_path: Path) -> None:
    done = gradcheck("run", "-b", "numpy", "--report", tmp_path / "r.json", "--report", tmp_path / "r.txt")
    assert json.loads((tmp_path / "r.json").read_text())["verdict"] == "agree"
    assert (tmp_path / "r.txt").read_text() == done.stdout


@pytest.mark.parametrize("k", [1, 5, 17, 64])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_all_four_agree_at_other_sizes(gradcheck_session: Session, k: int, dtype: str) -> None:
    """Warm workers: what the command adds does not depend on the size."""
    report = gradcheck_session.check("sigmoid_skip", k=k, dtype=dtype, distribution="unit-scaled")
    assert [backend.verdict for backend in report.backends] == ["agrees"] * 4, report
    assert (report.backends[0].gradients is None) == (k > 16)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_dtype_that_an_engine_lacks_is_unsupported_with_the_reason(gradcheck: Command, dtype: str) -> None:
    done = gradcheck("run", "--dtype", dtype, "--format", "json", "-b", "torch", "-b", "mxnet")
    torch, mxnet = json.loads(done.stdout)["backends"]
    assert done.returncode == 3
    assert torch["verdict"] == "agrees"
    assert mxnet["verdict"] == "unsupported"
    assert f"MXNet has no {dtype}" in mxnet["reason"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-b", "right"), 0),
        (("-b", "right", "-b", "wrong_sign"), 1),
        (("-b", "right", "-b", "wrong_sign", "-b", "exits"), 1),
        (("-b", "right", "-b", "exits"), 3),
        (("-b", "right", "-b", "nope"), 2),
        (("--k", "0"), 2),
    ],
)
def test_exit_codes(gradcheck: Command, words: tuple[str, ...], code: int) -> None:
    done = gradcheck("run", FAULTY, *words)
    assert done.returncode == code, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--k", "x"), "--k x: expected a whole number from 1"),
        (("run", "--seed", "-1"), "--seed -1: expected a whole number from 0"),
        (("run", "--dtype", "float"), "--dtype float: did you mean 'float64'? expected float64, float32, float16 or"),
        (("run", "--gate", "proven"), "--gate proven: did you mean 'proved'? expected rounding, formula or proved"),
        (("run", "--watch", "al"), "--watch al: did you mean 'all'? expected named or all"),
        (("run", "--timeout", "0"), "--timeout 0: expected a number of seconds above 0, at most 1000000"),
        (("run", "--kk", "3"), "No such option '--kk'"),
        (("run", "."), "problem '.': a folder: expected the path of a .py file, such as ./layer.py"),
        (("verify", "layer.py"), "layer.py: a problem's file: expected a record, a .json or .npz file; judge its"),
        (("run", "nope"), "problem 'nope': unknown: expected attention, batch_norm"),
        (
            ("run", "attention", "-b", "manual"),
            "backend 'manual': a hand-written gradient of shipped problems: expected a",
        ),
        (("run", "-b", "nope"), "backend 'nope': unknown: expected one of manual, numpy, autograd"),
        (
            ("run", "-b", "torch=2"),
            "backend 'torch=2': expected NAME, NAME==VERSION, NAME@/path/to/python, GRADIENT@ENGINE",
        ),
        (("run", "-b", "numpy", "-b", "numpy"), "backend 'numpy': named twice"),
        (
            ("run", "-b", "numpy==1.26"),
            "'numpy==1.26': a hand-written gradient has no releases: expected numpy",
        ),
        (
            ("run", "--format", "xml"),
            "format 'xml': unknown: expected one of github, html, json, junit, markdown, table",
        ),
        (("run", "--report", "r.yml"), "report 'r.yml': unknown ending: expected one of .html, .json, .xml, .md, .txt"),
        (("run", "--report", "no/r.json"), "report 'no/r.json': no folder 'no'"),
        (("run", "--config", "none.toml"), "config 'none.toml': No such file"),
        (("run", "--inputs", "none.json"), "'none.json': No such file"),
        (("run", "--scale", "1e39", "--dtype", "float32"), "scale 1e+39: uniform inputs overflow float32"),
        (("rn",), "'rn': no such command: did you mean 'run'?"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(gradcheck: Command, words: tuple[str, ...], message: str) -> None:
    done = gradcheck(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_inputs_from_a_file(gradcheck: Command, tmp_path: Path, suffix: str) -> None:
    inputs = {"a": np.array([0.5]), "b": np.array([[-2.0]])}
    if suffix == "npz":
        np.savez(tmp_path / "inputs.npz", **inputs)
    else:
        (tmp_path / "inputs.json").write_text(json.dumps({name: array.tolist() for name, array in inputs.items()}))
    words = ("run", FAULTY, "-b", "right", "--k", 1, "--inputs", tmp_path / f"inputs.{suffix}", "--format", "json")
    report = json.loads(gradcheck(*words).stdout)
    assert report["backends"][0]["loss"] == 4.25
    assert report["backends"][0]["gradients"] == {"a": [1.0], "b": [[-4.0]]}
    assert "--inputs" in report["case"]["replay"]


def test_inputs_from_a_file_determine_the_size(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text(json.dumps({"a": [0.5] * 5, "b": [[1.0] * 5] * 5}))
    words = ("run", FAULTY, "-b", "right", "--inputs", "inputs.json")
    report = json.loads(gradcheck(*words, "--format", "json").stdout)
    assert report["case"]["k"] == 5
    assert "--k 5" in report["case"]["replay"]
    refused = gradcheck(*words, "--k", 4)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "gradcheck: --k 4: inputs.json holds inputs of size 5: expected --k 5, or none\n"
    default = gradcheck(*words, "--k", 3)
    assert (default.returncode, default.stdout) == (2, "")
    assert default.stderr == "gradcheck: --k 3: inputs.json holds inputs of size 5: expected --k 5, or none\n"
    (tmp_path / "three.toml").write_text("k = 3\n")
    assert gradcheck(*words, "--config", "three.toml").returncode == 2
    assert gradcheck(*words, GRADCHECK_K="3").returncode == 2
    (tmp_path / "inputs.json").write_text(json.dumps({"a": [0.5] * 5}))
    assert gradcheck(*words).stderr == "gradcheck: inputs.json: no input 'b': expected a, b\n"


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_every_config_runs(gradcheck: Command, config: Path) -> None:
    done = gradcheck("run", "--config", config)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_the_three_configs_that_the_readme_names() -> None:
    assert {"default.toml", "ci.toml", "float32.toml"} <= {path.name for path in CONFIGS.glob("*.toml")}


def test_an_interpreter_can_be_named(gradcheck: Command, tmp_path: Path) -> None:
    import sys

    done = gradcheck("run", "-b", f"numpy@{sys.executable}", "-b", "torch@/nowhere/python", "--format", "json")
    numpy, torch = json.loads(done.stdout)["backends"]
    assert numpy["verdict"] == "agrees"
    assert (torch["verdict"], torch["reason"]) == ("unavailable", "/nowhere/python is not an executable file")


def test_a_framework_that_cannot_be_imported_is_unavailable(gradcheck: Command) -> None:
    import sys

    done = gradcheck("run", "-b", f"mxnet@{sys.executable}", "--format", "json")
    (mxnet,) = json.loads(done.stdout)["backends"]
    assert mxnet["verdict"] == "unavailable"
    assert "No module named 'mxnet'" in mxnet["reason"]
    assert done.returncode == 3
