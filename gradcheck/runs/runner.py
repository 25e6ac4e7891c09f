"""One case, from a request to a report: settings → problem → workers → answers → judgement → report."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gradcheck import problems
from gradcheck.errors import InputsError, RequestError
from gradcheck.execution.authors import Authors
from gradcheck.execution.environments import Building, Environment
from gradcheck.execution.messages import Request
from gradcheck.execution.pool import Pool
from gradcheck.execution.selection import (
    Place,
    Selected,
    Selection,
    choose,
    explained,
    foreseen,
    place,
)
from gradcheck.execution.worker import Failure
from gradcheck.problems import Problem
from gradcheck.results import Backend, BackendEnvironment, Report, Verdict
from gradcheck.runs.drawing import draw, read_inputs
from gradcheck.runs.judged import JudgedCase, judged_together
from gradcheck.runs.replaying import replay
from gradcheck.runs.sent import Sent, request_of
from gradcheck.settings import Settings

if TYPE_CHECKING:
    from gradcheck.answers import BackendAnswer
    from gradcheck.graphs import Graph
    from gradcheck.judging.judge import Judgement, Order, Truth
    from gradcheck.oracle import Tape
    from gradcheck.problems.cases import Case
    from gradcheck.runs.judged import Answers
    from gradcheck.runs.sources import Sources

AT_ONCE = 32
"""The largest number of cases in one message."""
MOST_PROBLEMS = 128
"""The largest number of problems that a session keeps loaded."""


@contextlib.contextmanager
def authors(building: Building | None, timeout: float) -> Iterator[Authors]:
    """What loads a file in an engine's own code, for as long as its problem is in use."""
    pool = Pool()
    try:
        yield Authors(pool, building, timeout)
    finally:
        pool.close()


class Listener(Building, Protocol):
    """Receives events before the report is complete."""

    def evaluating(self, specs: list[str]) -> None:
        """Workers have started."""

    def details(self, spec: str, text: str) -> None:
        """A backend failed: the end of its traceback or of what it printed."""


class Prepared(NamedTuple):
    """A problem, its size, its backends, which have started, and the case if its inputs are given."""

    problem: Problem
    size: int | None
    selection: Selection
    inputs: Case | None


class Runner:
    """Backends that stay warm from case to case: the first one starts their workers, later ones take milliseconds.

    Args:
        listener: receives events.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._pool = Pool()
        self._authors = Pool()
        self._owner = os.getpid()
        self._lock = threading.Lock()  # its workers answer one request at a time
        self._problems: dict[tuple[str, Path, float, Path | None], Problem] = {}
        self._tape = functools.lru_cache(_tape)
        self._sources = functools.lru_cache(_sources)
        self._places: dict[Place, Environment] = {}
        self._in_flight: Sent | None = None

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        with self._lock:
            self._pool.close()
            self._authors.close()

    def run(self, settings: Settings, given: Case | None = None) -> Report:
        """Evaluate one case in every requested backend, and judge the answers.

        Runs of several threads happen one after the other.

        Args:
            settings: the settings of the run.
            given: the case, of the settings' problem, dtype and order; by default the one that they describe.
        """
        if os.getpid() != self._owner:  # either of two processes could receive the answers of its workers
            raise RequestError("session: it belongs to the process that forked this one: expected a session made here")
        with self._lock:
            return self._run(settings, given)

    def run_several(self, several: Sequence[tuple[Settings, bool]]) -> Iterator[Report | InputsError]:
        """Evaluate several cases of one problem, dtype and size, and judge the answers, as `run` does.

        Small ones go to our workers many in one message, and workers compute while the cases before are judged.

        Args:
            several: settings that differ in distribution, scale and seed alone; and whether backends must answer twice.

        Yields:
            The report of each case, or why it has no inputs.
        """
        with self._lock:
            prepared = self._prepare(several[0][0], None)
            pieces = [several[start : start + AT_ONCE] for start in range(0, len(several), AT_ONCE)]
            following = self._send(pieces[0], prepared)
            try:
                for number, piece in enumerate(pieces):
                    sent = following
                    sent.answers()  # workers take one message at a time
                    if number + 1 < len(pieces):
                        self._in_flight = following = self._send(pieces[number + 1], prepared)
                    judged = iter(self._judge(sent, prepared.selection, piece[0][0]))
                    for (settings, _), drawn in zip(piece, sent.cases, strict=True):
                        if isinstance(drawn, InputsError):
                            yield drawn
                        else:
                            yield self._assess(*drawn, prepared.selection, settings, next(judged))
            finally:
                self._in_flight = None

    def _send(self, several: Sequence[tuple[Settings, bool]], prepared: Prepared) -> Sent:
        """Draw several cases, and send them to the workers if that is possible in one message."""
        problem, size, selection, _ = prepared
        found: list[tuple[Case, Tape] | InputsError] = []
        for settings, _ in several:
            try:
                case = draw(settings, problem, size)
                found.append((case, self._tape_of(case, settings.watch)))
            except InputsError as error:
                found.append(error)
        launches = selection.launches()
        self._pool.start(launches, several[0][0].timeout)
        drawn = [each for each in found if not isinstance(each, InputsError)]
        twice = [asked for (_, asked), each in zip(several, found, strict=True) if not isinstance(each, InputsError)]
        return Sent(self._pool, found, [request_of(*each) for each in drawn], twice, launches)

    def _judge(self, sent: Sent, selection: Selection, settings: Settings) -> list[JudgedCase]:
        """Judge the answers to several cases."""
        if not (cases := sent.drawn):
            return []
        backends = {backend.key: backend for backend in selection.backends}
        formats = {key: backend.format(settings.dtype) for key, backend in backends.items()}

        def order_of(key: str) -> Order:
            case, tape = cases[0]
            return self._sources(Path.cwd(), case.problem, tape.graph, backends[key].spec.name).order

        return judged_together(cases, sent.answers(), formats, settings.gate, order_of)

    def _run(self, settings: Settings, given: Case | None) -> Report:
        problem, size, selection, inputs = self._prepare(settings, given)
        # From here on, this process imports NumPy and the oracle, while the workers import their frameworks.
        case = inputs or draw(settings, problem, size)
        return self._assess(case, self._tape_of(case, settings.watch), selection, settings, JudgedCase())

    def _prepare(self, settings: Settings, given: Case | None) -> Prepared:
        """Load the problem, and start its backends."""
        with self._pool.early(foreseen(settings), settings.timeout):
            problem = self._problem(settings)
            backends = choose(settings.backend, problem, settings.device, settings.tf32, settings.order)
            size = problem.sized(settings.k, given="k" in settings.given)
            inputs = given or (read_inputs(settings, problem, settings.inputs) if settings.inputs else None)
        size = inputs.k if inputs else size

        def refuse_what_is_wrong() -> None:
            self._tape_of(inputs or draw(settings, problem, size), settings.watch)

        selection = place(backends, settings, self._listener, self._places, before_building=refuse_what_is_wrong)
        self._pool.start(selection.launches(), settings.timeout)
        self._listener.evaluating(list(selection.places))
        return Prepared(problem, size, selection, inputs)

    def _tape_of(self, case: Case, watch: str) -> Tape:
        from gradcheck.problems.recording import graph_of
        from gradcheck.problems.sampling import wrt_of

        graph = graph_of(case.problem, case.k, case.inputs, case.dtype)
        return self._tape(graph, wrt_of(case.problem, case.k), watch, case.order).at(case.inputs)

    def problem(self, settings: Settings) -> Problem:
        """The problem that settings name.

        Raises:
            RequestError: it cannot be loaded.
        """
        with self._lock:
            return self._problem(settings)

    def _problem(self, settings: Settings) -> Problem:
        """A problem, loaded again if its file, or one of the user's modules that it imported, has changed."""
        name, timeout = settings.problem, settings.timeout
        building = None if settings.no_build else self._listener
        authors = Authors(self._authors, building, timeout, settings.backend)
        key = name, problems.find(name), timeout, authors.interpreter
        known = self._problems.pop(key, None)
        is_known = known is not None and not known.imports.have_changed()
        self._problems[key] = known if known and is_known else problems.load(name, timeout, authors)
        if len(self._problems) > MOST_PROBLEMS:
            del self._problems[next(iter(self._problems))]
        return self._problems[key]

    def _assess(
        self,
        case: Case,
        tape: Tape,
        selection: Selection,
        settings: Settings,
        known: JudgedCase,
    ) -> Report:
        """Evaluate a case in every backend, but for those with known answers, and judge the answers as they come."""
        outcomes = self._outcomes(request_of(case, tape), selection, settings, known.answers)
        # Workers compute from here on, while this process imports what judges their answers.
        from gradcheck.judging import judge
        from gradcheck.runs import assemble
        from gradcheck.runs.same_loss import check_same_loss

        formats = {backend.key: backend.format(case.dtype) for backend in selection.backends}
        sources_of = functools.partial(self._sources, Path.cwd(), case.problem, tape.graph)
        sources = {backend.key: sources_of(backend.spec.name) for backend in selection.backends}
        truths = {
            format: known.truths.get(format) or judge.truth(tape, case.inputs, format)
            for format in dict.fromkeys(formats.values())
        }
        check_same_loss(case, truths.values())
        truth_of = {key: truths[format] for key, format in formats.items()}
        records = {
            key: assemble.unanswered(selection.specs[key], case.dtype, failure, selection.specs[key].version)
            for key, failure in selection.failures.items()
        }
        answers, judged = {}, {}
        for key, outcome in outcomes:
            if isinstance(outcome, Failure):
                records[key] = self._without_answer(key, outcome, selection, case)
            else:
                answers[key] = outcome
                judged[key] = known.judgements.get(key) or judge.judge(
                    outcome, truth_of[key], settings.gate, sources[key].order
                )
        for backend in [backend for backend in selection.backends if backend.key in answers]:
            key = backend.key
            judgement = self._diagnosed(backend, case, answers[key], truth_of[key], judged[key], settings)
            records[key] = self._with_answer(backend, case, answers[key], judgement, sources[key])
        return assemble.report(
            case=case,
            replay=replay(settings, case.problem, case.k),
            truth=next(iter(truths.values())),
            backends=[records[backend.key] for backend in selection.backends],
            answers={backend.key: answers[backend.key] for backend in selection.backends if backend.key in answers},
            environments=self._environments(selection),
            sources=sources_of(),
        ).allowing(settings.allow)

    def _outcomes(
        self,
        request: Request,
        selection: Selection,
        settings: Settings,
        known: Answers | None,
    ) -> Iterator[tuple[str, BackendAnswer | Failure]]:
        """The answers to a request as they come, those that are known first."""
        if known is None:
            return self._pool.evaluate(request, list(selection.places))
        if not (others := [key for key in selection.places if key not in known]):
            return iter(known.items())
        self._settle()
        self._pool.start(selection.launches(), settings.timeout)  # also those that a case before has ended
        return itertools.chain(known.items(), self._pool.evaluate(request, others))

    def _settle(self) -> None:
        """Receive the answers that workers still compute: they take one request at a time."""
        if self._in_flight is not None:
            self._in_flight.answers()

    def _with_answer(
        self, backend: Selected, case: Case, answer: BackendAnswer, judgement: Judgement, sources: Sources
    ) -> Backend:
        """The record of a backend that gave an answer, with the lines of its errors."""
        from gradcheck.judging import precision
        from gradcheck.runs import assemble

        notes = [*answer.notes, *precision.remarks(answer, case)]
        started = self._pool.started.get(backend.key)
        return assemble.answered(backend.spec, case, answer, judgement, started, sources, notes)

    def _environments(self, selection: Selection) -> dict[str, BackendEnvironment]:
        """The environment of each backend that started."""
        from gradcheck.runs import assemble

        return {
            backend.key: assemble.ran_in(where, self._pool.started[backend.key], backend.runs_on)
            for backend in selection.backends
            if (where := selection.places.get(backend.key)) and backend.key in self._pool.started
        }

    def _without_answer(self, key: str, failure: Failure, selection: Selection, case: Case) -> Backend:
        """The record of a backend that failed; its output is shown if the reason is not enough."""
        from gradcheck.runs import assemble

        started = self._pool.started.get(key)
        failure = explained(failure, selection.specs[key], selection.places[key], started=started is not None)
        if failure.verdict is not Verdict.UNSUPPORTED:
            self._listener.details(key, failure.details)
        version = started.version if started else selection.places[key].version
        return assemble.unanswered(selection.specs[key], case.dtype, failure, version)

    def _diagnosed(
        self,
        backend: Selected,
        case: Case,
        answer: BackendAnswer,
        known: Truth,
        judgement: Judgement,
        settings: Settings,
    ) -> Judgement:
        """A judgement with the cause of a difference, for which the backend runs once more."""
        if judgement.verdict is not Verdict.DIFFERS:
            return judgement
        from gradcheck.judging import diagnosis, judge
        from gradcheck.problems import cases

        def rerun(dtype: str) -> tuple[BackendAnswer, Truth] | str:
            try:
                other = case if dtype == diagnosis.LONGDOUBLE else cases.in_dtype(case, dtype)
                tape = known.tape if other is case else self._tape_of(other, settings.watch)
            except RequestError as error:
                return str(error)
            there = known if other is case else judge.truth(tape, other.inputs, backend.format(dtype))
            request = replace(request_of(other, tape), dtype=dtype, entries=0)
            self._settle()
            [(_, outcome)] = self._pool.evaluate(request, [backend.key])
            return (outcome, there) if not isinstance(outcome, Failure) else f"run again in {dtype}: {outcome.reason}"

        by_hand = backend.engine is None and not backend.spec.program
        other = functools.partial(diagnosis.other_dtype, by_hand=by_hand, lacks=backend.lacks.__contains__)
        diagnosed = diagnosis.diagnose(answer, known, judgement, other, rerun)
        return diagnosis.passed(diagnosed) if settings.gate == "formula" else diagnosed


def _tape(graph: Graph, wrt: tuple[str, ...], watch: str, order: int) -> Tape:
    from gradcheck.oracle import tape_of

    graph = graph.watching_all() if watch == "all" else graph
    return tape_of(graph.along(wrt) if order == 2 else graph, wrt)


def _sources(_folder: Path, problem: Problem, graph: Graph, name: str = "") -> Sources:
    """The lines of a problem, whose paths start from the current folder."""
    from gradcheck.runs.sources import Sources

    return Sources(problem, graph, name)
