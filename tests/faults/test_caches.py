"""A foreign cache is refused in one line, before anything in it is run or removed."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import gradcheck
from gradcheck.errors import RequestError
from gradcheck.execution import environments
from gradcheck.execution.engines import EngineDeclaration, Spec
from gradcheck.execution.environments import Environment
from gradcheck.execution.environments.manifest import Manifest, manifest_path, write_manifest
from gradcheck.system import caches
from tests.conftest import Command
from tests.environments.small import engine

Give = Callable[[Path], None]


@pytest.fixture
def small(tmp_path: Path) -> EngineDeclaration:
    return engine(tmp_path)


@pytest.fixture
def manifest(cache: Path, small: EngineDeclaration) -> Path:
    """The manifest of an environment that looks complete."""
    path = manifest_path(small, None)
    folder = cache / f"{path.stem}.abcd1234"
    caches.make(cache)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    write(path, folder.name)
    assert isinstance(environments.locate(Spec("small"), small), Environment)
    return path


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Give:
    """Gives a file to another user: really where the tests run as root, else by being another user ourselves."""

    def given(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, 54321, -1, follow_symlinks=False)
        else:
            user = os.geteuid() + 1
            monkeypatch.setattr(os, "geteuid", lambda: user)

    return given


def write(path: Path, folder: str) -> None:
    known = Manifest(folder, "small", "2.0", ("small==2.0",), "3.11", {"small": "2.0"}, 1, 1.0)
    path.write_bytes(msgspec.json.encode(known))
    path.chmod(0o600)


def refused(small: EngineDeclaration, expected: str) -> None:
    """Nothing is found, listed, removed or built."""
    calls: list[Callable[[], object]] = [
        lambda: environments.locate(Spec("small"), small),
        lambda: environments.survey([small]),
        lambda: environments.prune([small], 0),
        lambda: environments.remove("small"),
    ]
    for call in calls:
        with pytest.raises(RequestError, match=expected) as caught:
            call()
        assert "\n" not in str(caught.value)


PARTS: dict[str, Callable[[Path], Path]] = {
    "our cache": lambda manifest: manifest.parents[1],
    "the environments": lambda manifest: manifest.parent,
    "a manifest": lambda manifest: manifest,
    "an environment": lambda manifest: manifest.parent / f"{manifest.stem}.abcd1234",
}


@pytest.mark.parametrize("part", PARTS)
def test_a_cache_of_another_user(manifest: Path, small: EngineDeclaration, give: Give, part: str) -> None:
    give(PARTS[part](manifest))
    refused(small, r"belongs to user \d+: expected a cache of your own or of root")
    assert manifest.exists()


@pytest.mark.parametrize("mode", [stat.S_IWGRP, stat.S_IWOTH])
@pytest.mark.parametrize("part", PARTS)
def test_a_cache_that_others_may_write_to(manifest: Path, small: EngineDeclaration, part: str, mode: int) -> None:
    path = PARTS[part](manifest)
    path.chmod(path.stat().st_mode | mode)
    refused(small, f"{path}: others may write to it: expected .* chmod go-w {path}")
    assert manifest.exists()
    path.chmod(path.stat().st_mode & ~mode | stat.S_IRGRP | stat.S_IROTH)  # files that others may read are fine
    assert isinstance(environments.locate(Spec("small"), small), Environment)


@pytest.mark.parametrize("folder", ["..", ".", "", "/", "../../outside", "outside", "STEM.x/../..", "STEM.x/y", "LINK"])
def test_a_manifest_names_a_folder_of_its_own(
    manifest: Path, small: EngineDeclaration, tmp_path: Path, folder: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "bin").mkdir(parents=True)
    (outside / "bin" / "python").symlink_to(sys.executable)
    link = f"{manifest.stem}.l1nk"
    (manifest.parent / link).symlink_to(outside)
    write(manifest, folder.replace("STEM", manifest.stem).replace("LINK", link).replace("/", "/"))
    refused(small, "names the folder .* expected .* beside it: remove the file")
    assert (outside / "bin" / "python").exists()


def test_a_link_itself_is_checked(manifest: Path, small: EngineDeclaration, give: Give, tmp_path: Path) -> None:
    manifest.parent.rename(tmp_path / "moved")
    manifest.parent.symlink_to(tmp_path / "moved")
    assert isinstance(environments.locate(Spec("small"), small), Environment), "a cache on another disk"
    give(manifest.parent)
    refused(small, "belongs to user")


def test_files_of_root_are_trusted(manifest: Path, small: EngineDeclaration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "ROOT", os.geteuid())
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert isinstance(environments.locate(Spec("small"), small), Environment)


def test_only_the_user_can_access_a_new_cache(cache: Path, small: EngineDeclaration) -> None:
    before = os.umask(0)
    try:
        caches.make(cache)
        path = manifest_path(small, None)
        (cache / f"{path.stem}.abcd1234").mkdir(0o700)
        write_manifest(path, Manifest(f"{path.stem}.abcd1234", "small", "2.0", (), "", {}, 1, 1.0))
    finally:
        os.umask(before)
    for made, mode in ((cache.parents[1], 0o700), (cache.parent, 0o700), (cache, 0o700), (path, 0o600)):
        assert stat.S_IMODE(made.stat().st_mode) == mode


def loss(ops, a):  # type: ignore[no-untyped-def]
    return ops.sum(a * a)


def test_problems_given_as_functions_are_kept_in_a_cache_of_our_own(cache: Path) -> None:
    problems = cache.with_name("problems")
    caches.make(problems)
    problems.chmod(0o777)
    with pytest.raises(RequestError, match="others may write to it"):
        gradcheck.load_problem(loss, inputs={"a": (2,)})
    assert list(problems.iterdir()) == []


def test_the_command_reports_it_in_one_line(gradcheck: Command, manifest: Path) -> None:
    manifest.parent.chmod(0o777)
    for words in (("backends",), ("backends", "prune"), ("run", "-b", "torch", "--no-build")):
        done = gradcheck(*words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert "others may write to it" in done.stderr
    assert gradcheck("run", "-b", "numpy").returncode == 0, "which needs no cache"
