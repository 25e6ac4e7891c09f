"""Without a request, or without a comparison, nothing agrees: inputs that became zero, rows without a run, exits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.dtypes import DTYPES
from gradcheck.errors import ProblemError, RequestError
from gradcheck.execution import engines
from gradcheck.problems import cases
from gradcheck.problems._checks import checked_functions
from tests.conftest import FAKES, Command

FAULTY = FAKES / "faulty.py"
SKIP = problems.load("sigmoid_skip")
ENDING = '''"""Sum of squares; the second gradient would end its process."""

import os

import numpy as np


def inputs(k):
    return {"a": (k,)}


def loss(ops, a):
    return ops.sum(a * a)


def right(a):
    return np.sum(a * a), {"a": 2 * a}


def ending(a):
    STATEMENT


gradients = {"right": right, "ending": ending}
'''


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--distribution", "tiny", "--dtype", "float16"),
            "scale 1: tiny inputs underflow to 0 in float16: expected a larger scale",
        ),
        (
            ("--scale", "1e-50", "--dtype", "float32"),
            "scale 1e-50: uniform inputs underflow to 0 in float32: expected a larger scale",
        ),
        (
            ("--scale", "1e-300", "--distribution", "tiny"),
            "scale 1e-300: tiny inputs underflow to 0 in float64: expected a larger scale",
        ),
    ],
)
def test_inputs_that_all_underflow_are_refused(gradcheck: Command, words: tuple[str, ...], message: str) -> None:
    """At zero a gradient with a wrong factor is right."""
    done = gradcheck("run", FAULTY, "-b", "wrong_sign", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"gradcheck: {message}\n"


def test_inputs_from_a_file_that_all_underflow_are_refused(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text(json.dumps({"a": [1e-60], "b": [[1.0]]}))
    done = gradcheck("run", FAULTY, "-b", "right", "--k", 1, "--inputs", "inputs.json", "--dtype", "float32")
    assert done.returncode == 2
    assert done.stderr == "gradcheck: inputs.json: a underflows to 0 in float32: expected larger numbers\n"


def test_inputs_of_a_problem_that_all_underflow_are_refused(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(
        "def inputs(k): return {'a': (k,)}\n"
        "def loss(ops, a): return ops.sum(a)\n"
        "def sample(rng, k): return {'a': [1e-60] * k}\n"
    )
    small = problems.load(str(tmp_path / "small.py"))
    with pytest.raises(RequestError, match="sample's a underflows to 0 in float32: expected a wider dtype"):
        cases.sample(small, 3, 0, "float32")


def test_the_report_counts_inputs_that_underflow(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text(json.dumps({"a": [1e-60, 1.0], "b": [[1.0, 0.0], [0.0, 1.0]]}))
    words = ("run", FAULTY, "-b", "right", "--k", 2, "--inputs", "inputs.json", "--dtype", "float32")
    note = "1 of 2 entries of a underflow to 0 in float32"
    assert json.loads(gradcheck(*words, "--format", "json").stdout)["case"]["notes"] == [note]
    assert note in gradcheck(*words).stdout.splitlines()


@pytest.mark.parametrize("dtype", DTYPES)
def test_drawn_zeros_are_not_an_underflow(dtype: str) -> None:
    assert cases.sample(SKIP, 5, 1, dtype, "zeros").notes == ()
    assert cases.sample(SKIP, 5, 1, dtype, "uniform").notes == ()
    counted = cases.sample(SKIP, 40, 1, dtype, "subnormal")
    lost = sum(np.count_nonzero(array == 0) for array in counted.inputs.values())
    assert sum(int(note.split()[0]) for note in counted.notes) == lost


def test_an_expectation_without_any_run_is_refused(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("# k = 3, seed 0\nmlp float64 numpy agrees 0.1\n")
    for words in ((), ("--expect", "m.txt")):
        done = gradcheck("run", "mlp", "-b", "manual", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(
            "gradcheck: backend 'manual': a hand-written gradient of shipped problems: expected"
        )


@pytest.mark.parametrize("name", ["torch", "jax-eager", "central-difference"])
def test_a_gradient_with_an_engines_name_is_refused(gradcheck: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.py").write_text(ENDING.replace('"ending"', repr(name)))
    done = gradcheck("run", "mine.py", "-b", name, "--no-build")
    assert done.returncode == 2
    message = f"mine.py: gradients names {name!r}, which is an engine: expected another name"
    assert done.stderr.splitlines()[-1].endswith(message)


@pytest.mark.parametrize("name", ["a==1", "a@b", "exec:a", "", " ", "7", "-a", "a b", "é", 7, None])
def test_a_gradient_with_a_name_that_no_backend_may_have_is_refused(name: object) -> None:
    with pytest.raises(ProblemError, match=r"mine\.py: gradients names .*: expected a "):
        checked_functions(Path("mine.py"), "gradients", {name: print})


@pytest.mark.parametrize("name", ["mine", "A", "v1.2", "my-own_gradient", "numpy", "manual", "jax_eager"])
def test_other_names_of_gradients_name_backends(name: str) -> None:
    assert tuple(checked_functions(Path("mine.py"), "gradients", {name: print})) == (name,)
    assert engines.parse(name) == engines.Spec(name)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("raise SystemExit(0)", "ending.py:21: SystemExit: 0"),
        ("raise KeyboardInterrupt", "ending.py:21: KeyboardInterrupt"),
        ("raise GeneratorExit", "ending.py:21: GeneratorExit"),
        ("os._exit(0)", "exited with code 0"),
        ("return undefined", "ending.py:21: NameError: name 'undefined' is not defined"),
        ("return np.reshape(a, (7, 7))", "ending.py:21: ValueError: cannot reshape array of size 3 into shape (7,7)"),
    ],
)
def test_a_gradient_that_raises_or_would_end_its_process_is_its_own_crash(
    gradcheck: Command, tmp_path: Path, statement: str, reason: str
) -> None:
    (tmp_path / "ending.py").write_text(ENDING.replace("STATEMENT", statement))
    done = gradcheck("run", "ending.py", "-b", "ending", "-b", "right", "--format", "json")
    ending, right = json.loads(done.stdout)["backends"]
    assert ending["verdict"] == "crashed"
    assert ending["reason"].removeprefix(f"{tmp_path}/") == reason
    assert right["verdict"] == "agrees"
    assert done.returncode == 3
