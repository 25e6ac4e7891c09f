"""Small mistakes in the code, one by one, and whether the tests find them: `python tools/mutants.py`.

Each mutant of `mutants.toml` is a text of a file, its replacement, and the tests that must fail then. They run in
copies of the working tree, never in it. `--only WORD` takes those whose file or text has the word, `--every N` each
N-th, `--jobs N` runs N side by side. Ends with 1 where more than a tenth survives, or one that is not expected to.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import queue
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_suffix(".toml")
COPIED = (
    "gradcheck",
    "tests",
    "benchmarks",
    "docs",
    "examples",
    "pyproject.toml",
    "README.md",
    "action.yml",
    ".pre-commit-hooks.yaml",
)
TIMEOUT = 120
"""The time limit of one mutant's tests in seconds: a mutant that hangs counts as killed."""
SHARE = 0.9
"""The required share of killed mutants."""
FAILED, PASSED = 1, 0
"""pytest's exit codes if a test failed, and if all passed; others mean that no test was run."""

PROCESSES = multiprocessing.get_context("forkserver")
"""Processes that have imported what tests need, but nothing of the copies: a third of the time of new ones."""
IMPORTED = ["numpy", "flint", "hypothesis", "msgspec", "pytest", "rich.table", "xdist.plugin"]

KNOWN_IMPORTS = ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Attributes:
        file: below the root.
        right: the text that is replaced; it occurs once.
        wrong: its replacement.
        tests: pytest's arguments.
        survives: why no test can fail; empty where one should.
    """

    file: str
    right: str
    wrong: str
    tests: Sequence[str]
    survives: str = ""

    def __str__(self) -> str:
        right, wrong = (" ".join(text.split()) for text in (self.right, self.wrong))
        return f"{self.file}: {right}  →  {wrong or 'nothing'}"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a mutant: `killed`, or the error that prevented its tests."""

    mutant: Mutant
    killed: bool
    seconds: float
    error: str = ""


def main() -> int:
    """Run the mutants and print the survivors."""
    arguments = parser().parse_args()
    mutants = [each for each in listed() if arguments.only in str(each)][:: arguments.every]
    if not mutants:
        sys.exit(f"--only {arguments.only}: no mutant's file or text has that")
    if errors := [error for mutant in mutants for error in misfits(mutant)]:
        sys.exit("\n".join(errors))
    PROCESSES.set_forkserver_preload(IMPORTED)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [copied(Path(folder) / str(number)) for number in range(arguments.jobs)]
        if failing := unmutated(copies[0], mutants):
            sys.exit(f"tests fail without a mutant:\n{failing}")
        return report(list(run(mutants, copies)))


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--only", default="", metavar="WORD", help="those whose file or text has the word")
    options.add_argument("--every", type=int, default=1, metavar="N", help="each N-th")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="so many side by side")
    return options


def listed() -> list[Mutant]:
    """The mutants of the list."""
    return [Mutant(**entry) for entry in tomllib.loads(LIST.read_text())["mutant"]]


def misfits(mutant: Mutant) -> Iterable[str]:
    """The errors of an entry of the list."""
    path = ROOT / mutant.file
    count = path.read_text().count(mutant.right) if path.is_file() else 0
    if count != 1:
        yield f"{mutant.file}: expected once, found {count} times: {mutant.right}"
    for test in mutant.tests:
        if not (ROOT / test.partition("::")[0]).is_file():
            yield f"{mutant.file}: no test {test}"


def copied(folder: Path) -> Path:
    """A copy of the working tree, as far as tests need it."""
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    return folder


def unmutated(copy: Path, mutants: Sequence[Mutant]) -> str:
    """The output of the tests of all mutants if they fail without a mutant: then they kill nothing."""
    tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
    code, printed = tested(copy, tests, TIMEOUT * 5)
    return "" if code == PASSED else printed


def tested(copy: Path, tests: Sequence[str], timeout: float) -> tuple[int | None, str]:
    """Run tests in a copy until one fails: pytest's exit code, None where they take too long, and what it printed."""
    output = copy / "output.txt"
    process = PROCESSES.Process(target=run_pytest, args=(copy, list(tests), output))
    process.start()
    process.join(timeout)
    code = process.exitcode
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    return code, output.read_text(errors="replace")


def run_pytest(copy: Path, tests: list[str], output: Path) -> None:
    """Run in a process of its own, which has its own group: leftovers of tests end with it."""
    import pytest

    os.setsid()
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(copy)
    os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(copy))
    code = pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", *KNOWN_IMPORTS, *tests])
    sys.stdout.flush()
    os._exit(int(code))


def run(mutants: Sequence[Mutant], copies: Sequence[Path]) -> Iterable[Outcome]:
    """Run mutants side by side, one in each copy; outcomes in the order of the list."""
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for copy in copies:
        free.put(copy)

    def one(mutant: Mutant) -> Outcome:
        copy = free.get()
        try:
            return outcome(mutant, copy)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        for found in pool.map(one, mutants):
            print(line(found), flush=True)
            yield found


def outcome(mutant: Mutant, copy: Path) -> Outcome:
    """Insert one mistake, run its tests, and remove it again."""
    path, begun = copy / mutant.file, time.monotonic()
    right = path.read_text()
    path.write_text(right.replace(mutant.right, mutant.wrong))
    try:
        code, printed = tested(copy, mutant.tests, TIMEOUT)
    finally:
        path.write_text(right)
    seconds = time.monotonic() - begun
    if code not in (None, FAILED, PASSED):
        return Outcome(mutant, False, seconds, error=(printed.splitlines() or [f"pytest ended with {code}"])[-1])
    return Outcome(mutant, code != PASSED, seconds)


def line(found: Outcome) -> str:
    """One outcome."""
    word = f"ERROR ({found.error})" if found.error else "killed" if found.killed else "SURVIVES"
    return f"{word:8} {found.seconds:5.1f} s  {found.mutant}"


def report(outcomes: Sequence[Outcome]) -> int:
    """Print the share of killed mutants and the survivors; the exit code."""
    killed = sum(each.killed for each in outcomes)
    survivors = [each.mutant for each in outcomes if not each.killed]
    print(f"\n{killed} of {len(outcomes)} killed: {killed / max(len(outcomes), 1):.0%}")
    for mutant in survivors:
        print(f"survives: {mutant}\n    {mutant.survives or 'UNEXPECTED: no reason is known'}")
    surprises = [each for each in outcomes if each.error or each.killed == bool(each.mutant.survives)]
    for each in surprises:
        print(f"not as expected: {line(each)}")
    return int(bool(surprises) or killed < SHARE * len(outcomes))


if __name__ == "__main__":
    sys.exit(main())
