"""SIGKILL leaves gradcheck no time: the kernel ends its workers and uv, and the next run removes its folders."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from gradcheck.system import folders, lifelines
from gradcheck.system.folders import LOCK, Folders, sweep
from tests.environments.small import source
from tests.faults.endings import RIGHT, Run, program, wait_for


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder instead of TMPDIR and of memory."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    monkeypatch.setattr(folders, "MEMORY", place)
    return place


@pytest.mark.skipif(not lifelines.SIGNALS_BY_PIPE, reason="a deaf program ends with gradcheck on Linux alone")
def test_deaf_programs_end_and_the_next_run_removes_the_folders(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    deaf = program(tmp_path, "ignores-stop-and-hangs")
    with Run(temporary, ["run", RIGHT, "-b", "right", "-b", deaf]) as run:
        wait_for(lambda: len(run.folders()) == 2)  # the second one is made when all have started
        run.process.kill()
        run.ended()
        wait_for(lambda: run.processes() == [])
        assert run.folders()
        with Run(temporary, ["run", RIGHT, "-b", "right"]) as following:
            following.ended()
            assert following.process.returncode == 0
            assert run.folders() == []


def test_folders_of_dead_processes_are_removed_and_those_of_running_ones_stay(temporary: Path) -> None:
    mine = Folders()
    living = mine.make()
    (living / "array").touch()
    dead = temporary / "gradcheck-1-abcdefgh"  # of an id that is in use again
    (dead / "0").mkdir(parents=True)
    (dead / "0" / "stderr").touch()
    (dead / LOCK).touch()
    sweep()
    assert list(temporary.iterdir()) == [living]
    mine.close()
    assert list(temporary.iterdir()) == []


def test_foreign_files_stay(temporary: Path, tmp_path: Path) -> None:
    named_alike = temporary / "gradcheck-2-notebook"
    named_alike.mkdir()
    (named_alike / "results").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK).touch()
    (temporary / "gradcheck-3-abcdefgh").symlink_to(elsewhere)
    sweep()
    assert (named_alike / "results").exists()
    assert (elsewhere / LOCK).exists()


def test_a_folder_that_a_program_has_closed_is_removed(temporary: Path) -> None:
    mine = Folders()
    folder = mine.make()
    (folder / "0" / "tmp").mkdir(parents=True)
    (folder / "0" / "tmp").chmod(0)
    (folder / "0").chmod(0)
    folder.chmod(0)
    mine.close()
    assert list(temporary.iterdir()) == []


def test_a_folder_that_could_not_be_removed_is_removed_by_the_next_run(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Folders()
    (mine.make() / "0").mkdir()
    with monkeypatch.context() as writing:  # like a process that still writes while files are removed
        writing.setattr("shutil.rmtree", lambda path, ignore_errors: None)
        mine.close()
    sweep()
    assert list(temporary.iterdir()) == []


def test_a_new_folder_that_another_run_removes_is_made_again(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, swept = fcntl.flock, []

    def after_another_run(descriptor: int, operation: int) -> None:
        if not swept:
            swept.extend(temporary.iterdir())
            (swept[0] / LOCK).unlink()
            swept[0].rmdir()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", after_another_run)
    made = Folders().make()
    assert [made] == list(temporary.iterdir())
    assert made not in swept


def test_a_fork_leaves_the_folders_and_workers_of_its_parent(temporary: Path) -> None:
    mine = Folders()
    folder = mine.make()
    child = os.fork()
    if child == 0:
        mine.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert folder.exists()
    mine.close()


@pytest.mark.skipif(not lifelines.SIGNALS_BY_PIPE, reason="uv ends with gradcheck on Linux alone")
def test_uv_and_what_it_compiles_end_with_a_builder_that_is_killed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source(tmp_path / "sources", "small", "2.0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "sources"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    with Run(tmp_path, [tmp_path], module="tests.environments.small") as run:
        wait_for(lambda: run.has("sleep"))
        run.process.kill()
        run.ended()
        wait_for(lambda: run.processes() == [])
