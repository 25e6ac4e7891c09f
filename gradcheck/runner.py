"""One case, from a request to a report: settings → problem → workers → answers → judgement → report."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from gradcheck import catalogue, environments, problems
from gradcheck.backends import _handwritten
from gradcheck.catalogue import Engine, Spec
from gradcheck.crews import Crew, Post, Question, hosted
from gradcheck.environments import Builder, Building, Environment, Kept, Missing
from gradcheck.errors import RequestError
from gradcheck.problems import Problem
from gradcheck.results import Report, Verdict
from gradcheck.settings import Settings
from gradcheck.workers import Failure

if TYPE_CHECKING:
    from gradcheck.cases import Case
    from gradcheck.oracle import Format, Tape

DEFAULT_ENGINES = ("torch", "mxnet")


@dataclass(frozen=True)
class Row:
    """A backend that was asked for: where `engine` is None, a program or a hand-written gradient of the problem."""

    spec: Spec
    engine: Engine | None

    @property
    def key(self) -> str:
        """What it is called in reports."""
        return str(self.spec)

    @property
    def lacks(self) -> Mapping[str, str]:
        """dtype -> why it cannot compute in it."""
        if self.spec.program:
            return {}
        return self.engine.lacks if self.engine else _handwritten.LACKS

    def format(self, dtype: str) -> Format:
        """How it rounds."""
        from gradcheck.oracle import Format

        if self.spec.program:  # nothing is known of it: it may flush subnormal numbers, and sum in its own dtype
            return Format.of(dtype, flushes=True)
        formats = self.engine.formats if self.engine else _handwritten.FORMATS
        return Format.of(dtype, **formats.get(dtype, {}))

    def post(self, place: Environment) -> Post:
        """How its worker is started."""
        if self.spec.program:
            return Post([str(place.python)])
        if self.engine:
            return hosted(place.python, backend=str(self.engine.path))
        return hosted(place.python, gradient=self.spec.name)


class Listener(Building, Protocol):
    """Who is told what happens before the report is there."""

    def evaluating(self, specs: list[str]) -> None:
        """Workers have started."""

    def details(self, spec: str, text: str) -> None:
        """A backend failed: the end of its traceback or of what it printed."""


def run(settings: Settings, listener: Listener) -> Report:
    """Evaluate one case in every backend that was asked for, and judge the answers.

    Args:
        settings: what to run.
        listener: who is told what happens meanwhile.

    Raises:
        RequestError: the request is wrong; nothing was run.
    """
    with Session(listener) as session:
        return session.run(settings)


class Session:
    """Backends that stay warm from case to case: the first one starts their workers, later ones take milliseconds.

    Args:
        listener: who is told what happens.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._crew = Crew()
        self._problem = functools.lru_cache(_problem)
        self._tape = functools.lru_cache(_tape)
        self._places: dict[Spec, Environment] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._crew.close()

    def run(self, settings: Settings) -> Report:
        """Evaluate one case and judge the answers; see `run`."""
        problem = self._problem(settings.problem, problems.find(settings.problem).stat().st_mtime_ns)
        rows = choose(settings.backend, problem)
        inputs = read_inputs(settings, problem, settings.inputs) if settings.inputs else None

        def refuse_what_is_wrong() -> None:
            self._tape(problem, settings.k)
            draw(settings, problem)

        lineup = place(rows, settings, self._listener, self._places, before_building=refuse_what_is_wrong)
        self._crew.start(lineup.posts(), settings.timeout)
        self._listener.evaluating(list(lineup.places))
        # NumPy and the oracle are imported from here on, while the workers import their frameworks.
        case = inputs or draw(settings, problem)
        return self._assess(case, self._tape(problem, settings.k), lineup, settings)

    def _assess(self, case: Case, tape: Tape, lineup: Lineup, settings: Settings) -> Report:
        """Have a case answered by every backend, and judge the answers as they come."""
        from gradcheck import composition, judge, precision

        question = Question(case.problem.path, case.dtype, case.problem.wrt, case.inputs)
        outcomes = self._crew.evaluate(question, list(lineup.places))
        formats = {row.key: row.format(case.dtype) for row in lineup.rows}
        truths = {format: judge.truth(tape, case.inputs, format) for format in dict.fromkeys(formats.values())}
        backends = {
            row.key: composition.unanswered(row.spec, case.dtype, lineup.failures[row.key], row.spec.version)
            for row in lineup.rows
            if row.key in lineup.failures
        }
        answers = {}
        for key, outcome in outcomes:
            spec, told = lineup.specs[key], self._crew.started.get(key)
            if isinstance(outcome, Failure):
                self._listener.details(key, outcome.details)
                version = told.version if told else lineup.places[key].version
                backends[key] = composition.unanswered(spec, case.dtype, outcome, version)
            else:
                answers[key] = outcome
                judgement = judge.judge(outcome, truths[formats[key]], settings.gate)
                notes = [*outcome.notes, *precision.remarks(outcome, case, judgement, truths[formats[key]])]
                backends[key] = composition.answered(spec, case, outcome, judgement, told, notes)
        started = {key: told for key, told in self._crew.started.items() if key in lineup.places}
        return composition.report(
            case=case,
            replay=replay(settings),
            truth=next(iter(truths.values())),
            backends=[backends[row.key] for row in lineup.rows],
            answers={row.key: answers[row.key] for row in lineup.rows if row.key in answers},
            environments={key: composition.ran_in(lineup.places[key], told) for key, told in started.items()},
        )


def _problem(name: str, _modified: int) -> Problem:
    return problems.load(name)


def _tape(problem: Problem, k: int) -> Tape:
    from gradcheck.tapes import record_tape

    return record_tape(problem, k)


def choose(specs: Sequence[str], problem: Problem) -> list[Row]:
    """The backends to run: those named, or every hand-written gradient of the problem and the default engines.

    Raises:
        RequestError: a name stands for no backend, or comes twice.
    """
    rows: list[Row] = []
    for text in specs or (*problem.gradients, *DEFAULT_ENGINES):
        spec = catalogue.parse(text)
        if spec in (row.spec for row in rows):
            raise RequestError(f"backend {text!r}: named twice: expected each backend once")
        is_engine = not spec.program and spec.name not in problem.gradients
        rows.append(Row(spec, known_engine(spec, problem.gradients) if is_engine else None))
    return rows


def known_engine(spec: Spec, others: Sequence[str] = ()) -> Engine:
    """The engine that a backend's name stands for; `others` are names that would do as well.

    Raises:
        RequestError: there is none.
    """
    found = catalogue.engine(spec.name)
    if found is None:
        known = ", ".join(dict.fromkeys((*others, *catalogue.engines())))
        raise RequestError(f"backend {str(spec)!r}: unknown: expected one of {known}")
    return found


@dataclass(frozen=True)
class Lineup:
    """The backends of a run in the order in which they were asked for, where each runs, and why the others cannot."""

    rows: Sequence[Row]
    places: Mapping[str, Environment]
    failures: Mapping[str, Failure]

    @property
    def specs(self) -> dict[str, Spec]:
        """The backends by key."""
        return {row.key: row.spec for row in self.rows}

    def posts(self) -> dict[str, Post]:
        """How the workers are started."""
        return {row.key: row.post(self.places[row.key]) for row in self.rows if row.key in self.places}


def place(
    rows: Sequence[Row],
    settings: Settings,
    building: Building,
    known: dict[Spec, Environment],
    before_building: Callable[[], None] = lambda: None,
) -> Lineup:
    """Find where each backend runs, and build its environment if need be; what is found is added to `known`.

    Building takes a minute: `before_building` may refuse the request, which otherwise is looked at while workers start.
    """
    found = {row.spec: located(row, settings.dtype, known) for row in rows}
    if not settings.no_build:
        wanted = {row.spec: row.engine for row in rows if row.engine and is_buildable(found[row.spec])}
        if wanted:
            before_building()
            found |= Builder(building).build(wanted)
    places: dict[str, Environment] = {}
    failures: dict[str, Failure] = {}
    for spec, where in found.items():
        if isinstance(where, Environment):
            places[str(spec)] = known[spec] = where
        else:
            failures[str(spec)] = where if isinstance(where, Failure) else Failure(Verdict.UNAVAILABLE, where.reason)
    return Lineup(rows, places, failures)


def located(row: Row, dtype: str, known: Mapping[Spec, Environment]) -> Environment | Missing | Failure:
    """Where a backend runs as things are, or why it cannot."""
    if dtype in row.lacks:
        return Failure(Verdict.UNSUPPORTED, row.lacks[dtype])
    if row.spec in known:
        return known[row.spec]
    if row.spec.program_path:
        return located_program(row.spec.program_path)
    if row.engine is None:
        return Environment(row.spec.python or Path(sys.executable), "current")
    return environments.find(row.spec, row.engine)


def located_program(path: Path) -> Environment | Missing:
    """A program in the place of an interpreter, or why it cannot be run."""
    if not path.exists():
        return Missing(f"{path} does not exist: expected an executable file")
    if not path.is_file():
        return Missing(f"{path} is no file: expected an executable file")
    if not os.access(path, os.X_OK):
        return Missing(f"{path} is not executable: expected an executable file (chmod +x)")
    return Environment(path, "program")


def is_buildable(where: Environment | Missing | Failure) -> bool:
    """Whether building an environment would help."""
    return isinstance(where, Missing) and where.buildable


def build(names: Sequence[str], building: Building) -> dict[str, Environment | Missing]:
    """Build the environments of engines.

    Raises:
        RequestError: a name stands for no engine that has a managed environment.
    """
    wanted = {spec: known_engine(spec) for spec in map(catalogue.parse, names)}
    for spec in wanted:
        if spec.python is not None:
            raise RequestError(f"backend {str(spec)!r}: has an interpreter of its own: expected NAME or NAME==VERSION")
    return {str(spec): where for spec, where in Builder(building).build(wanted).items()}


def remove(names: Sequence[str]) -> dict[str, int]:
    """Remove the managed environments of engines, which those of one distribution share.

    Returns:
        For each distribution how many were complete.

    Raises:
        RequestError: a name stands for no engine, or an environment cannot be removed.
    """
    distributions = dict.fromkeys(known_engine(Spec(name)).distribution for name in names)
    return {distribution: environments.remove(distribution) for distribution in distributions}


def prune(unused_for: int, dry_run: bool) -> list[tuple[Kept, str]]:
    """Remove the managed environments that are of no use, and say why; see `gradcheck.environments.prune`."""
    return environments.prune(known_engines(), unused_for, dry_run)


def listing() -> list[tuple[Engine, Environment | Missing]]:
    """Every engine, and where it would run."""
    return [(engine, environments.locate(Spec(engine.name), engine)) for engine in known_engines()]


def kept() -> list[Kept]:
    """Every managed environment, complete or half built."""
    return environments.survey(known_engines())


def known_engines() -> list[Engine]:
    """Every engine."""
    return [known_engine(Spec(name)) for name in catalogue.engines()]


def draw(settings: Settings, problem: Problem) -> Case:
    """The case that the settings' seed stands for."""
    from gradcheck import cases

    return cases.sample(problem, settings.k, settings.seed, settings.dtype, settings.distribution, settings.scale)


def read_inputs(settings: Settings, problem: Problem, path: str) -> Case:
    """The case whose inputs are in a file."""
    from gradcheck import cases, records

    return cases.given(problem, settings.k, settings.dtype, records.read_arrays(Path(path)), path)


def replay(settings: Settings) -> str:
    """The shell command that runs the case again."""
    default = Settings()
    words = ["gradcheck", "run", settings.problem, "--k", str(settings.k), "--seed", str(settings.seed)]
    for name in ("dtype", "distribution", "scale", "inputs", "gate"):
        value = getattr(settings, name)
        if name == "dtype" or value != getattr(default, name):
            words += [f"--{name}", str(value)]
    for spec in settings.backend:
        words += ["--backend", spec]
    return shlex.join(words)
