"""Backends are apart from one another: damage to files, folders, inputs and pipes affects only its own verdict."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import gradcheck as package
from gradcheck.answers import BackendAnswer
from gradcheck.execution import array_files
from gradcheck.execution.messages import Request
from gradcheck.execution.pool import Launch, Pool
from gradcheck.execution.standard_error import KEPT, StandardError
from gradcheck.execution.worker import Failure
from gradcheck.problems import load
from gradcheck.problems.recording import graph_of
from tests.conftest import FAKES, Command

FAULTY = FAKES / "faulty.py"
UNREADABLE = "gave an answer that cannot be read: the array of a: "

# The behaviour of a program -> its verdict, and the beginning of the reason.
WAYS = {
    "pipe": ("crashed", f"{UNREADABLE}expected a regular file"),
    "folder": ("crashed", f"{UNREADABLE}expected a regular file"),
    "zeros": ("crashed", f"{UNREADABLE}expected a regular file"),
    "terminal": ("crashed", UNREADABLE),
    "link": ("crashed", f"{UNREADABLE}[Errno "),
    "text": ("crashed", UNREADABLE),
    "zip": ("crashed", UNREADABLE),
    "memory": ("crashed", UNREADABLE),
    "number": ("crashed", f"{UNREADABLE}expected the path of a .npy file, not 0"),
    "null": ("crashed", f"{UNREADABLE}expected the path of a .npy file, not None"),
    "nul": ("crashed", UNREADABLE),
    "long": ("crashed", UNREADABLE),
    "sparse": (
        "crashed",
        f"{UNREADABLE}its shape is (10000000000,): expected no more than this problem's answers have",
    ),
    "sparse-of-another-name": ("crashed", UNREADABLE.replace(" a:", " c:") + "its shape is (10000000000,)"),
    "no-entries": ("crashed", f"{UNREADABLE}its shape is (0, 1000000000000000): expected no more"),
    "cut-short": ("crashed", f"{UNREADABLE}its file has 152 bytes of numbers: expected 160"),
    "broken-header": ("crashed", UNREADABLE),
    "deep-header": ("crashed", UNREADABLE),
    "whole-numbers": ("crashed", f"{UNREADABLE}expected floating-point numbers, float64, float32, float16"),
    "subarray": ("crashed", f"{UNREADABLE}expected floating-point numbers"),
    "structure": ("crashed", f"{UNREADABLE}expected floating-point numbers"),
    "objects": ("crashed", f"{UNREADABLE}expected floating-point numbers"),
    "long-double": ("crashed", f"{UNREADABLE}expected floating-point numbers"),
    "list-of-dtypes": ("crashed", f"{UNREADABLE}expected floating-point numbers"),
    "no-dtype": ("crashed", f"{UNREADABLE}expected floating-point numbers"),
    "below-zero": ("crashed", f"{UNREADABLE}expected a list of lengths: its shape is [-1]"),
    "huge": ("crashed", f"{UNREADABLE}expected a list of lengths"),
    "huger": ("crashed", f"{UNREADABLE}expected a list of lengths"),
    "many-of-nothing": ("crashed", f"{UNREADABLE}expected a list of lengths"),
    "fractions": ("crashed", f"{UNREADABLE}expected a list of lengths"),
    "words": ("crashed", f"{UNREADABLE}expected a list of numbers: its data are str"),
    "big-endian": ("agrees", ""),
    "columns-first": ("agrees", ""),
    "rewritten": ("differs", "dL/da is proved wrong in 20 of 20 entries"),
    "emptied": ("agrees", ""),
    "makes-the-next-folder": ("agrees", ""),
    "removes-its-folder": ("agrees", ""),
    "removes-its-parent": ("agrees", ""),
    "closes-its-parent": ("agrees", "") if os.geteuid() == 0 else ("crashed", "its folder is of no use: Permission"),
    "number-in-a-file": ("agrees", ""),
    "real-time-signal": ("crashed", "was killed by signal 40"),
    "no-utf-8": ("crashed", "gave a result of start that is not valid: "),
}
SEALED = {
    "writes-into-inputs": ("crashed", "exited with code 1"),
    "empties-inputs": ("crashed", "exited with code 1"),
}


def programs(folder: Path, *ways: str) -> list[str]:
    """The arguments that run harmful programs."""
    for way in ways:
        (folder / way).write_text((FAKES / "harmful.py").read_text().replace("/usr/bin/env python3", sys.executable))
        (folder / way).chmod(0o755)
    return [word for way in ways for word in ("-b", f"exec:./{way}")]


def test_damage_by_a_program_is_its_own_verdict_and_the_others_stand(gradcheck: Command, tmp_path: Path) -> None:
    ways = WAYS | (SEALED if array_files.SEALABLE else {})
    words = programs(tmp_path, *ways)
    done = gradcheck("run", FAULTY, "-b", "right", *words, "-b", "prints", "--k", 20, "--format", "json")
    first, *rows, last = json.loads(done.stdout)["backends"]
    assert (first["verdict"], last["verdict"]) == ("agrees", "agrees")
    found = {
        way: (row["verdict"], (row["reason"] or "")[: len(ways[way][1])]) for way, row in zip(ways, rows, strict=True)
    }
    assert found == ways
    assert done.returncode == 1


def test_a_program_that_removes_the_folders_of_all_does_not_change_what_others_answer(
    gradcheck: Command, tmp_path: Path
) -> None:
    """Other programs that write files at that moment fail, as any process of a user may remove what is the user's."""
    words = programs(tmp_path, "removes-the-folders-of-all")
    done = gradcheck("run", FAULTY, "-b", "right", *words, "-b", "prints", "--k", 20, "--format", "json")
    assert [row["verdict"] for row in json.loads(done.stdout)["backends"]] == ["agrees"] * 3
    assert done.returncode == 0


def test_half_a_line_and_a_flood_of_errors_time_out_and_delay_no_other_backend(
    gradcheck: Command, tmp_path: Path
) -> None:
    ways = ("half-a-line", "floods-and-hangs", "reads-nothing-more")
    words = programs(tmp_path, *ways)
    began = time.monotonic()
    done = gradcheck("run", FAULTY, *words, "-b", "right", "--k", 20, "--timeout", 3, "--format", "json")
    *rows, right = json.loads(done.stdout)["backends"]
    assert {row["reason"] for row in rows[:3]} == {"no answer within 3 s"}
    assert right["verdict"] == "agrees"
    assert time.monotonic() - began < 20
    assert len(done.stderr) < 20_000


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="elsewhere this is seen once its time is up")
def test_the_end_of_a_program_is_noticed_even_if_its_child_holds_its_output(gradcheck: Command, tmp_path: Path) -> None:
    words = programs(tmp_path, "leaves-a-child", "leaves-a-child-and-an-answer")
    began = time.monotonic()
    done = gradcheck("run", FAULTY, *words, "-b", "right", "--timeout", 60, "--format", "json")
    *rows, right = json.loads(done.stdout)["backends"]
    assert [(row["verdict"], row["reason"]) for row in rows] == [("crashed", "exited with code 5")] * 2
    assert right["verdict"] == "agrees"
    assert time.monotonic() - began < 30


def test_no_request_waits_for_a_worker_that_does_not_read(tmp_path: Path) -> None:
    """A pipe holds 64 KiB, and this request is longer."""
    programs(tmp_path, "reads-nothing-more")
    request = Request(
        FAULTY,
        graph_of(load(str(FAULTY)), 1),
        "float64",
        ("a", "b"),
        {f"a{number}": np.ones(200) for number in range(200)},
    )
    pool = Pool()
    try:
        pool.start({"deaf": Launch([str(tmp_path / "reads-nothing-more")])}, timeout=1)
        began = time.monotonic()
        outcomes = pool.evaluate(request, ["deaf"])
        assert time.monotonic() - began < 0.5
        ((_, outcome),) = outcomes
        assert isinstance(outcome, Failure)
        assert outcome.reason == "no answer within 1 s"
    finally:
        pool.close()


TALKER = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "stop": break
    loss = {"dtype": "float64", "shape": [], "data": [1.0]}
    result = {"loss": loss, "gradients": {}, "padding": "x" * LENGTH}
    print(json.dumps({"id": request["id"], "result": {} if request["method"] == "start" else result}), flush=True)
"""


def test_time_without_a_reader_does_not_count(tmp_path: Path) -> None:
    """While one answer is judged, a worker cannot write more of a long one than a pipe holds."""
    launches = {
        name: Launch([sys.executable, "-c", TALKER.replace("LENGTH", length)], repeats=True)
        for name, length in (("short", "1"), ("long", "20_000_000"))
    }
    pool = Pool()
    try:
        pool.start(launches, timeout=2)
        request = Request(FAULTY, graph_of(load(str(FAULTY)), 1), "float64", (), {})
        assert len(list(pool.evaluate(request, ["short", "long"]))) == 2
        outcomes = pool.evaluate(request, ["short", "long"])
        assert next(outcomes)[0] == "short"
        time.sleep(2.5)
        name, outcome = next(outcomes)
        assert (name, isinstance(outcome, BackendAnswer)) == ("long", True), outcome
    finally:
        pool.close()


def test_the_end_of_standard_error_is_kept_in_bounded_memory() -> None:
    errors = StandardError()
    writes = "import os\nfor _ in range(300): os.write(2, b'x' * 65536)\nos.write(2, b'the end')"
    subprocess.run([sys.executable, "-c", writes], stderr=errors.pipe, check=True, timeout=30)
    text = errors.text(1 << 30)
    assert text.endswith("xthe end")
    assert len(text) <= KEPT
    errors.close()
    assert errors.text(7) == "the end"


def test_a_flood_of_errors_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    words = programs(tmp_path, "floods-and-hangs")
    command = [sys.executable, "-m", "gradcheck", "run", str(FAULTY), *words, "--timeout", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1.5)
    held = sum(path.stat().st_size for path in (tmp_path / "temporary").rglob("*") if path.is_file())
    process.communicate(timeout=30)
    assert held < 100_000


@pytest.mark.skipif(sys.platform != "linux", reason="the memory folder is Linux's")
def test_workers_write_to_disk_where_a_program_fills_the_memory_folder(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The folder has 160 MB, in a mount namespace of its own."""
    if not pytestconfig.getoption("--thorough"):
        pytest.skip("it waits for a timeout")
    apart, small = ("unshare", "-rm", "sh", "-c"), "mount -t tmpfs -o size=160m none /dev/shm"
    if not shutil.which("unshare") or subprocess.run([*apart, small], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace can be made here")
    problem = tmp_path / "late.py"
    problem.write_text(
        FAULTY.read_text()
        + "\n\ndef late(a, b):\n"
        + "    while not os.path.exists(os.environ['FULL']): time.sleep(0.05)\n"
        + "    return right(a, b)\n\n\ngradients = {'late': late}\n"
    )
    words = programs(tmp_path, "fills-memory")
    command = [sys.executable, "-m", "gradcheck", "run", "late.py", *words, "-b", "late", "--k", "20", "--timeout", "5"]
    done = subprocess.run(
        [*apart, f'{small} && exec "$@"', "sh", *command, "--format", "json"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60, env=os.environ | {"FULL": str(tmp_path / "is-full")},
    )  # fmt: skip
    full, late = json.loads(done.stdout)["backends"]
    assert (full["verdict"], late["verdict"]) == ("timed-out", "agrees"), late
    assert (tmp_path / "is-full").exists()


def test_without_sealed_files_each_worker_has_inputs_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_files, "SEALABLE", False)
    programs(tmp_path, "writes-into-inputs")
    report = package.check(FAULTY, k=20, backends=[f"exec:{tmp_path / 'writes-into-inputs'}", "right"])
    assert report.backends[1].verdict == "agrees"


KEEPING = '''
import numpy as np
def inputs(k): return {"a": (k,)}
def loss(ops, a): return ops.sum(a * a)
out, calls = np.empty(SIZE), []
def reuses_its_buffer(a):
    """What it answers first is wrong."""
    calls.append(a)
    np.multiply(2.0 if len(calls) == 2 else 3.0, a, out=out)
    return np.sum(a * a), {"a": out}
def changes_inputs_the_second_time(a):
    calls.append(a)
    answer = np.sum(a * a), {"a": 2 * a}
    if len(calls) == 2: a[0] = 0.5
    return answer
def answers_with_its_input(a):
    """Which it changes, too."""
    total = np.sum(a * a)
    a *= 2
    return total, {"a": a}
gradients = {
    "reuses_its_buffer": reuses_its_buffer,
    "changes_inputs_the_second_time": changes_inputs_the_second_time,
    "answers_with_its_input": answers_with_its_input,
}
'''


@pytest.mark.parametrize("k", [3, 300])
def test_both_answers_and_both_sets_of_inputs_are_checked(tmp_path: Path, k: int) -> None:
    problem = tmp_path / "keeping.py"
    problem.write_text(KEEPING.replace("SIZE", str(k)))
    names = ["reuses_its_buffer", "changes_inputs_the_second_time", "answers_with_its_input"]
    reuses, changes, answers = package.check(problem, k=k, backends=names).backends
    assert reuses.reason == f"dL/da is proved wrong in {k} of {k} entries"
    assert changes.reason == answers.reason == "it changes its inputs: a"


def test_a_session_may_be_used_by_several_threads() -> None:
    verdicts: list[str] = []
    with package.Session() as session:

        def check(first: int) -> None:
            for seed in range(first, first + 5):
                report = session.check(FAULTY, k=4, seed=seed, backends=["right", "wrong_sign"])
                verdicts.append(" ".join(backend.verdict for backend in report.backends))

        threads = [threading.Thread(target=check, args=(10 * number,), daemon=True) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
    assert verdicts == ["agrees differs"] * 20


FORKS = """
import os, sys, gradcheck
with gradcheck.Session() as session:
    session.check(sys.argv[1], backends=["right"]).assert_agrees()
    child = os.fork()
    if child == 0:
        try:
            session.check(sys.argv[1], backends=["right"])
        except gradcheck.RequestError as error:
            os._exit(0 if "expected a session made here" in str(error) else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    session.check(sys.argv[1], seed=1, backends=["right"]).assert_agrees()
"""


def test_a_session_is_refused_in_a_fork_and_continues_in_its_own_process() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS, FAULTY], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
