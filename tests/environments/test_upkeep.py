"""Environments that are kept, pruned or removed."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gradcheck.execution import environments
from gradcheck.execution.engines import Spec
from gradcheck.execution.environments import Environment, State, prune, remove, survey
from gradcheck.execution.environments.manifest import manifest_path
from tests.environments.small import build, engine, wheel

DAY = 86400


def test_last_use_is_when_an_environment_was_last_found(tmp_path: Path, wheels: Path) -> None:
    small = engine(tmp_path)
    build(small)
    path = manifest_path(small, None)
    os.utime(path, (0, time.time() - 10 * DAY))
    assert environments.locate(Spec("small"), small), "a listing is no use"
    (kept,) = survey([small])
    assert kept.used is not None
    assert 9.9 < (time.time() - kept.used) / DAY < 10.1
    environments.find(Spec("small"), small)
    (kept,) = survey([small])
    assert kept.used is not None
    assert time.time() - kept.used < 60


def test_environments_unused_for_long_are_pruned(tmp_path: Path, wheels: Path) -> None:
    small = engine(tmp_path)
    newest, _ = build(small)
    older, _ = build(small, "1.0")
    assert isinstance(newest, Environment)
    assert isinstance(older, Environment)
    os.utime(manifest_path(small, "1.0"), (0, time.time() - 31 * DAY))
    assert prune([small], unused_for=32) == []
    ((would, reason),) = prune([small], unused_for=30, dry_run=True)
    assert (would.name, reason) == ("small==1.0", "unused for 31 days")
    assert older.python.exists()
    assert prune([small], unused_for=30) == [(would, reason)]
    assert not older.python.parents[1].exists()
    assert not manifest_path(small, "1.0").exists()
    assert newest.python.exists()


def test_environments_that_no_engine_would_use_are_pruned_and_requested_releases_stay(
    tmp_path: Path, wheels: Path
) -> None:
    older = engine(tmp_path, release="1.0")
    build(older)
    newer = engine(tmp_path, release="2.0")
    build(newer)
    build(newer, "1.0")
    states = {each.paths[0]: each.state for each in survey([newer])}
    assert states == {
        manifest_path(
            older, None
        ): State.UNWANTED,  # without the packages that the newer engine's file installs beside that release
        manifest_path(newer, None): State.READY,
        manifest_path(newer, "1.0"): State.READY,
    }
    ((gone, reason),) = prune([newer], unused_for=30)
    assert (gone.name, reason) == ("small==1.0", "no engine uses it")
    assert not manifest_path(older, None).exists()
    assert manifest_path(newer, "1.0").exists()


def test_incomplete_environments_are_pruned_and_foreign_files_stay(tmp_path: Path, wheels: Path, cache: Path) -> None:
    small = engine(tmp_path)
    built, _ = build(small)
    assert isinstance(built, Environment)
    beside = cache / f"{manifest_path(small, None).stem}.lefthalf"
    alone = cache / "small-0.1-0123456789ab.lefthalf"
    for half in (beside, alone):
        (half / "lib").mkdir(parents=True)
        (half / "lib" / "file").write_bytes(bytes(1000))
    unreadable = cache / "small-0.2-0123456789ab.json"
    unreadable.write_text("{}")
    foreign = cache / "mine.d"
    foreign.mkdir()
    halves = [each for each in survey([small]) if each.state == State.HALF_BUILT]
    assert [(each.name, each.size) for each in halves] == [
        ("small==0.1", 1000),
        ("small==0.2", 0),
        ("small==2.0", 1000),
    ]
    pruned = prune([small], unused_for=30)
    assert [(each.name, reason) for each, reason in pruned] == [(each.name, "half built") for each in halves]
    assert not any(path.exists() for path in (beside, alone, unreadable))
    assert foreign.exists()
    assert built.python.exists()


def test_removing_a_distribution_leaves_one_whose_name_begins_with_its_name(tmp_path: Path, wheels: Path) -> None:
    wheel(wheels, "small_cpu", "2.0")
    small, cpu = engine(tmp_path), engine(tmp_path, "cpu", "small-cpu")
    build(small)
    build(small, "1.0")
    kept, _ = build(cpu)
    assert isinstance(kept, Environment)
    (manifest_path(cpu, None).parent / "small-0.1-0123456789ab.lefthalf").mkdir()
    assert remove("small") == 2, "half-built ones go too, and are not counted"
    assert [each.name for each in survey([small, cpu])] == ["small-cpu==2.0"]
    assert kept.python.exists()


def test_only_the_named_release_is_removed(tmp_path: Path, wheels: Path) -> None:
    small = engine(tmp_path)
    newest, _ = build(small)
    older, _ = build(small, "1.0")
    assert isinstance(newest, Environment)
    assert isinstance(older, Environment)
    assert remove("small", "3.0") == 0
    assert remove("small", "1") == 1, "1 and 1.0 are one release"
    assert not older.python.exists()
    assert newest.python.exists()
