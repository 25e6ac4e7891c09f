"""Problems as functions: their file is complete or absent, after any interruption, and with any other writer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEFINED = '''
import multiprocessing
import resource
import sys

import gradcheck

FACTOR = 0


def shapes(k):
    return {"a": (k,)}


def loss(ops, a):
    """Sum of squares."""
    return ops.sum(a * a) * FACTOR


def mine(a):
    return (a * a).sum() * FACTOR, {"a": 2 * FACTOR * a}


def load():
    return gradcheck.load_problem(loss, inputs=shapes, gradients={"mine": mine})

'''
FULL = """
resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, resource.RLIM_INFINITY))
try:
    load()
except gradcheck.GradcheckError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(load().gradients)
"""
RACE = """
def child(barrier, found):
    global FACTOR
    for number in range(40):
        FACTOR = number + 1.5
        barrier.wait(60)
        try:
            found.put(load().gradients)
        except Exception as error:
            found.put(repr(error))


def main():
    context = multiprocessing.get_context("fork")
    barrier, found = context.Barrier(8), context.SimpleQueue()
    children = [context.Process(target=child, args=(barrier, found)) for _ in range(8)]
    for each in children:
        each.start()
    print({found.get() for _ in range(8 * 40)})
    for each in children:
        each.join()


main()
"""


def run(folder: Path, code: str) -> str:
    """The output of a script that defines a problem as functions, with its own cache."""
    script = folder / "script.py"
    script.write_text(DEFINED + code)
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, timeout=120, check=True
    )
    return done.stdout


def files(folder: Path) -> list[Path]:
    return list((folder / "cache" / "gradcheck" / "problems").iterdir())


@pytest.mark.parametrize("limit", [0, 100])
def test_a_disk_that_is_full_for_a_moment_leaves_nothing_half_written(tmp_path: Path, limit: int) -> None:
    refused, loaded = run(tmp_path, FULL.replace("BYTES", str(limit))).splitlines()
    assert refused.endswith(".py: File too large: expected free space for its file")
    assert loaded == "('mine',)"
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("kept", ["half", "nothing", "another"])
def test_a_file_with_other_content_than_the_problems_is_written_again(tmp_path: Path, kept: str) -> None:
    assert run(tmp_path, "print(load().gradients)") == "('mine',)\n"
    [path] = files(tmp_path)
    text = path.read_text()
    path.write_text({"half": text[: text.index("gradients")], "nothing": "", "another": f"{text}\nwrt = ()\n"}[kept])
    assert run(tmp_path, "print(load().gradients)") == "('mine',)\n"
    assert path.read_text() == text


def test_many_processes_that_define_the_same_problem_at_once_load_it_completely(tmp_path: Path) -> None:
    assert run(tmp_path, RACE) == "{('mine',)}\n"
    assert len(files(tmp_path)) == 40
