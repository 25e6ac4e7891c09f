"""A loss in NumPy is called on arrays too: it must compute there what was recorded."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.api import Session
from gradcheck.errors import ProblemError
from gradcheck.judging import judge
from gradcheck.oracle import Format
from gradcheck.problems import cases
from gradcheck.problems.cases import DISTRIBUTIONS
from gradcheck.runs.same_loss import check_same_loss
from tests.conftest import Command
from tests.graphs.test_numpy import EVERY, EVERY_SHAPE, loss_of
from tests.recorded import record_tape

pytest_plugins = ["pytester"]

FILE = """
import math
import sys
import numpy as np


def inputs(k):
    return {"x": (k,), "s": (), "t": (k,), "m": (k,)}


def sample(rng, k):
    return {"t": rng.integers(5, size=k), "m": rng.uniform(size=k) < 0.5}


def loss(x, s, t, m):
    BODY


def mine(x, s, t, m):
    return np.sum(x * x) + s * s, {"x": 2 * x, "s": 2 * s}


gradients = {"mine": mine}
"""
RIGHT = "return np.sum(x * x) + s * s"
OF_TYPE = f"if isinstance(x, np.ndarray):\n        return np.sum(x**3)\n    {RIGHT}"
CAUGHT = "a = np.sum(x * x) + s * s\n    try:\n        return math.sqrt(a)\n    except Exception:\n        return a"
ON_ARRAYS = f"if isinstance(x, np.ndarray):\n        THIS\n    {RIGHT}"


def written(folder: Path, body: str) -> Path:
    path = folder / "problem.py"
    path.write_text(FILE.replace("BODY", body))
    return path


def refused(path: Path, **options: object) -> str:
    """The message with which a check is refused."""
    with Session() as session, pytest.raises(ProblemError) as caught:
        session.check(path, **{"k": 3, **options})
    return str(caught.value)


@pytest.mark.parametrize("body", [OF_TYPE, CAUGHT])
def test_a_loss_of_another_path_is_refused_in_one_line(gradcheck: Command, tmp_path: Path, body: str) -> None:
    path = written(tmp_path, body)
    for command in (("run", path, "--k", 3), ("run", path, "--k", "3,4", "-b", "mine")):
        done = gradcheck(*command)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert re.search(rf"{path}:15: loss computes \S+ on arrays, and \S+ while it is recorded: ", done.stderr)
        assert "expected the same path for arrays and recorded values" in done.stderr


def test_both_numbers_are_those_of_the_two_paths(tmp_path: Path) -> None:
    message = refused(written(tmp_path, "return np.sum(x * 0) + (3.0 if isinstance(x, np.ndarray) else 4.0)"))
    assert "loss computes 3 on arrays, and 4 while it is recorded" in message


def test_a_small_difference_is_found_and_shown(tmp_path: Path) -> None:
    message = refused(written(tmp_path, "return np.sum(x * 0) + (1.0 if isinstance(x, np.ndarray) else 1 + 1e-12)"))
    assert "loss computes 1 on arrays, and 1.000000000001 while it is recorded" in message


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_loss_of_another_path_is_refused_in_every_dtype(tmp_path: Path, dtype: str) -> None:
    assert "on arrays, and" in refused(written(tmp_path, OF_TYPE), dtype=dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_loss_of_one_path_is_judged_in_every_dtype_and_distribution(tmp_path: Path, dtype: str) -> None:
    path = written(tmp_path, RIGHT)
    with Session() as session:
        for distribution in DISTRIBUTIONS.keys() - ({"tiny"} if dtype == "float16" else set()):
            report = session.check(path, k=3, dtype=dtype, distribution=distribution)
            assert report.exit_code == 0 or report.backends[0].verdict == "undecided"


EVERY_INPUT = f"""
def inputs():
    return {EVERY_SHAPE}

def sample(rng):
    return {{"i": rng.integers(4, size=3), "m": rng.uniform(size=3) < 0.5}}

def loss(A, x, s, T, i, m):
    pass
"""


@pytest.mark.parametrize("expression", EVERY)
def test_every_function_computes_on_arrays_what_is_recorded(tmp_path: Path, expression: str) -> None:
    path = tmp_path / "problem.py"
    path.write_text(EVERY_INPUT)
    problem = replace(problems.load(str(path)), loss=loss_of(expression), wrt=("x",))
    tape = record_tape(problem, None)
    for dtype, distribution in itertools.product(("float64", "float16"), ("uniform", "mixed")):
        case = cases.sample(problem, None, 0, dtype, distribution)
        check_same_loss(case, [judge.truth(tape, case.inputs, Format.of(dtype))])


def test_a_loss_gets_float64_integers_and_booleans_as_arrays(tmp_path: Path) -> None:
    tests = "assert [a.dtype.name for a in (x, s, t, m)] == ['float64', 'float64', 'int64', 'bool']"
    path = written(tmp_path, ON_ARRAYS.replace("THIS", tests))
    with Session() as session:
        assert session.check(path, k=3, dtype="float32").exit_code == 0


def test_a_loss_is_called_once_on_the_arrays_of_a_case(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    path = written(
        tmp_path, ON_ARRAYS.replace("THIS", f"with open({str(calls)!r}, 'a') as file: print(x.tolist(), file=file)")
    )
    with Session() as session:
        reports = [session.check(path, k=3, seed=seed, backends=["mine", "central-difference"]) for seed in (1, 2)]
    assert [report.exit_code for report in reports] == [0, 0]
    first, second = map(json.loads, calls.read_text().splitlines())
    assert first != second


def test_nothing_is_claimed_where_the_loss_has_no_value(gradcheck: Command, tmp_path: Path) -> None:
    done = gradcheck("run", written(tmp_path, "return np.sum(np.log(-1 - x * x)) + s * s"), "--k", 3)
    assert "the loss has no" in done.stdout
    assert done.stderr == "", "NumPy's warning about log would be one about gradcheck's own call"


def test_a_loss_that_fails_on_arrays_alone_is_refused_with_its_line(gradcheck: Command, tmp_path: Path) -> None:
    path = written(tmp_path, "y = np.sum(x * x)\n    return x.sum(0, False) * 0 + y")
    done = gradcheck("run", path, "--k", 3)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert f"{path}:17: loss raised TypeError: " in done.stderr
    assert "on arrays: expected a loss that runs on NumPy arrays" in done.stderr


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("return None", ":15: the loss returns None on arrays: expected one number"),
        ("return x", ":15: the loss returns a NumPy array of shape (3,) on arrays: expected one number"),
        ("return np.sum(x) + 0j", "on arrays: expected one number"),
        ("x[0] = 1.0", ":15: loss changes its input x: expected inputs that stay as they are"),
        ("s += 1", ":15: loss changes its input s: expected inputs that stay as they are"),
        ("sys.exit(0)", ": loss called sys.exit(0): expected code that returns"),
        ("while True: pass", ": loss took longer than 2 s: expected code that ends"),
    ],
)
def test_code_that_runs_on_arrays_alone_is_guarded(tmp_path: Path, statement: str, expected: str) -> None:
    path = written(tmp_path, ON_ARRAYS.replace("THIS", statement))
    message = refused(path, timeout=2)
    assert message.startswith(str(path))
    assert expected in message


def test_what_a_loss_prints_on_arrays_goes_to_standard_error(gradcheck: Command, tmp_path: Path) -> None:
    path = written(tmp_path, ON_ARRAYS.replace("THIS", "print('mine')"))
    done = gradcheck("run", path, "--k", 3, "--format", "json")
    assert json.loads(done.stdout)["verdict"] == "agree"
    assert done.stderr == "mine\n"


def test_a_record_is_not_judged_by_a_loss_of_another_path(gradcheck: Command, tmp_path: Path) -> None:
    written(tmp_path, OF_TYPE)
    inputs = {"x": [1.0, 2.0], "s": 1.0, "t": [0, 1], "m": [True, False]}
    answer = {"dtype": "float64", "loss": 6.0, "gradients": {"x": [2.0, 4.0], "s": 2.0}}
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"problem": "problem.py", "inputs": inputs, "answers": {"mine": answer}}))
    done = gradcheck("verify", record)
    assert (done.returncode, done.stdout) == (2, "")
    assert "loss computes 9 on arrays, and 6 while it is recorded" in done.stderr
    written(tmp_path, RIGHT)
    assert gradcheck("verify", record).returncode == 0


def two_paths(x):
    if isinstance(x, np.ndarray):
        return np.sum(x**2)
    return np.sum(x)


def test_a_function_of_another_path_is_refused_with_its_own_line() -> None:
    with Session() as session, pytest.raises(ProblemError) as caught:
        session.check(two_paths, inputs={"x": (3,)}, gradients={"mine": gradient})
    assert str(caught.value).startswith(f"{__file__}:{two_paths.__code__.co_firstlineno}: loss computes ")


def gradient(x):
    return np.sum(x**2), {"x": 2 * x}


def test_the_fixture_refuses_a_loss_of_another_path(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    written(pytester.path, OF_TYPE)
    pytester.makepyfile(test_it="def test_layer(gradcheck):\n    gradcheck('problem.py', k=3)\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*problem.py:15: loss computes * on arrays, and * while it is recorded: *"])
