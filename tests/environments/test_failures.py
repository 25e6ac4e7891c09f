"""Why an environment cannot be built: one line, and no incomplete environment is used or kept."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gradcheck.errors import RequestError
from gradcheck.execution import environments
from gradcheck.execution.engines import Spec
from gradcheck.execution.environments import Environment, Missing, State
from tests.conftest import Command
from tests.environments.small import build, engine, wheel

ROOT = Path(__file__).parents[2]
BUILD = [sys.executable, "-m", "tests.environments.small"]


def refused(built: Environment | Missing, cache: Path) -> str:
    """The reason why nothing was built, which left nothing behind."""
    assert isinstance(built, Missing)
    assert "\n" not in built.reason
    assert len(built.reason) < 600
    assert "try again with: gradcheck backends build small" in built.reason
    assert [path for path in cache.iterdir() if path.suffix != ".lock"] == []
    return built.reason


def test_a_release_that_does_not_exist(tmp_path: Path, wheels: Path, cache: Path) -> None:
    reason = refused(build(engine(tmp_path, release="0.0.999"))[0], cache)
    assert "there is no version of small==0.0.999" in reason


def test_without_a_network(tmp_path: Path, cache: Path, silent_index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/index")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    reason = refused(build(engine(tmp_path))[0], cache)
    assert "http://127.0.0.1:9/index/small/: Connection refused" in reason
    assert "tcp connect error" not in reason, "not the whole chain"


def test_a_network_that_never_answers(
    tmp_path: Path, cache: Path, silent_index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    reason = refused(build(engine(tmp_path))[0], cache)
    assert f"http://127.0.0.1:{silent_index}/index/small/: operation timed out" in reason


def test_no_network_leaves_the_other_backends_their_verdicts(gradcheck: Command, cache: Path, tmp_path: Path) -> None:
    nowhere = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")}
    done = gradcheck("run", "-b", "numpy", "-b", "mxnet", **nowhere)
    assert "numpy" in done.stdout
    assert "mxnet: unavailable: uv could not build it" in " ".join(done.stdout.split())
    assert done.returncode == 3


def test_no_build_never_builds(gradcheck: Command, cache: Path) -> None:
    done = gradcheck("run", "-b", "mxnet", "--no-build")
    assert "gradcheck backends build mxnet" in " ".join(done.stdout.split())
    assert done.returncode == 3
    assert not cache.exists()


def test_a_cache_that_is_not_a_folder(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(RequestError, match="file/gradcheck: Not a directory: expected a cache that can be read"):
        build(engine(tmp_path))


def mounted(script: str, cache: Path, tmp_path: Path, size: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script with the cache on a small disk of its own, which is removed afterwards."""
    cache.mkdir(parents=True)
    mount = f"mount -t tmpfs -o size={size},mode=755 none {shlex.quote(str(cache))}"
    if sys.platform != "linux" or subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine does not allow a mount in a namespace of one's own")
    command = ["unshare", "-rm", "sh", "-c", f"{mount} && {script}"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_a_full_disk(tmp_path: Path, wheels: Path, cache: Path) -> None:
    wheel(wheels, "small", "2.0", content=os.urandom(4_000_000))
    script = f"{shlex.join([*BUILD, str(tmp_path)])} && echo left: && ls {cache} | grep -v lock"
    done = mounted(script, cache, tmp_path, "2m")
    assert "Missing(reason='uv could not build it: " in done.stdout
    assert "No space left on device" in done.stdout
    assert done.stdout.endswith("left:\n"), "what was half built is gone: it fills the disk"


def test_a_read_only_cache(tmp_path: Path, wheels: Path, cache: Path) -> None:
    words = shlex.join([*BUILD, str(tmp_path)])
    readonly = f"mount -o remount,ro {cache}"
    nothing = mounted(f"{readonly} && {words}", cache, tmp_path, "2m")
    reason = (
        f"cannot build in {cache}: Read-only file system: expected XDG_CACHE_HOME=FOLDER with one that can be written"
    )
    assert nothing.stdout == f"Missing(reason='{reason}', buildable=False)\n"
    cache.rmdir()
    prune = shlex.join([sys.executable, "-m", "gradcheck", "backends", "prune", "--unused-for", "0"])
    built = mounted(f"{words} && {readonly} && {words} && {prune}", cache, tmp_path, "2m")
    first, second = built.stdout.splitlines()
    assert first.startswith("Environment(")
    assert first == second, "what others have built is used all the same"
    assert built.stderr.count("building an environment") == 1
    assert "cannot be removed: Read-only file system: expected a folder that can be written" in built.stderr
    assert built.returncode == 2


@contextlib.contextmanager
def builder(tmp_path: Path, until: str) -> Iterator[subprocess.Popen[str]]:
    """A process that builds, once it has written something; it and its uv end afterwards."""
    process = subprocess.Popen(
        [*BUILD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    started: list[psutil.Process] = []
    try:
        assert process.stderr is not None
        assert any(until in line for line in process.stderr)
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for each in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.communicate()


def uv_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The uv that installs for a builder."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for child in psutil.Process(process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "pip" in child.cmdline():
                    return child
        time.sleep(0.05)
    raise AssertionError("no uv was started")


def end(process: psutil.Process) -> None:
    """Kill a process, and wait until it does nothing more; the process that inherits it may never wait for it."""
    process.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


def test_a_uv_that_is_killed(tmp_path: Path, cache: Path, silent_index: str) -> None:
    with builder(tmp_path, "building") as process:
        uv_of(process).kill()
        printed, _ = process.communicate(timeout=30)
    assert printed.startswith("Missing(reason='uv could not build it: it was killed by SIGKILL")
    assert [path for path in cache.iterdir() if path.suffix != ".lock"] == []


def test_an_incomplete_environment_of_a_killed_builder_is_recognised_and_built_again(
    tmp_path: Path, cache: Path, silent_index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = engine(tmp_path)
    with builder(tmp_path, "building") as process:
        uv = uv_of(process)
        assert [each.state for each in environments.survey([small])] == [State.BEING_BUILT]
        assert environments.prune([small], unused_for=0) == [], "what is being built stays"
        process.kill()
        process.wait()
        end(uv)
    assert [each.state for each in environments.survey([small])] == [State.HALF_BUILT]
    assert isinstance(environments.find(Spec("small"), small), Missing), "nothing half built is used"
    wheel(tmp_path / "wheels", "small", "2.0")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert isinstance(build(small)[0], Environment)
    assert [each.state for each in environments.survey([small])] == [State.READY], "the half is gone"


def test_two_builders_at_once_build_once(tmp_path: Path, wheels: Path, cache: Path) -> None:
    engine(tmp_path)
    command = [*BUILD, str(tmp_path)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert outputs[0][0] == outputs[1][0]
    assert outputs[0][0].startswith("Environment(")
    assert sum("building an environment" in errors for _, errors in outputs) == 1
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_a_process_that_waits_for_a_dead_builder_builds(tmp_path: Path, cache: Path, silent_index: str) -> None:
    with builder(tmp_path, "building") as first, builder(tmp_path, "waiting for another builder") as second:
        uv = uv_of(first)
        first.kill()
        end(uv)
        assert second.stderr is not None
        assert any("building an environment" in line for line in second.stderr)


def test_ctrl_c_ends_builders_and_waiting_processes(cache: Path, silent_index: str) -> None:
    command = [sys.executable, "-m", "gradcheck", "backends", "build", "mxnet"]
    processes = []
    for expected in ("building an environment", "waiting for another builder"):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert expected in process.stderr.readline()
        processes.append(process)
    uv = uv_of(processes[0])
    for process in reversed(processes):
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert time.monotonic() - began < 5
        assert errors == "gradcheck: interrupted\n"
    assert not uv.is_running()
    assert [path for path in cache.iterdir() if path.suffix != ".lock"] == []
