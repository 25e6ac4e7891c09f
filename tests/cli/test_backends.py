"""`gradcheck backends`: lists, builds, removes and prunes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from gradcheck.cli.backends import since
from tests.conftest import Command


def test_listing_building_removing_and_pruning(gradcheck: Command, cache: Path) -> None:
    before = gradcheck("backends").stdout
    assert re.search(r"^mxnet +1\.9\.1 +missing +float64 float32\n    .*gradcheck backends build mxnet$", before, re.M)
    assert "environment" not in before.replace("build its environment", "")
    built = gradcheck("backends", "build", "mxnet")
    assert built.returncode == 0
    python = built.stdout.removeprefix("mxnet: ").strip()
    after = gradcheck("backends").stdout
    assert re.search(rf"^mxnet +1\.9\.1 +ready \(managed\) +float64 float32\n    {re.escape(python)}$", after, re.M)
    row = r"^mxnet==1\.9\.1  3\.\d+\.\d+  +(\d+\.\d) MB  \d+ s +\d+ s +ready$"
    match = re.search(row, after, re.M)
    assert match is not None, after
    assert 100 < float(match[1]) < 1000
    table = after[after.index("environment  ") :]
    assert max(map(len, table.splitlines())) <= 80

    (cache / "mxnet-1.8-0123456789ab.half").mkdir()
    assert "half built" in gradcheck("backends").stdout
    (manifest,) = cache.glob("*.json")
    os.utime(manifest, (0, time.time() - 40 * 86400))
    wet = ["mxnet==1.8: half built: 0.0 MB removed", f"mxnet==1.9.1: unused for 40 days: {match[1]} MB removed"]
    dry = [re.sub(r"(\S+ MB) removed", r"would remove \1", line) for line in wet]
    assert gradcheck("backends", "prune", "--dry-run").stdout.splitlines() == dry
    assert gradcheck("backends", "prune", "--unused-for", 41, "--dry-run").stdout.splitlines() == dry[:1]
    done = gradcheck("backends", "prune")
    assert done.stdout.splitlines() == wet
    assert done.returncode == 0
    assert gradcheck("backends", "prune").stdout == "nothing to remove\n"
    assert [path for path in cache.iterdir() if path.suffix != ".lock"] == []


def test_removal_affects_all_engines_of_one_distribution(gradcheck: Command, cache: Path) -> None:
    gradcheck("backends", "build", "mxnet")
    assert gradcheck("backends", "remove", "jax-eager", "jax").stdout == "jax: 0 environments removed\n"
    assert gradcheck("backends", "remove", "mxnet").stdout == "mxnet: 1 environment removed\n"
    assert gradcheck("backends", "remove", "mxnet").stdout == "mxnet: 0 environments removed\n"


def test_a_wrong_request_is_refused_in_one_line(gradcheck: Command, cache: Path) -> None:
    for words, expected in (
        (("build", "nope"), "backend 'nope': unknown: expected one of"),
        (("build", "mxnet==x"), "backend 'mxnet==x': 'x' is not a release: expected one such as 2.4.1"),
        (("remove", "nope"), "backend 'nope': unknown: expected one of"),
        (("prune", "--unused-for", "-1"), "-1 is not in the range x>=0"),
        (("prune", "--unused-for", "soon"), "'soon' is not a valid integer"),
    ):
        done = gradcheck("backends", *words)
        assert done.returncode == 2
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1
    assert not cache.exists()


def test_a_terminal_shows_one_line_for_each_environment_and_removes_them(cache: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 60))
    words = [sys.executable, "-m", "gradcheck", "backends", "build", "jax==0.0.1", "jax-eager==0.0.1", "mxnet==0.0.1"]
    nowhere = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty"), "TERM": "xterm"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, **nowhere})
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux's end of file
        while more := os.read(ours, 1 << 16):
            shown += more
    os.close(ours)
    printed, _ = process.communicate()
    assert process.returncode == 3
    assert printed.count(b"unavailable: uv could not build it") == 3
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "\n").splitlines()
    assert any(re.match(r"  jax==0\.0\.1, jax-eager==0\.0\.1: ✗ cannot be built", line) for line in lines), lines
    assert any(re.match(r"  mxnet==0\.0\.1: ✗ cannot be built", line) for line in lines), lines
    assert all(re.search(r" \d:\d\d:\d\d$", line.rstrip()) for line in lines if ": " in line), "none wraps"
    assert shown.endswith(b"\x1b[1A\x1b[2K\x1b[1A\x1b[2K"), "taken away in the end"


def test_times_have_the_largest_unit_that_fits() -> None:
    now = time.time()
    assert [since(now - seconds) for seconds in (-5, 59, 61, 7200.5, 3 * 86400 + 1)] == [
        "0 s", "59 s", "1 min", "2 h", "3 d",
    ]  # fmt: skip


def test_nothing_is_built_for_an_engine_that_is_installed_here(gradcheck: Command, cache: Path) -> None:
    done = gradcheck("backends", "build", "central-difference")
    assert (done.returncode, done.stdout) == (0, f"central-difference: {sys.executable}\n")
    assert not cache.exists()


def test_only_managed_environments_are_removed(gradcheck: Command, cache: Path) -> None:
    done = gradcheck("backends", "remove", "autograd@/usr/bin/python3")
    assert done.returncode == 2
    assert done.stderr == (
        "gradcheck: backend 'autograd@/usr/bin/python3': has no managed environment: expected NAME or NAME==VERSION\n"
    )
    assert gradcheck("backends", "remove", "autograd==1.6.2").stdout == "autograd==1.6.2: 0 environments removed\n"


def test_the_message_about_a_damaged_environment_has_the_repair_commands(
    gradcheck: Command, cache: Path, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--thorough"):
        pytest.skip("it builds an environment twice")
    assert gradcheck("backends", "build", "autograd").returncode == 0
    (package,) = cache.glob("*/lib/python*/site-packages/autograd")
    shutil.rmtree(package)
    run = ("run", "-b", "autograd", "--no-build", "--format", "json")
    (row,) = json.loads(gradcheck(*run).stdout)["backends"]
    reason, _, remedy = row["reason"].partition(": build it again with: ")
    assert (row["verdict"], reason) == ("unavailable", "No module named 'autograd': its environment is damaged")
    assert remedy == "gradcheck backends remove autograd && gradcheck backends build autograd"
    for command in remedy.split(" && "):
        assert gradcheck(*command.split()[1:]).returncode == 0
    assert gradcheck(*run).returncode == 0
