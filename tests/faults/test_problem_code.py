"""Code of a problem's file in the parent: it ends in time, does not end the process, and prints to standard error."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.errors import ProblemError
from gradcheck.problems import cases
from gradcheck.problems._guard import ProblemCode
from tests.conftest import Command
from tests.recorded import record_tape

Write = Callable[..., Path]
PROBLEM = """
import os
import numpy as np

def inputs(k):
    {inputs}
    return {{"a": (k,)}}

def loss(ops, a):
    {loss}
    return ops.sum(a * a)

def sample(rng, k):
    {sample}
    return {{}}

def right(a):
    return np.sum(a * a), {{"a": 2 * a}}

gradients = {{"right": right}}
{top}
"""
PLACES = {"top": "loading", "inputs": r"inputs\(1\)", "loss": "loss", "sample": r"sample\(rng, 2\)"}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a problem, with a statement in one of `PLACES`."""

    def written(**statements: str) -> Path:
        path = tmp_path / "problem.py"
        path.write_text(PROBLEM.format(**(dict.fromkeys(PLACES, "pass") | statements)))
        return path

    return written


def run_all(path: Path, timeout: float = 60.0) -> None:
    """Everything that the parent runs of a problem."""
    problem = problems.load(str(path), timeout)
    record_tape(problem, 2)
    cases.sample(problem, 2, 0, "float64")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("raise SystemExit(0)", r"called sys.exit\(0\)"),
        ("os._exit(0)", r"called os._exit\(0\)"),
        ("os.execvp('true', ['true'])", r"called os.execv\("),
        ("os.abort()", r"called os.abort\(\)"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("raise GeneratorExit", "raised GeneratorExit"),
        ("raise type('Mine', (BaseException,), {})", "raised Mine"),
        ("while True: pass", "took longer than 0.5 s"),
        ("import time; time.sleep(60)", "took longer than 0.5 s"),
    ],
)
def test_an_ending_is_an_error_of_the_problem(write: Write, place: str, statement: str, expected: str) -> None:
    path = write(**{place: statement})
    with pytest.raises(ProblemError, match=f"{PLACES[place]} {expected}.*: expected code that"):
        run_all(path, 0.5 if "took longer" in expected else 60.0)


def test_code_that_swallows_the_alarm_once_still_ends(write: Write) -> None:
    statement = "\nwhile True:\n try:\n  while True: pass\n except BaseException:\n  while True: pass"
    with pytest.raises(ProblemError, match=r"took longer than 0.2 s"):
        run_all(write(top=statement), 0.2)


# If the alarm rings in a callback of the garbage collector, Python drops its exception: so it rings again.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("timeout", [1e-300, 1e-6, 1e-4, 1e-3])
def test_an_alarm_at_any_moment_leaves_nothing(write: Write, timeout: float) -> None:
    handlers, functions = signal.getsignal(signal.SIGALRM), [os._exit, os.execv]
    path = write()
    for _ in range(20):
        with contextlib.suppress(ProblemError):
            run_all(path, timeout)
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
        assert (signal.getsignal(signal.SIGALRM), [os._exit, os.execv]) == (handlers, functions)


def test_an_alarm_while_a_guard_is_entered_or_left_leaves_nothing(tmp_path: Path) -> None:
    handlers, functions = signal.getsignal(signal.SIGALRM), [os._exit, os.execv]
    generator = random.Random(0)
    for _ in range(4000):
        with contextlib.suppress(ProblemError), ProblemCode(tmp_path, "loss", 10 ** generator.uniform(-6, -3.3)):
            sum(range(generator.randrange(50)))
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
        assert (signal.getsignal(signal.SIGALRM), [os._exit, os.execv]) == (handlers, functions)


def test_an_exception_that_cannot_be_printed(write: Write) -> None:
    statement = "raise type('Mine', (Exception,), {'__str__': lambda self: 1 / 0})"
    for place in PLACES:
        with pytest.raises(ProblemError, match="raised Mine"):
            run_all(write(**{place: statement}))


def test_the_alarm_of_the_caller_is_kept(write: Write) -> None:
    rang: list[int] = []
    handler = signal.signal(signal.SIGALRM, lambda number, frame: rang.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 90, 7)
        run_all(write())
        remaining, interval = signal.setitimer(signal.ITIMER_REAL, 0)
        assert 60 < remaining < 90
        assert interval == 7
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        run_all(write(top="import time; time.sleep(0.2)"))
        assert rang == [signal.SIGALRM], "an alarm that goes off before ours is the caller's"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_the_process_stays_unchanged(write: Write) -> None:
    def state() -> object:
        handlers = [signal.getsignal(each) for each in (signal.SIGALRM, signal.SIGINT)]
        return handlers, os._exit, os.execv, sys.stdout, np.geterr(), list(warnings.filters), os.fstat(1)

    before = state()
    run_all(write(top="np.seterr(all='raise')\nimport warnings\nwarnings.simplefilter('error')"))
    assert state() == before
    with pytest.raises(ProblemError):
        run_all(write(top="os.close(1)\nos._exit(0)"))
    assert state() == before


def test_a_file_that_replaces_a_function_of_numpy_is_refused(gradcheck: Command, write: Write) -> None:
    """The parent's own NumPy: with this one every input would overflow."""
    path = write(top="np.isfinite = lambda array: np.zeros(np.shape(array), bool)")
    before = np.isfinite
    with pytest.raises(ProblemError, match=r"loading replaced numpy\.isfinite: expected code that leaves"):
        run_all(path)
    assert np.isfinite is before
    done = gradcheck("run", path, "-b", "right")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "loading replaced numpy.isfinite" in done.stderr
    path = write(top="np.my_own = 1")
    run_all(path)
    del np.my_own


def test_ctrl_c_is_not_an_error_of_the_problem(write: Write) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_all(write(loss="import signal; signal.raise_signal(signal.SIGINT)"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_child_that_a_problem_forks_may_end(write: Write, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    wait = "code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])"
    note = f"import pathlib\npathlib.Path({str(ended)!r}).write_text(str(code))"
    run_all(write(top=f"child = os.fork()\nif not child: os._exit(3)\n{wait}\n{note}"))
    assert ended.read_text() == "3"


def test_a_thread_has_all_guards_except_the_alarm(write: Write) -> None:
    found: list[BaseException] = []

    def load() -> None:
        try:
            run_all(write(loss="os._exit(0)"))
        except ProblemError as error:
            found.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert "loss called os._exit(0)" in str(found)


@pytest.mark.parametrize("statement", ["print('mine')", "os.write(1, b'mine')", "os.system('echo mine')"])
def test_output_of_a_problem_goes_to_standard_error(gradcheck: Command, write: Write, statement: str) -> None:
    done = gradcheck("run", write(**dict.fromkeys(PLACES, statement)), "-b", "right", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "agree"
    assert done.stderr.count("mine") >= len(PLACES)


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ("while True: pass", "loading took longer than 1 s"),
        ("os._exit(0)", "loading called os._exit(0)"),
        ("raise KeyboardInterrupt", "loading raised KeyboardInterrupt"),
        ("import sys; sys.exit(0)", "loading called sys.exit(0)"),
        ("raise ValueError('\\x1b[2J[/x]\\nagree: every backend agrees')", r"ValueError: \x1b[2J[/x]\nagree"),
    ],
)
def test_the_command_reports_it_in_one_line(gradcheck: Command, write: Write, top: str, expected: str) -> None:
    done = gradcheck("run", write(top=top), "-b", "right", "--timeout", "1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ("inputs = lambda k: {1: (k,)}", "names 1: expected a name, such as 'A'"),
        ("inputs = lambda k: {'': (k,)}", "names '': expected a name"),
        ("inputs = lambda k: {'a/b': (k,)}", "names 'a/b': expected a name"),
        ("inputs = lambda k: {'\\x1b[31m': (k,)}", r"names '\\x1b\[31m': expected a name"),
        ("inputs = lambda k: {'a' * 1000: (k,)}", "names 'aaa"),
        ("inputs = lambda k: {'a': (True,)}", r"is \(True,\): expected a tuple of sizes"),
        ("inputs = lambda k: {'a': (-k,)}", r"is \(-1,\): expected a tuple of sizes"),
        (
            "inputs = lambda k: {'a': (10**30,)}",
            r"1e\+30 entries, which need 6\.4e\+22 GB: expected a size for",
        ),
        ("wrt = 5", r"wrt is 5: expected a tuple of names, such as \('a',\)"),
        ("wrt = {'a'}", r"wrt is {'a'}: expected a tuple of names, such as \('a',\)"),
        ("wrt = ('a', 'a')", "wrt names 'a' twice: expected each input once"),
        ("wrt = [[]]", r"wrt names \[\]: expected some of a"),
        ("gradients = {1: right}", "gradients names 1: expected a name"),
        ("__doc__ = 5", "__doc__ is 5: expected a text"),
    ],
)
def test_the_statements_of_a_file_are_checked(write: Write, top: str, expected: str) -> None:
    with pytest.raises(ProblemError, match=expected) as caught:
        problems.load(str(write(top=top)))
    assert len(str(caught.value)) < 500


CHAIN = """
import numpy as np
def inputs(k): return {"x": (k,), "w": (k - 1,)}
def loss(ops, x, w): return ops.sum(x * x) + ops.sum(w * (x[1:] - x[:-1]))
def mine(x, w):
    d = 2 * x; d[1:] += w; d[:-1] -= w
    return np.sum(x * x) + np.sum(w * (x[1:] - x[:-1])), {"x": d, "w": x[1:] - x[:-1]}
gradients = {"mine": mine}
"""


@pytest.mark.parametrize("distribution", ["uniform", "zeros", "subnormal"])
def test_an_input_that_is_empty_at_one_size_is_judged(gradcheck: Command, tmp_path: Path, distribution: str) -> None:
    (tmp_path / "chain.py").write_text(CHAIN)
    done = gradcheck("run", "chain.py", "-b", "mine", "--k", "1", "--distribution", distribution)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_problem_that_lets_numpy_raise_is_the_crash_of_its_own_gradient(gradcheck: Command, write: Write) -> None:
    done = gradcheck("run", write(top="np.seterr(all='raise')"), "-b", "right", "--scale", "1e-200")
    assert done.returncode == 3, done.stderr
    assert "FloatingPointError: underflow" in done.stdout.replace("\n", " ")


def test_a_size_for_which_there_is_no_memory(gradcheck: Command) -> None:
    for k in ("1000000000", "10" * 12):
        done = gradcheck("run", "-b", "numpy", "--k", k)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert "expected a" in done.stderr


def test_a_name_that_is_too_long_for_a_file() -> None:
    for name in ("a" * 1000, "a" * 1000 + ".py", "a\0.py"):
        with pytest.raises(ProblemError, match="expected"):
            problems.load(name)


def test_help_and_import_need_no_alarm() -> None:
    """The guard is imported with the package, which stays light."""
    done = subprocess.run(
        [sys.executable, "-c", "import gradcheck, sys; print('numpy' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout == "False\n"


def test_functions_that_are_odd_objects(write: Write) -> None:
    path = write(
        top="class Odd:\n __eq__ = lambda *given: 1 / 0\n def __call__(self, k): return {'a': (k,)}\ninputs = Odd()"
    )
    run_all(path)
    assert problems.load(str(path)).shapes(4) == {"a": (4,)}


def test_shapes_are_computed_once(tmp_path: Path, write: Write) -> None:
    problem = problems.load(str(write(inputs=f"with open({str(tmp_path / 'calls')!r}, 'a') as file: file.write('.')")))
    for _ in range(3):
        problem.shapes(5)["a"] = ()
    assert problem.shapes(5) == {"a": (5,)}
    assert (tmp_path / "calls").read_text() == "..", "at k = 1 when it is loaded, at k = 5 once"
