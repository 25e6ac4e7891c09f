"""Every word on an engine, over ordinary and hostile inputs, through a real worker, judged by the oracle."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from gradcheck.answers import BackendAnswer
from gradcheck.api import Logged
from gradcheck.dtypes import WIDE_DTYPES
from gradcheck.errors import RequestError
from gradcheck.execution.engines import EngineDeclaration, parse
from gradcheck.execution.environments import Missing
from gradcheck.execution.messages import Request
from gradcheck.execution.pool import Pool, hosted
from gradcheck.execution.selection import known_engine
from gradcheck.execution.worker import Failure
from gradcheck.judging import completeness, judge
from gradcheck.judging.evidence import examine
from gradcheck.oracle import Format, Key, stages
from gradcheck.results import Verdict
from gradcheck.runs import upkeep
from gradcheck.testing.problems import (
    SAMPLES,
    WORD_OF,
    Arrays,
    Written,
    directions,
    drawn,
    exists,
    number_of,
    with_words_of,
    write,
)
from gradcheck.testing.words import WORDS
from gradcheck.text.wording import in_words

TIMEOUT = 900
"""Seconds that an engine has for an answer; some engines compile."""
SMALL = 3
"""The largest size for an engine that evaluates the loss once per entry."""


class Trial(NamedTuple):
    """Inputs of the samples: their distribution, and the size of vectors."""

    distribution: str
    k: int

    def is_ordinary(self, dtype: str) -> bool:
        """Whether every sample can be judged: in narrow dtypes and of one entry much cancels."""
        return self.distribution == "uniform" and dtype in WIDE_DTYPES and self.k > 1


ORDINARY = (Trial("uniform", 1), Trial("uniform", 33))
"""At 33 vectorised kernels have a body and a tail."""
HOSTILE = (
    *ORDINARY,
    *(Trial(each, 33) for each in ("saturated", "mixed", "cancelling", "tiny", "zeros", "subnormal")),
)


class Suite:
    """Tries words in engines, whose workers stay warm until it is closed.

    Args:
        folder: where it writes problems.
        words: the words to try.
    """

    def __init__(self, folder: Path, words: Collection[str] = tuple(WORDS)) -> None:
        self.numbers = tuple(number for number, word in enumerate(WORD_OF) if word in words)
        self._folder = folder
        self._pools: dict[str, Pool] = {}
        self._written: dict[tuple[tuple[int, ...], int, int], Written] = {}
        self._apart: dict[tuple[str, str], set[int]] = {}  # samples that an engine lacks: they run alone from then on

    def __enter__(self) -> Suite:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools.values():
            pool.close()

    def errors(
        self, name: str, dtype: str, trials: Collection[Trial], order: int = 1, only_at: int | None = None
    ) -> dict[str, list[str]]:
        """The words that an engine computes or differentiates wrongly, and each error in words.

        Args:
            name: of the engine.
            dtype: one of the dtypes in its `FORMATS`.
            trials: the inputs.
            order: 2 for Hessian-vector products along directions of all inputs.
            only_at: the only size, for an engine that compiles for a minute at each size.

        Raises:
            RequestError: there is no such engine, or its environment cannot be built.
        """
        found: dict[str, list[str]] = {}
        for numbers, trial in self._problems(name, dtype, trials, only_at):
            for number, complaint in self._complaints(name, numbers, dtype, trial, order):
                sample = f"{SAMPLES[number].expression}, {trial.distribution} at k = {trial.k}"
                found.setdefault(WORD_OF[number], []).append(f"{sample}: {complaint}")
        return found

    def written(self, numbers: tuple[int, ...], k: int, order: int = 1) -> Written:
        """Samples as one problem at a size."""
        key = (numbers, k, order)
        if key not in self._written:
            self._written[key] = write(self._folder, numbers, k, order)
        return self._written[key]

    def answer(self, name: str, written: Written, dtype: str, inputs: Arrays) -> BackendAnswer | Failure:
        """An engine's answer to samples as one problem, or why there is none."""
        request = Request(written.problem.path, written.tape.graph, dtype, written.tape.wrt, inputs)
        ((_, outcome),) = self.worker(name).evaluate(request, [name])
        return outcome

    def worker(self, name: str) -> Pool:
        """The engine's worker, started once.

        Raises:
            RequestError: there is no such engine, or its environment cannot be built.
        """
        if name not in self._pools:
            place = upkeep.build([name], Logged())[name]
            if isinstance(place, Missing):
                raise RequestError(f"engine {name!r}: cannot run here: {place.reason}")
            self._pools[name] = Pool()
            self._pools[name].start({name: hosted(place.python, backend=str(engine_of(name).path))}, TIMEOUT)
        return self._pools[name]

    def _problems(
        self, name: str, dtype: str, trials: Collection[Trial], only_at: int | None
    ) -> Iterator[tuple[tuple[int, ...], Trial]]:
        """The problems for an engine: all samples together, or each alone if it evaluates the loss once per entry."""
        small = self.written((0,), 1)
        possible = [trial for trial in trials if exists(small.problem, trial.k, dtype, trial.distribution)]
        first = self.answer(name, small, dtype, drawn(small.problem, 1, dtype, "uniform"))
        if isinstance(first, Failure) or first.adjoints:
            yield self.numbers[:1], Trial("uniform", SMALL)  # alone, so that its gradient is judged too
            yield from ((self.numbers, Trial(trial.distribution, only_at or trial.k)) for trial in possible)
        else:
            few = [Trial(trial.distribution, min(trial.k, SMALL)) for trial in possible]
            yield from (((number,), trial) for number in self.numbers for trial in few)

    def _complaints(
        self, name: str, numbers: tuple[int, ...], dtype: str, trial: Trial, order: int
    ) -> Iterator[tuple[int, str]]:
        """The errors in an engine's answers to samples, by their numbers; what it lacks is none."""
        apart = self._apart.setdefault((name, dtype), set())
        if len(numbers) > 1 and not apart.isdisjoint(numbers):
            rest = tuple(number for number in numbers if number not in apart)
            for group in (*((number,) for number in numbers if number in apart), *([rest] if rest else [])):
                yield from self._complaints(name, group, dtype, trial, order)
            return
        written = self.written(numbers, trial.k, order)
        inputs = drawn(written.problem, trial.k, dtype, trial.distribution) | directions(written.tape.graph, dtype)
        outcome = self.answer(name, written, dtype, inputs)
        alone = len(numbers) == 1
        if not isinstance(outcome, Failure):
            truth = judge.truth(written.tape, inputs, Format.of(dtype, **engine_of(name).formats[dtype]))
            if missing := completeness.missing(outcome, written.tape):
                yield numbers[0], missing
                return
            for key, complaint in complaints(outcome, truth, trial.is_ordinary(dtype)):
                if alone:
                    yield numbers[0], complaint
                elif key[0] in ("value", "adjoint") and key[1]:  # an array of all samples shows nothing about one
                    yield number_of(key[1]), complaint
        elif not alone:
            apart.update(set(with_words_of(outcome.reason, numbers)) or numbers)
            yield from self._complaints(name, numbers, dtype, trial, order)
        elif outcome.verdict is not Verdict.UNSUPPORTED or not outcome.reason:
            yield numbers[0], f"{outcome.verdict}: {outcome.reason} {outcome.details[-300:]}"


def engine_of(name: str) -> EngineDeclaration:
    """The constants of an engine.

    Raises:
        RequestError: there is none with this name.
    """
    return known_engine(parse(name))


def complaints(answer: BackendAnswer, truth: judge.Truth, ordinary: bool) -> Iterator[tuple[Key, str]]:
    """The errors of an answer, array by array: from end to end, as without watched values, and step by step."""
    if answer.estimates:  # a witness is judged by its own estimates
        judged = judge.judge(answer, truth, "rounding")
        if judged.verdict is Verdict.DIFFERS:
            yield ("gradient", None), f"{judged.reason} {judged.first_wrong}"
        return
    arrays = dict(answer.arrays())
    steps = {(step.kind, step.name): step for step in stages(truth.tape, truth.inputs, truth.format, arrays)}
    for key, output in truth.analysis.items():
        got = arrays.get(key)
        if got is None:
            continue
        for whole, step in ((output, None), (None, steps[key])):
            way = "end to end" if whole else "by step"
            finding = examine(got, whole, step, truth.format, limited=True, measured=True)
            if finding.bad:
                yield key, f"{judge.sentence(key, finding)} {way}: {finding.worst[0]}"
            elif whole and ordinary and not finding.has_power:
                yield key, f"{in_words(*key)} cannot be judged"
    if truth.analysis.ties:
        for broken in judge.at_ties(answer, truth, "rounding"):
            of_all = [key for key in broken.keys if key[0] not in ("value", "adjoint")]  # in it others may be wrong
            yield (of_all or broken.keys)[0], broken.reason
