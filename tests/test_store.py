"""Stores of outcomes: a run that was stopped goes on, and loses only the batch that is being written."""

from __future__ import annotations

import os
import random
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

import gradcheck
from gradcheck.outcomes import in_cases
from gradcheck.runs import store as stores
from tests.conftest import FAKES, Command
from tests.faults.endings import held, wait_for

FAULTY = FAKES / "faulty.py"
OF_LATER_RELEASE = f"PRAGMA application_id = {stores.APPLICATION}; PRAGMA user_version = 9; CREATE TABLE a(b)"
RUN = ("run", FAULTY, "-b", "right", "--store", "s.sqlite")


def query(path: Path, text: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(text).fetchall()


def count(path: Path) -> int:
    try:
        return int(query(path, "SELECT count(*) FROM cases")[0][0])  # type: ignore[call-overload]
    except sqlite3.OperationalError:  # killed before the tables were made
        return 0


def has_claims(path: Path, runs: int) -> bool:
    """Whether some runs have each claimed cases."""
    try:
        return query(path, "SELECT count(DISTINCT run) FROM claims") == [(runs,)]
    except sqlite3.OperationalError:  # the tables are not there yet
        return False


def test_what_is_stored_is_not_evaluated_again(gradcheck: Command, tmp_path: Path) -> None:
    first = gradcheck(*RUN, "--seed", "0:6")
    assert first.returncode == 0, first.stderr
    before = query(tmp_path / "s.sqlite", "SELECT * FROM cases")
    again = gradcheck(*RUN, "--seed", "0:6")
    assert "6 cases in " in again.stdout
    assert "; 6 of them were stored before" in again.stdout
    assert query(tmp_path / "s.sqlite", "SELECT * FROM cases") == before
    lines = [line for line in first.stdout.splitlines() if " cases in " not in line]
    assert lines == [line for line in again.stdout.splitlines() if " cases in " not in line], "the same summary"


def test_more_seeds_add_to_a_store(gradcheck: Command) -> None:
    gradcheck(*RUN, "--seed", "0:4")
    more = gradcheck(*RUN, "--seed", "2:8")
    assert "; 2 of them were stored before" in more.stdout
    assert "the store has 2 cases more, of other commands" in more.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--gate", "proved"), "gate is 'proved' here, and 'rounding' in the store: expected the same, or another"),
        (("-b", "wrong_sign"), "is 'right, wrong_sign' here, and 'right' in the store"),
    ],
)
def test_a_store_of_another_command_says_what_differs(
    gradcheck: Command, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    gradcheck(*RUN, "--seed", "0:2")
    other = gradcheck(*RUN, "--seed", "0:2", *words)
    assert (other.returncode, other.stdout) == (2, "")
    assert message in other.stderr
    assert other.stderr.count("\n") == 1
    assert count(tmp_path / "s.sqlite") == 2


def test_a_problem_that_has_changed_is_not_mixed_with_its_old_self(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "layer.py").write_text(FAULTY.read_text())
    words = ("run", "layer.py", "-b", "right", "--store", "s.sqlite", "--seed", "0:2")
    assert gradcheck(*words).returncode == 0
    (tmp_path / "layer.py").write_text(FAULTY.read_text() + "\n# changed\n")
    changed = "layer.py has changed since the outcomes in it were stored: expected the former file, or another store"
    assert gradcheck(*words).stderr == f"gradcheck: --store s.sqlite: {changed}\n"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("echo hello, this is a text and no database > s.sqlite", "file is not a database: expected a store"),
        ("sqlite 'CREATE TABLE a(b)'", "another program's SQLite file: expected a store of gradcheck"),
        (f"sqlite '{OF_LATER_RELEASE}'", "schema 9, of another release of gradcheck"),
        ("mkdir s.sqlite", "--store 's.sqlite': is a folder: expected a path that can be written"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_store_is_refused(gradcheck: Command, tmp_path: Path, made: str, message: str) -> None:
    if made.startswith("sqlite "):
        with closing(sqlite3.connect(tmp_path / "s.sqlite")) as connection:
            connection.executescript(shlex.split(made)[1])
    else:
        subprocess.run(made, shell=True, cwd=tmp_path, check=True)
    done = gradcheck(*RUN)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_store_in_a_folder_that_does_not_exist_is_refused_by_its_name(gradcheck: Command) -> None:
    done = gradcheck("run", FAULTY, "-b", "right", "--store", "no/such/s.sqlite", "--seed", "0:2")
    assert (done.returncode, done.stdout) == (2, "")
    expected = "no folder 'no/such': expected a path that can be written"
    assert done.stderr == f"gradcheck: --store 'no/such/s.sqlite': {expected}\n"


def test_a_wrong_backend_makes_no_store(gradcheck: Command, tmp_path: Path) -> None:
    assert gradcheck("run", FAULTY, "-b", "rigth", "--store", "s.sqlite", "--seed", "0:2").returncode == 2
    assert not (tmp_path / "s.sqlite").exists()


def test_every_outcome_has_what_replays_it_and_a_report_if_it_does_not_agree(
    gradcheck: Command, tmp_path: Path
) -> None:
    words = ("run", FAULTY, "-b", "right", "-b", "wrong_sign", "--store", "s.sqlite", "--k", "2,3", "--seed", "0:2")
    assert gradcheck(*words).returncode == 1
    store = stores.connected(tmp_path / "s.sqlite")
    with closing(store):
        rows = store.execute("SELECT key, k, seed, replay FROM cases").fetchall()
        assert len(rows) == 4
        for key, k, seed, replay in rows:
            report = stores.report(store, key)
            assert report is not None
            assert (report.case.k, report.case.seed, report.case.replay) == (k, seed, replay)
            assert [backend.verdict for backend in report.backends] == ["agrees", "differs"]
    assert gradcheck(*shlex.split(replay)[1:]).returncode == 1


def test_a_killed_run_goes_on_without_loss(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    rng = random.Random(0)
    command = [sys.executable, "-m", "gradcheck", *map(str, RUN), "--seed", "0:400"]
    stored, kills = 0, 20 if pytestconfig.getoption("--thorough") else 3
    for number in range(kills):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while number % 2 and process.poll() is None and count(tmp_path / "s.sqlite") == stored:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(rng.random())
        process.send_signal(signal.SIGKILL if number % 3 else signal.SIGINT)
        process.wait()
        now = count(tmp_path / "s.sqlite")
        assert now >= stored, "what was stored stays"
        stored = now
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"; {stored} of them were stored before" in done.stdout or not stored
    path = tmp_path / "s.sqlite"
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert query(path, "SELECT seed FROM cases ORDER BY seed") == [(seed,) for seed in range(400)]
    assert query(path, "SELECT count(*) FROM answers") == [(400,)]
    assert query(path, "SELECT * FROM claims") == []


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gradcheck", *map(str, RUN), "--seed", "0:100000"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "s.sqlite").exists() or not count(tmp_path / "s.sqlite"):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    stored = count(tmp_path / "s.sqlite")
    assert f"{in_cases(stored)} in s.sqlite: the same command continues there" in errors


def test_two_processes_share_a_store(tmp_path: Path) -> None:
    problem, released = held(tmp_path)
    words = ["run", problem, "-b", "right", "--store", "s.sqlite", "--seed", "0:150", "--format", "json"]
    command = [sys.executable, "-m", "gradcheck", *map(str, words)]
    both = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    wait_for(lambda: has_claims(tmp_path / "s.sqlite", runs=2))
    released.touch()
    printed = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all('"cases": 150' in each for each in printed), "each of them has the summary of all"
    path = tmp_path / "s.sqlite"
    shares = query(path, "SELECT run, count(*) FROM cases GROUP BY run")
    assert sum(number for _, number in shares) == 150  # type: ignore[misc]
    assert len(shares) == 2, "each of them has evaluated some"


def test_the_claims_of_a_process_that_has_ended_are_void(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with closing(stores.Store(tmp_path / "s.sqlite", "first", {})) as mine:
        assert mine.claim(["a", "b"]) == {"a", "b"}
        with closing(stores.Store(tmp_path / "s.sqlite", "second", {})) as other:
            assert other.claim(["b", "c"]) == {"c"}
            with closing(sqlite3.connect(tmp_path / "s.sqlite")) as connection, connection:
                connection.execute("UPDATE runs SET pid = ? WHERE command = 'first'", (ended.pid,))
            assert other.claim(["a", "b"]) == {"a", "b"}


def test_a_process_of_the_same_id_that_started_later_is_another_one(tmp_path: Path) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system does not report when a process started")
    with closing(stores.Store(tmp_path / "s.sqlite", "first", {})) as mine:
        mine.claim(["a"])
        with closing(sqlite3.connect(tmp_path / "s.sqlite")) as connection, connection:
            connection.execute("UPDATE runs SET pid = ?, started = '1'", (os.getpid(),))
        with closing(stores.Store(tmp_path / "s.sqlite", "second", {})) as other:
            assert other.claim(["a"]) == {"a"}


def test_the_partitions_of_a_run_have_every_case_once(tmp_path: Path) -> None:
    found: list[int] = []
    for part in range(1, 4):
        store = tmp_path / f"{part}.sqlite"
        gradcheck.sweep(FAULTY, seed=range(20), backends=["right"], partition=f"{part}/3", store=str(store))
        found += [seed for (seed,) in query(store, "SELECT seed FROM cases")]  # type: ignore[misc]
    assert sorted(found) == list(range(20))


def test_a_partition_without_cases_agrees(gradcheck: Command) -> None:
    done = gradcheck("run", FAULTY, "-b", "right", "--partition", "1/999999")
    assert done.returncode == 0, done.stdout
    assert "0 cases in " in done.stdout
    refused = gradcheck("run", FAULTY, "--partition", "3/2")
    assert refused.returncode == 2
    assert "--partition 3/2: expected M/N with M from 1 to N, such as 1/4" in refused.stderr
