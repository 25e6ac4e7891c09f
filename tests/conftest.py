"""Fixtures: the real command, in a process of its own; an empty cache of environments."""

from __future__ import annotations

import compileall
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.processors import PROCESSORS


def pytest_addoption(parser: pytest.Parser) -> None:
    """Most of the conformance suite takes minutes, since each dtype is compiled again: CI runs that of words too."""
    parser.addoption(
        "--every-case",
        action="store_true",
        help="try words in every dtype and on hostile inputs, and whole models: for CI",
    )
    parser.addoption("--words", help="try only these words in engines, as matmul,take: while you add one")
    parser.addoption(
        "--thorough", action="store_true", help="benchmarks, more faults, random losses and models: for CI"
    )
    parser.addoption("--random", action="store_true", help="other hostile examples each time (tests/faults)")
    parser.addoption("--processor", choices=sorted(PROCESSORS), help="emulate an older processor: tests/processors.py")


def pytest_configure(config: pytest.Config) -> None:
    """Emulate a processor before any library detects the real one; take Ctrl-C even in a background job of a shell.

    Compile the package: tests start the command a thousand times, and where PYTHONDONTWRITEBYTECODE is set, each start
    would compile it again, a third of the command's time.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if processor := config.getoption("--processor"):
        if "numpy" in sys.modules:
            raise pytest.UsageError(
                "--processor: a plug-in of pytest has imported NumPy: expected it to be loaded later"
            )
        os.environ.update(PROCESSORS[processor])
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(__file__).parents[1] / "gradcheck", quiet=2)


def pytest_report_header(config: pytest.Config) -> str:
    """The emulated processor."""
    processor = config.getoption("--processor")
    variables = PROCESSORS[processor].items() if processor else ()
    return f"processor: {processor or 'this one'}" + "".join(f"\n  {name}={value}" for name, value in variables)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Benchmarks take minutes together: only with --thorough, or by their name."""
    named = any("test_benchmarks" in argument for argument in config.args)
    return (
        True if collection_path.name == "test_benchmarks.py" and not (config.getoption("--thorough") or named) else None
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First results within seconds: the tests of every word in engines come last, and wait for no other test."""
    items.sort(key=lambda item: "conformance" in item.path.parts)


class ByFile(LoadScopeScheduling):
    """With `pytest -n`, the tests of a file run in one process, which has their fixtures; those of words by engine."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return nodeid.rpartition("-")[0] if test.startswith("test_every_word_agrees") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Files in their order, which is that of a run in one process."""
    return ByFile(config, log)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """No test leaves a handler of signals behind: then Ctrl-C would no longer end the tests."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in signals]
    yield
    after = [signal.getsignal(number) for number in signals]
    for number, handler in zip(signals, before):
        signal.signal(number, handler)
    assert after == before


FAKES = Path(__file__).parent / "fakes"
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for gradcheck; uv's own stays, so that nothing is downloaded twice."""
    uv_cache = os.environ.get("UV_CACHE_DIR") or subprocess.run(
        [sys.executable, "-m", "uv", "cache", "dir"], capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip
    monkeypatch.setenv("UV_CACHE_DIR", uv_cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gradcheck" / "environments"


@pytest.fixture
def gradcheck(tmp_path: Path) -> Command:
    """Runs `gradcheck WORD...` in an empty folder; `variables` are set, or removed where None."""

    def run(*words: object, **variables: str | None) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADCHECK_")}
        for name, value in variables.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        command = [sys.executable, "-m", "gradcheck", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)

    return run
