"""A search for the smallest case that fails, and for inputs that take branches of the loss which a usual case does not.

Cases that failed in earlier searches come first (`kept`). hypothesis draws others, and `minimal` makes one that fails
smaller.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gradcheck.errors import Interrupted, ProblemError, RequestError
from gradcheck.problems import Problem
from gradcheck.problems.cases import DISTRIBUTIONS, Case
from gradcheck.results import Backend, Report, Verdict
from gradcheck.runs import drafts, minimal
from gradcheck.runs.branches import Branches
from gradcheck.runs.drafts import CHANGES, EXTREME, SCALES, SIMPLE, Change, Draft
from gradcheck.runs.kept import FOLDER, KeptCases
from gradcheck.runs.plan import backends_of
from gradcheck.runs.records import record_text
from gradcheck.runs.replaying import replay
from gradcheck.runs.runner import Listener, Runner
from gradcheck.settings import Settings
from gradcheck.system import caches, files

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

MOST_CASES = 10**7
MOST_SHRINKING = 60.0
"""Seconds in which a found case is made smaller, beyond those of the search."""
USUAL_SIZE, USUAL_SEEDS = 3, 4
LARGEST_SEED = 1 << 16
MOST_CHANGES = 4
SILENT = (Verdict.UNAVAILABLE, Verdict.UNSUPPORTED)
WRONG_FORMULA = "wrong formula"


@dataclass(frozen=True)
class Limits:
    """How long a hunt lasts, and where it looks.

    Attributes:
        largest: the largest size `k`.
        seconds: of the search.
        most_cases: of the search, or None.
    """

    largest: int
    seconds: float
    most_cases: int | None = None


@dataclass(frozen=True)
class Hunted:
    """What a hunt found.

    Attributes:
        cases: how many were evaluated.
        seconds: how long it took.
        found_after: the number of the first case that failed; None if none did.
        found_seconds: the seconds until then.
        report: the report on the smallest case that failed, or else on a usual one.
        nonzero: the number of entries of its inputs that are not zero.
        untried: branches that no entry of any case took, in words.
        taken: branches that cases took, but not a usual one, and for each a command with a small case; none where a
            case fails.
        refused: why the problem does not have some of the drawn cases.
        is_complete: whether the search came to its end, and no signal ended it.
    """

    cases: int
    seconds: float
    found_after: int | None
    found_seconds: float
    report: Report
    nonzero: int
    untried: list[str]
    taken: list[tuple[str, str]]
    refused: list[str]
    is_complete: bool

    @property
    def exit_code(self) -> int:
        """1 with a case that fails, 3 without an answer of a backend in any case, else 0."""
        if self.found_after is not None:
            return 1
        return 3 if any(backend.verdict in SILENT for backend in self.report.backends) else 0


class _Over(KeyboardInterrupt):
    """The search is over: hypothesis passes on what it takes for Ctrl-C, and keeps no such case."""


@dataclass(frozen=True)
class _Failure:
    """A case that failed: in which backend, and how."""

    case: Case
    report: Report
    backend: str
    kind: str

    @property
    def measure(self) -> tuple[int, int, int]:
        return minimal.measure(self.case.inputs, self.case.k)


def hunt(settings: Settings, limits: Limits, output: Path, listener: Listener) -> Hunted:
    """Search for a case that fails, and write the smallest one that is found to a file.

    Args:
        settings: of each case, but for size, seed, distribution and scale; the seed is that of the search.
        limits: of the search.
        output: the path of the record of the case.
        listener: receives events during the search.

    Raises:
        RequestError: the request is wrong, or hypothesis is not installed.
    """
    _check_installed()
    files.check_writable(output, "--output")
    with Runner(listener) as runner:
        search = _Search(settings, limits, runner)
        try:
            search.run()
            is_complete = True
        except Interrupted:
            is_complete = False
        return search.result(output, is_complete)


def _check_installed() -> None:
    try:
        import hypothesis  # noqa: F401
    except ImportError:
        raise RequestError("hunt: hypothesis is not installed: expected pip install 'gradcheck[hunt]'") from None


class _Search:
    """The cases so far.

    Args:
        settings: see `hunt`.
        limits: see `hunt`.
        runner: whose workers stay warm from case to case.
    """

    def __init__(self, settings: Settings, limits: Limits, runner: Runner) -> None:
        self._problem: Problem = runner.problem(settings)
        asked = backends_of(self._problem, settings, {settings.problem: self._problem})
        self._settings = replace(settings, backend=asked, seed=0)
        self._limits, self._runner = limits, runner
        self._random = random.Random(settings.seed)
        self._began = time.monotonic()
        self._deadline = self._began + limits.seconds
        self._cases = 0
        self._first: tuple[int, float] | None = None
        self._smallest: _Failure | None = None
        self._usual: Report | None = None
        self._refused: list[str] = []
        self._branches = Branches()
        self._kept = KeptCases(self._problem, settings.dtype, settings.order, asked)

    def run(self) -> None:
        """Search, and make what is found smaller.

        Raises:
            RequestError: the request is wrong.
        """
        self._problem.sized(self._limits.largest, given="k" in self._settings.given)
        usual = Draft(self._size(min(USUAL_SIZE, self._limits.largest)), 0, "uniform", 1.0)
        is_failing = self._is_failing(self._case(usual))
        assert self._usual is not None, "a case was evaluated"
        answering = tuple(each.spec for each in self._usual.backends if each.verdict not in SILENT)
        if not answering:
            return
        self._settings = replace(self._settings, backend=answering)
        if not (is_failing or self._fail_again()):
            self._find()
        self._deadline = max(self._deadline, time.monotonic() + MOST_SHRINKING)
        try:
            if self._smallest is None:
                self._take_branches()
            if self._smallest is not None:
                self._shrink(self._smallest.case)
        except _Over:
            return

    def _size(self, k: int) -> int | None:
        return k if self._problem.has_size else None

    def _case(self, draft: Draft) -> Case:
        return draft.case(self._problem, self._settings.dtype, self._settings.order)

    def _fail_again(self) -> bool:
        """Whether a case that failed in an earlier search fails."""
        for content, case in self._kept:
            if self._is_failing(case):
                return True
            self._kept.drop(content)
        return False

    def _find(self) -> None:
        """Let hypothesis look for a draft that fails, and make it smaller in its own way."""
        from hypothesis import Phase, find, settings
        from hypothesis.errors import Flaky, NoSuchExample

        chosen = settings(
            max_examples=self._limits.most_cases or MOST_CASES,
            database=None,
            derandomize=False,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
        )
        with _home(caches.folder(FOLDER)), contextlib.suppress(NoSuchExample, Flaky, _Over):
            find(self._drafts(), self._fails, settings=chosen, random=self._random)

    def _drafts(self) -> SearchStrategy[Draft]:
        from hypothesis import strategies as st

        small = st.integers(0, 255)
        known = [st.sampled_from(each) for each in (SIMPLE, drafts.edges(self._problem), EXTREME)]
        number = st.one_of(*known, st.floats(-100, 100))
        change = st.builds(
            Change,
            kind=st.sampled_from(tuple(CHANGES)),
            input=st.integers(0, 31),
            places=st.tuples(small, small),
            value=number,
        )
        sizes = st.integers(1, self._limits.largest) if self._problem.has_size else st.none()
        return st.builds(
            Draft,
            k=sizes,
            seed=st.integers(0, LARGEST_SEED),
            distribution=st.sampled_from(tuple(DISTRIBUTIONS)),
            scale=st.sampled_from(SCALES),
            changes=st.lists(change, max_size=MOST_CHANGES).map(tuple),
        )

    def _fails(self, draft: Draft) -> bool:
        """Whether the case of a draft fails like the first one that did."""
        if time.monotonic() > self._deadline:
            raise _Over
        try:
            return self._is_failing(self._case(draft))
        except ProblemError as error:
            self._refused.append(str(error))
            return False
        except RequestError:  # its inputs do not fit the dtype, or the problem
            return False

    def _is_failing(self, case: Case) -> bool:
        report = self._evaluated(case)
        failure = _failure(case, report)
        if failure is None:
            return False
        if self._first is None:
            self._first = self._cases, time.monotonic() - self._began
            self._smallest = failure
        elif self._smallest is not None:
            if (failure.backend, failure.kind) not in _like(self._smallest):
                return False
            if failure.measure < self._smallest.measure:
                self._smallest = failure
        return True

    def _evaluated(self, case: Case) -> Report:
        report = self._runner.run(self._settings, case)
        self._cases += 1
        if self._usual is None:
            self._usual, self._branches = report, Branches(report.conditions)
        self._branches.see(case, report.conditions)
        return report

    def _take_branches(self) -> None:
        """Make the cases smaller that take branches which a usual case does not take; one of them may fail."""
        for branch, case in self._branches.cases.items():
            smallest = self._minimal(case, functools.partial(self._branches.is_taken, branch))
            self._branches.cases[branch] = smallest
            if self._is_failing(smallest):
                return

    def _shrink(self, case: Case) -> None:
        """Make a case that fails smaller: with another seed and a smaller size, and then entry by entry."""
        for k in range(1, case.k or 1):
            usual = (Draft(k, seed, "uniform", 1.0) for seed in range(USUAL_SEEDS))
            if any(self._fails(draft) for draft in usual):
                break
        assert self._smallest is not None, "the case fails"
        self._minimal(self._smallest.case, self._is_failing)

    def _minimal(self, case: Case, holds: Callable[[Case], bool]) -> Case:
        """The smallest case for which something holds."""
        dtype, order, problem = self._settings.dtype, self._settings.order, self._problem
        roles = drafts.roles(problem, case.k)

        def still(arrays: minimal.Arrays, k: int | None) -> bool:
            if time.monotonic() > self._deadline:
                raise _Over
            try:
                return holds(drafts.given(problem, k, dtype, arrays, order))
            except RequestError:
                return False

        free = tuple(name for name in case.inputs if name in (*roles.free, *roles.added))
        found = minimal.minimal(case.inputs, case.k, still, lambda k: drafts.shapes(problem, k, order), free)
        return drafts.given(problem, found[1], dtype, found[0], order)

    def result(self, output: Path, is_complete: bool) -> Hunted:
        """What was found; the smallest case is written to a file.

        Raises:
            Interrupted: not even a usual case was evaluated.
        """
        report, nonzero = self._usual, 0
        if self._smallest is not None:
            report, nonzero = self._smallest.report, self._smallest.measure[1]
            self._kept.keep(self._smallest.case)
            self._write(self._smallest.case, report.backends, output)
            settings = replace(self._settings, k=self._smallest.case.k or self._settings.k, inputs=str(output))
            if is_complete:
                report = self._runner.run(settings)  # from the file, as the printed command does
        if report is None:
            raise Interrupted
        after, seconds = self._first or (None, 0.0)
        return Hunted(
            cases=self._cases,
            seconds=time.monotonic() - self._began,
            found_after=after,
            found_seconds=seconds,
            report=report,
            nonzero=nonzero,
            untried=self._branches.coverage.untried,
            taken=self._written_branches(output),
            refused=self._refused,
            is_complete=is_complete,
        )

    def _written_branches(self, output: Path) -> list[tuple[str, str]]:
        """Branches that a usual case does not take, and the commands that take them; none beside a failing case."""
        found: list[tuple[str, str]] = []
        for number, (branch, case) in enumerate(self._branches.cases.items() if not self._smallest else (), 1):
            path = output.with_name(f"{Path(self._settings.problem).stem}-branch-{number}.json")
            self._write(case, (), path)
            settings = replace(self._settings, k=case.k or self._settings.k, inputs=str(path))
            found.append((str(branch), replay(settings, self._problem, case.k)))
        return found

    def _write(self, case: Case, backends: Iterable[Backend], output: Path) -> None:
        name = self._settings.problem
        if name.endswith(".py"):
            name = os.path.relpath(self._problem.path.resolve(), output.resolve().parent)
        files.write(output, record_text(name, case, backends), "--output")


def _failure(case: Case, report: Report) -> _Failure | None:
    """The first backend that differs or crashes in a case, and how."""
    for backend in report.backends:
        if backend.verdict in (Verdict.DIFFERS, Verdict.CRASHED):
            return _Failure(case, report, backend.spec, _kind(backend))
    return None


def _kind(backend: Backend) -> str:
    return backend.cause.kind if backend.cause else str(backend.verdict)


def _like(failure: _Failure) -> set[tuple[str, str]]:
    """The failures that may take the place of one: the same backend in the same way, or with a wrong formula."""
    return {(failure.backend, kind) for kind in (failure.kind, WRONG_FORMULA)}


@contextlib.contextmanager
def _home(folder: Path) -> Iterator[None]:
    """Let hypothesis keep its own files in a folder, and not in the current one."""
    from hypothesis.configuration import set_hypothesis_home_dir

    set_hypothesis_home_dir(folder)
    try:
        yield
    finally:
        set_hypothesis_home_dir(None)
