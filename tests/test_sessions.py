"""The Python API: checks from Python, problems as functions, warm workers."""

from __future__ import annotations

import functools
import inspect
import shlex
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcheck
from gradcheck.execution import pool
from gradcheck.execution.worker import Worker
from gradcheck.settings import OPTIONS
from tests.conftest import FAKES, Command

FAULTY = FAKES / "faulty.py"
FACTOR = 2.0


def doubled(x):
    return x * FACTOR


def loss(ops, W, x):
    """Twice the squares of a layer's outputs."""
    h = ops.watch("h", ops.matmul(W, x))
    return ops.sum(doubled(h) * h)


def shapes(k):
    return {"W": (k, 2), "x": (2,)}


def right(W, x):
    h = W @ x
    return FACTOR * np.sum(h * h), {"W": np.outer(2 * FACTOR * h, x), "h": 2 * FACTOR * h}, {"h": h}


def forgets_the_factor(W, x):
    h = W @ x
    return FACTOR * np.sum(h * h), {"W": np.outer(2 * h, x), "h": 2 * h}, {"h": h}


def test_a_check_of_a_file() -> None:
    report = gradcheck.check(FAULTY, k=2, seed=1, dtype="float32", backends=["right", "wrong_sign"])
    assert isinstance(report, gradcheck.Report)
    assert [backend.verdict for backend in report.backends] == ["agrees", "differs"]
    assert (report.verdict, report.exit_code, report.case.k) == ("differ", 1, 2)
    with pytest.raises(
        AssertionError, match=r"wrong_sign: differs \(proved\): dL/db is proved wrong in 4 of 4 entries"
    ):
        report.assert_agrees()


def test_a_check_that_agrees() -> None:
    gradcheck.check("sigmoid_skip", backends=["numpy"]).assert_agrees()


def test_a_problem_given_as_functions_runs_in_every_engine() -> None:
    report = gradcheck.check(
        loss, inputs=shapes, wrt=["W"], gradients={"mine": right}, k=4, backends=["mine", "torch", "mxnet"]
    )
    report.assert_agrees()
    assert [backend.errors["W"].entries for backend in report.backends] == [8, 8, 8]


def test_a_loss_and_its_gradient_may_be_lambdas() -> None:
    factor, half = 0.5, lambda x: np.sum(x) / 2
    pairs = [
        (lambda x: np.sum(x * x) * factor, lambda x: (np.sum(x * x) * factor, {"x": 2 * factor * x})),
        (
            lambda x: half(x),
            lambda x: (
                half(x),
                {"x": np.ones(3) / 3},
            ),
        ),
    ]
    reports = [
        gradcheck.check(loss, inputs={"x": (3,)}, gradients={"mine": by_hand}, backends=["mine"])
        for loss, by_hand in pairs
    ]
    assert [report.backends[0].verdict for report in reports] == ["agrees", "differs"]
    source = reports[1].backends[0].first_wrong.source
    assert Path(source.file).name == "test_sessions.py"
    assert "lambda x: np.sum(x) / 2" in source.text


def test_a_wrong_gradient_given_as_a_function_is_found_at_its_step(gradcheck: Command) -> None:
    import gradcheck as api

    report = api.check(loss, inputs=shapes(3), wrt=["W"], gradients={"mine": forgets_the_factor}, backends=["mine"])
    (mine,) = report.backends
    assert mine.first_wrong is not None
    assert (mine.first_wrong.kind, mine.first_wrong.name) == ("adjoint", "h")
    again = gradcheck(*shlex.split(report.case.replay)[1:])
    assert "mine: differs (proved): dL/dh is proved wrong in 3 of 3 entries" in again.stdout


def test_a_function_whose_surroundings_cannot_be_written_is_refused() -> None:
    table = {1: 2}

    def uses_table(ops, x):
        return ops.sum(x) * table[1]

    with pytest.raises(gradcheck.RequestError, match=r"uses_table uses table = .*write the problem as a file instead"):
        gradcheck.check(uses_table, inputs={"x": (2,)})
    with pytest.raises(gradcheck.RequestError, match=r"expected a function made with def or lambda, .*\.torch"):
        gradcheck.check(functools.partial(loss, x=1), inputs={"W": (2,)})
    with pytest.raises(gradcheck.RequestError, match=r"loss: inputs is of type tuple: expected shapes .*\.jax"):
        gradcheck.check(loss, inputs=(np.ones(3),))
    with pytest.raises(gradcheck.RequestError, match="loss: no inputs: expected inputs="):
        gradcheck.check(loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k=0: expected a whole number from 1"),
        ({"k": 2.5}, "k=2.5: expected a whole number from 1"),
        ({"k": np.True_}, "k=np.True_: expected a whole number from 1"),
        ({"k": [1, 2]}, r"k=\[1, 2\]: several values: expected one; gradcheck.sweep takes several"),
        ({"seed": range(3)}, r"seed=range\(0, 3\): several values: expected one; gradcheck.sweep takes several"),
        ({"dtype": "float"}, r"dtype='float': did you mean 'float64'\? expected float64"),
        ({"backends": ["nope"]}, "backend 'nope': unknown"),
        ({"backends": "numpy"}, r"backends='numpy': did you mean \['numpy'\]\? expected a list of backends, each NAME"),
        ({"watch": "al"}, r"watch='al': did you mean 'all'\? expected named or all"),
        ({"kk": 3}, r"kk=3: unknown option: did you mean 'k'\?$"),
        ({"backend": ["numpy"]}, r"unknown option: did you mean 'backends'\?"),
        ({"input": {"x": (2,)}}, r"unknown option: did you mean 'inputs'\?"),
        ({"scale": float("nan")}, "scale=nan: expected a finite number"),
    ],
)
def test_a_wrong_argument_is_refused_with_its_value(options: dict[str, object], message: str) -> None:
    with pytest.raises(gradcheck.RequestError, match=message):
        gradcheck.check("sigmoid_skip", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"inputs": {"a": 3}},
            r"loss: inputs\['a'\] is of type int: expected its shape, such as \(3, 4\), or an array",
        ),
        ({"inputs": {"a": "3"}}, r"loss: inputs\['a'\] is of type str: expected its shape"),
        ({"inputs": {"a": (3,)}, "gradients": print}, "loss: gradients is a builtin_function_or_method: expected a"),
    ],
)
def test_a_wrong_part_of_a_function_is_refused(options: dict[str, object], message: str) -> None:
    def loss(a):
        return np.sum(a)

    with pytest.raises(gradcheck.RequestError, match=message):
        gradcheck.check(loss, **options)


def test_help_of_a_check_shows_every_option_and_its_default() -> None:
    shown = inspect.signature(gradcheck.Session.check).parameters
    options = {option.keyword: option for option in OPTIONS.values() if option.keyword not in (None, "problem")}
    options = {name: option for name, option in options.items() if not option.of_many}
    assert {name: shown[name].default for name in options} == {name: each.default for name, each in options.items()}
    assert all(f"\n    {name}: {each.help}" in gradcheck.Session.check.__doc__ for name, each in options.items())


def test_a_problem_can_be_looked_at() -> None:
    problem = gradcheck.load_problem("sigmoid_skip")
    assert isinstance(problem, gradcheck.Problem)
    assert problem.gradients == ("manual", "numpy")
    given = gradcheck.load_problem(loss, inputs=shapes)
    assert given.title == "Twice the squares of a layer's outputs."
    with pytest.raises(gradcheck.RequestError, match="unknown"):
        gradcheck.load_problem("nope")


def test_workers_stay_warm_and_lost_ones_come_back(tmp_path: Path) -> None:
    with gradcheck.Session() as session:
        seconds = []
        for seed in range(20):
            began = time.perf_counter()
            session.check("sigmoid_skip", seed=seed, backends=["manual", "numpy", "torch"]).assert_agrees()
            seconds.append(time.perf_counter() - began)
        assert statistics.median(seconds[1:]) < seconds[0] / 10
        crashed = session.check(FAULTY, backends=["exits", "right"])
        assert [backend.verdict for backend in crashed.backends] == ["crashed", "agrees"]
        again = session.check(FAULTY, backends=["exits", "right"])
        assert [backend.verdict for backend in again.backends] == ["crashed", "agrees"]


FAILS_ONCE = """
import numpy as np, os, pathlib
marker = pathlib.Path(__file__).with_suffix(".marker")
def inputs(k): return {"a": (k,)}
wrt = ("a",)
def loss(ops, a): return ops.sum(a * a)
def mine(a):
    if not marker.exists():
        marker.touch()
        os._exit(1)
    return np.sum(a * a), {"a": 2 * a}
gradients = {"mine": mine}
"""


def test_a_lost_worker_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "fails_once.py"
    path.write_text(FAILS_ONCE)
    with gradcheck.Session() as session:
        verdicts = [session.check(path, k=2, backends=["mine"]).backends[0].verdict for _ in range(2)]
    assert verdicts == ["crashed", "agrees"]


def test_a_worker_starts_before_the_file_is_read_and_ends_where_it_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Worker] = []

    def start(*arguments: Any) -> Worker:
        started.append(Worker(*arguments))
        return started[-1]

    monkeypatch.setattr(pool, "Worker", start)
    (tmp_path / "problem.py").write_text("import numpy\n1 / 0\n")
    with gradcheck.Session() as session:
        with pytest.raises(gradcheck.errors.ProblemError, match="ZeroDivisionError"):
            session.check(tmp_path / "problem.py", backends=["mine"])
        assert [worker.ended_by(0.0) for worker in started] == [True]
        session.check(FAULTY, k=2, backends=["right"]).assert_agrees()
        session.check(FAULTY, k=2, seed=1, backends=["right"]).assert_agrees()
        with pytest.raises(gradcheck.errors.RequestError, match="unknown"):
            session.check(FAULTY, k=2, backends=["right", "wronged"])
        assert [worker.ended_by(0.0) for worker in started] == [True, False, True]


def test_an_interrupted_check_leaves_no_answer_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradcheck.judging import judge

    with gradcheck.Session() as session:
        session.check("sigmoid_skip", backends=["manual", "numpy"]).assert_agrees()
        with monkeypatch.context() as patched:
            patched.setattr(judge, "truth", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):  # like Ctrl-C in a notebook, after the requests to the workers
                session.check("sigmoid_skip", seed=1, backends=["manual", "numpy"])
        session.check("sigmoid_skip", seed=2, backends=["manual", "numpy"]).assert_agrees()


def test_an_edited_problem_is_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    source = FAULTY.read_text()
    path.write_text(source)
    with gradcheck.Session() as session:
        session.check(path, backends=["right"]).assert_agrees()
        path.write_text(source.replace('{"a": 2 * a, "b": 2 * b}', '{"a": 2 * a, "b": 3 * b}'))
        assert session.check(path, backends=["right"]).verdict == "differ"


def test_a_report_shows_itself_in_notebooks() -> None:
    shown = gradcheck.check(FAULTY, backends=["right", "wrong_sign"])._repr_html_()
    assert "wrong_sign: differs (proved)" in shown
    assert "right       NumPy" in shown


MISNAMED = """
import numpy as np

def inputs(k): return {"x": (k,)}

def loss(x):
    g = np.tanh(x)
    return np.sum(g * g)

def mine(x):
    g = np.tanh(x)
    dx = 2 * g * (1 - g * g)
    return np.sum(g * g), {"x": dx, "g": dx}

gradients = {"mine": mine}
"""


def test_an_adjoint_of_another_name_is_reported_beside_gradients_that_agree(tmp_path: Path) -> None:
    (tmp_path / "misnamed.py").write_text(MISNAMED)
    [backend] = gradcheck.check(tmp_path / "misnamed.py", k=3).backends
    assert backend.reason == "dL/dg is proved wrong in 3 of 3 entries; the loss and every gradient agree"
