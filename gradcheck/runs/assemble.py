"""The records of a report, from answers and their judgement."""

from __future__ import annotations

import functools
import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from gradcheck._version import __version__
from gradcheck.answers import BackendAnswer
from gradcheck.execution.engines import Spec
from gradcheck.execution.environments import Environment
from gradcheck.execution.messages import StartMessage
from gradcheck.execution.worker import Failure
from gradcheck.findings import ArrayKind, Kind, LossStage, WrongStep
from gradcheck.judging.coverage import conditions
from gradcheck.judging.judge import Judgement, Truth
from gradcheck.problems.cases import Case
from gradcheck.results import (
    Backend,
    BackendEnvironment,
    CaseRecord,
    Enclosed,
    FirstDivergence,
    Nested,
    Oracle,
    Pair,
    Report,
    RunEnvironment,
    RunVerdict,
    Seconds,
    Variation,
)
from gradcheck.runs.sources import Sources
from gradcheck.settings.declared import PROGRAM

MOST_STAGES = 100  # beyond which a report has no stages
LARGEST_LISTED = 16  # k up to which a report has the gradients themselves


def report(
    case: Case,
    replay: str,
    truth: Truth | None,
    backends: Sequence[Backend],
    answers: Mapping[str, BackendAnswer],
    environments: Mapping[str, BackendEnvironment],
    sources: Sources,
) -> Report:
    """The report on one case.

    Args:
        case: the evaluated case.
        replay: the shell command that runs it again.
        truth: the oracle's knowledge, in the dtype of the case.
        backends: the record of each backend, in the requested order.
        answers: their answers, by spec.
        environments: where they ran, by spec.
        sources: the lines of the loss.
    """
    verdict = RunVerdict.of([backend.verdict for backend in backends])
    return Report(
        verdict=verdict,
        exit_code=verdict.exit_code,
        case=record_of(case, replay),
        oracle=oracle(truth) if truth else None,
        backends=tuple(backends),
        pairs=pairs(answers),
        first_divergences=tuple(
            with_source(each, sources) for each in first_divergences(backends, answers, environments)
        ),
        conditions=conditions(sources.graph, case.inputs, sources.shown),
        stages=stages(sources),
        environment=environment(environments),
    )


def record_of(case: Case, replay: str) -> CaseRecord:
    """The record of a case, with the shell command that runs it again."""
    return CaseRecord(
        problem=case.problem.name,
        k=msgspec.UNSET if case.k is None else case.k,
        seed=case.seed,
        dtype=case.dtype,
        distribution=case.distribution,
        scale=case.scale,
        order=case.order,
        inputs_sha256=case.inputs_sha256,
        replay=replay,
        notes=case.notes,
    )


def longest_axis(answer: BackendAnswer) -> int:
    """The length of the longest axis of an answer's gradients."""
    return max((length for array in answer.gradients.values() for length in array.shape), default=0)


def answered(
    spec: Spec,
    case: Case,
    answer: BackendAnswer,
    judgement: Judgement,
    started: StartMessage | None,
    sources: Sources,
    notes: Sequence[str] = (),
) -> Backend:
    """The record of a backend that gave an answer, right or wrong."""
    first_wrong = judgement.first_wrong and with_source(judgement.first_wrong, sources)
    if first_wrong:
        right = [name for name, error in judgement.errors.items() if not error.bad_entries]
        narrow = sources.narrowing(first_wrong.kind, first_wrong.name, answer.adjoints, right)
        first_wrong = msgspec.structs.replace(first_wrong, narrow=narrow)
    seconds = None
    if started is not None:
        seconds = Seconds(imported=started.seconds, first=answer.seconds, again=answer.again_seconds)
    listed = (longest_axis(answer) if case.k is None else case.k) <= LARGEST_LISTED
    return Backend(
        name=spec.name,
        spec=str(spec),
        version=started.version if started else None,
        dtype=case.dtype,
        verdict=judgement.verdict,
        evidence=judgement.evidence,
        reason=judgement.reason,
        cause=judgement.cause,
        loss=float(answer.loss) if answer.loss.shape == () else None,
        loss_error=judgement.loss_error,
        gradients={name: nested(array) for name, array in answer.gradients.items()} if listed else None,
        errors=dict(judgement.errors),
        slopes_error=judgement.slopes_error,
        first_wrong=first_wrong,
        wrong_steps=tuple(with_source(step, sources) for step in judgement.wrong_steps),
        varies=tuple(
            Variation(kind=cast(ArrayKind, kind), name=name, largest=largest)
            for (kind, name), largest in answer.varies.items()
        ),
        notes=(*notes, *judgement.remarks),
        seconds=seconds,
    )


@functools.lru_cache(maxsize=64)
def stages(sources: Sources) -> tuple[LossStage, ...]:
    """The stages of the loss with their lines; none if there are many, as with `--watch all` of a model."""
    found = sources.graph.stages()
    if len(found) > MOST_STAGES:
        return ()
    return tuple(
        LossStage(
            kind=cast(Literal["input", "value", "loss"], kind),
            name=name,
            shape=sources.graph.nodes[place].shape,
            after=after,
            source=None if kind == "input" else sources.of_loss(kind, name),
        )
        for (kind, name), (place, after) in found.items()
    )


Located = TypeVar("Located", WrongStep, FirstDivergence)


def with_source(step: Located, sources: Sources) -> Located:
    """A record of a step with the line that computes it."""
    return msgspec.structs.replace(step, source=sources.of(step.kind, step.name) if step.kind else None)


def unanswered(spec: Spec, dtype: str, failure: Failure, version: str | None) -> Backend:
    """The record of a backend that gave no answer."""
    reason = failure.reason.splitlines()[0] if failure.reason else None
    return Backend(name=spec.name, spec=str(spec), version=version, dtype=dtype, verdict=failure.verdict, reason=reason)


def nested(array: npt.NDArray[np.floating]) -> Nested:
    """An array as nested lists."""
    return np.asarray(array).tolist()


def oracle(truth: Truth) -> Oracle:
    """A report's record of the truth."""
    loss = truth.analysis["loss", None].enclosure
    return Oracle(
        loss=Enclosed(mid=float(loss.high), rad=float(loss.radius + np.abs(loss.low))),
        precision_bits=truth.analysis.precision_bits,
    )


def pairs(answers: Mapping[str, BackendAnswer]) -> tuple[Pair, ...]:
    """The largest absolute differences between every two answers; NaN where shapes differ or a number is not finite."""
    return tuple(
        Pair(
            left=left,
            right=right,
            loss_abs_diff=_largest_difference(answers[left].loss, answers[right].loss),
            max_abs_diff={
                name: _largest_difference(array, answers[right].gradients[name])
                for name, array in answers[left].gradients.items()
                if name in answers[right].gradients
            },
        )
        for left, right in itertools.combinations(answers, 2)
    )


def _largest_difference(left: npt.NDArray[np.floating], right: npt.NDArray[np.floating]) -> float:
    if left.shape != right.shape:
        return float("nan")
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.max(np.abs(np.asarray(left, np.float64) - right), initial=0.0))


def first_divergences(
    backends: Sequence[Backend], answers: Mapping[str, BackendAnswer], environments: Mapping[str, BackendEnvironment]
) -> Iterator[FirstDivergence]:
    """Where each two specs of one backend, two releases of an engine for example, first diverge."""
    for left, right in itertools.combinations([each for each in backends if each.spec in answers], 2):
        if left.name == right.name and not left.spec.startswith(PROGRAM):
            mine, theirs = (environments[each.spec].packages for each in (left, right))
            packages = {
                name: (mine[name], theirs[name]) for name in mine if name in theirs and mine[name] != theirs[name]
            }
            found = first_divergence(left.spec, right.spec, answers[left.spec], answers[right.spec])
            yield msgspec.structs.replace(found, packages=packages)


def first_divergence(left: str, right: str, mine: BackendAnswer, other: BackendAnswer) -> FirstDivergence:
    """Where two answers first diverge: the first array, in the order of computation, whose bits are not the same."""
    theirs = dict(other.arrays())
    for (kind, name), array in mine.arrays():
        another = theirs.get((kind, name)) if kind in get_args(Kind) else None
        if another is None or another.shape != array.shape or another.tobytes() == array.tobytes():
            continue
        differing = np.argwhere(~((array == another) | (np.isnan(array) & np.isnan(another))))
        if not len(differing):  # signs of zeros
            continue
        index = tuple(int(each) for each in differing[0])
        return FirstDivergence(
            left=left,
            right=right,
            kind=cast(Kind, kind),
            name=name,
            index=index,
            left_value=float(array[index]),
            right_value=float(another[index]),
            differing=len(differing),
            entries=array.size,
        )
    return FirstDivergence(left=left, right=right)


def ran_in(place: Environment, started: StartMessage, device: str) -> BackendEnvironment:
    """The environment of a worker."""
    return BackendEnvironment(
        python=None if place.where == "program" else str(place.python),
        python_version=started.python_version,
        packages=started.packages,
        threads=started.threads,
        device=device,
    )


def environment(backends: Mapping[str, BackendEnvironment]) -> RunEnvironment:
    """The environment of a run."""
    system = os.uname()
    return RunEnvironment(
        gradcheck=__version__,
        python=".".join(map(str, sys.version_info[:3])),
        platform=f"{system.sysname} {system.release} {system.machine}",
        cpu=cpu(),
        backends=dict(backends),
    )


@functools.cache
def cpu() -> str:
    """The processor's name, if the system reports it."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.uname().machine
