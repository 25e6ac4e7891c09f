"""From answers and their judgement to the records of a report."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gradcheck import __version__, judge
from gradcheck.cases import Case
from gradcheck.catalogue import Spec
from gradcheck.environments import Environment
from gradcheck.results import (
    Backend,
    BackendEnvironment,
    Nested,
    Report,
    RunVerdict,
    Seconds,
)
from gradcheck.results import Case as CaseRecord
from gradcheck.results import Environment as EnvironmentRecord
from gradcheck.workers import Answer, Failure, Started

LARGEST_LISTED = 16  # k up to which a report holds the gradients themselves


def report(
    case: Case,
    replay: str,
    outcomes: Mapping[Spec, Answer | Failure],
    places: Mapping[str, Environment],
    started: Mapping[str, Started],
) -> Report:
    """The report on one case.

    Args:
        case: what was evaluated.
        replay: the shell command that does it again.
        outcomes: what became of each backend, in the order in which they were asked for.
        places: the interpreters of those that had one, by the backend's spec.
        started: what the workers that started said of themselves.
    """
    answers = {str(spec): outcome for spec, outcome in outcomes.items() if isinstance(outcome, Answer)}
    judged = judge.judge(case, answers)
    backends = tuple(
        answered(case, spec, outcome, started[str(spec)], judged[str(spec)])
        if isinstance(outcome, Answer)
        else unanswered(spec, outcome, started.get(str(spec)), places.get(str(spec)))
        for spec, outcome in outcomes.items()
    )
    verdict = RunVerdict.of([backend.verdict for backend in backends])
    return Report(
        verdict=verdict,
        exit_code=verdict.exit_code,
        case=case_record(case, replay),
        backends=backends,
        pairs=judge.pairs(answers),
        environment=environment(places, started),
    )


def answered(case: Case, spec: Spec, answer: Answer, started: Started, judgement: judge.Judgement) -> Backend:
    """The record of a backend that gave an answer, right or wrong."""
    listed = case.k <= LARGEST_LISTED
    return Backend(
        name=spec.name,
        spec=str(spec),
        version=started.version,
        verdict=judgement.verdict,
        evidence=judgement.evidence,
        reason=judgement.reason,
        loss=float(answer.loss) if answer.loss.shape == () else None,
        loss_error=judgement.loss_error,
        gradients={name: nested(answer.gradients[name]) for name in answer.gradients} if listed else None,
        errors=dict(judgement.errors),
        seconds=Seconds(imported=started.seconds, first=answer.seconds),
    )


def unanswered(spec: Spec, failure: Failure, started: Started | None, place: Environment | None) -> Backend:
    """The record of a backend that gave no answer."""
    version = started.version if started else place.version if place else spec.version
    return Backend(
        name=spec.name, spec=str(spec), version=version, verdict=failure.verdict, reason=failure.reason.splitlines()[0]
    )


def nested(array: npt.NDArray[np.floating]) -> Nested:
    """An array as nested lists."""
    return np.asarray(array).tolist()


def case_record(case: Case, replay: str) -> CaseRecord:
    """What a report says of its case."""
    return CaseRecord(
        problem=case.problem.name,
        k=case.k,
        seed=case.seed,
        dtype=case.dtype,
        distribution=case.distribution,
        scale=case.scale,
        inputs_sha256=case.inputs_sha256,
        replay=replay,
    )


def environment(places: Mapping[str, Environment], started: Mapping[str, Started]) -> EnvironmentRecord:
    """Where a run took place."""
    system = os.uname()
    return EnvironmentRecord(
        gradcheck=__version__,
        python=".".join(map(str, sys.version_info[:3])),
        platform=f"{system.sysname} {system.release} {system.machine}",
        cpu=cpu(),
        backends={
            key: BackendEnvironment(
                python=str(places[key].python),
                python_version=told.python_version,
                packages=told.packages,
                threads=told.threads,
            )
            for key, told in started.items()
        },
    )


def cpu() -> str:
    """The processor's name, where the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.uname().machine
