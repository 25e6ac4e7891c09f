"""A function of the caller's own process, judged: its graph and its answers come from outside."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from gradcheck import settings
from gradcheck.answers import BackendAnswer
from gradcheck.backends._worker.stream import Stream
from gradcheck.dtypes import DTYPES
from gradcheck.errors import RequestError
from gradcheck.execution import engines
from gradcheck.execution.engines import Spec
from gradcheck.execution.messages import StartMessage
from gradcheck.graphs import Graph
from gradcheck.graphs.graph import DIRECTION
from gradcheck.judging import diagnosis, judge
from gradcheck.oracle import Format, Output, tape_of
from gradcheck.problems import cases, of_function
from gradcheck.problems.cases import Case
from gradcheck.results import Backend, BackendEnvironment, Report, Verdict
from gradcheck.runs import assemble
from gradcheck.runs.function_sources import BackwardPass, FunctionSources
from gradcheck.settings import Settings
from gradcheck.text.suggestions import did_you_mean

Arrays = Mapping[str, npt.NDArray[Any]]
Evaluate = Callable[[str, Arrays], BackendAnswer]
"""Computes the answer in a dtype, for the graph's inputs and its cotangents."""


class CommonOptions(TypedDict, total=False):
    """What every check of a function takes by keyword."""

    reference: Callable[..., Any] | None
    order: int
    forward: bool
    check_batched: bool
    seed: int
    gate: str


@dataclass(frozen=True)
class Function:
    """A function of the caller.

    Attributes:
        name: in the report.
        file: that it is written in.
        call: `file:line` of the check, which runs it again.
        graph: the truth's.
        wrt: the inputs whose gradients are wanted.
        inputs: those of the graph by name, without cotangents; in float32 for bfloat16.
        evaluate: the function itself.
        started: the release of the framework, and of its packages.
        fused: the name of the engine whose formats its rounding has.
        device: where it computes.
        has_reference: whether the graph is that of another function.
        rules: finds the lines of backward passes by hand.
        modes: the function with gradients of other modes, which are judged too, by the mode: "forward".
        hidden: the same, for modes that the report has only where they differ and the function itself agrees.
    """

    name: str
    file: str
    call: str
    graph: Graph
    wrt: Sequence[str]
    inputs: Arrays
    evaluate: Evaluate
    started: StartMessage
    fused: str
    device: str
    has_reference: bool
    rules: Callable[[], Sequence[BackwardPass]]
    modes: Mapping[str, Evaluate] = field(default_factory=dict)
    hidden: Mapping[str, Evaluate] = field(default_factory=dict)


class Reports(dict[str, Report]):
    """The reports on one function in several dtypes, by dtype."""

    @property
    def exit_code(self) -> int:
        """That of the first report that does not agree; 0 if all agree."""
        return next((report.exit_code for report in self.values() if report.exit_code), 0)

    def finding(self) -> str:
        """The findings in words, those of each dtype after its name."""
        return "\n".join(f"{dtype}: {report.finding()}" for dtype, report in self.items())

    def assert_agrees(self) -> None:
        """Do nothing if the function agrees in every dtype.

        Raises:
            AssertionError: it does not agree in one; the message is the finding.
        """
        if self.exit_code:
            raise AssertionError(self.finding())


def in_each(dtypes: Iterable[Any] | None, check: Callable[[str | None], Report]) -> Report | Reports:
    """The report of a check, or those in several dtypes.

    Args:
        dtypes: their names, or objects of a framework that have these; "all" means each dtype, None that of the inputs.
        check: in a dtype; None for that of the inputs.

    Raises:
        RequestError: a dtype is unknown, or there is none; or the check raises it.
    """
    if dtypes is None:
        return check(None)
    reports = Reports()
    for name in names_of(dtypes):
        try:
            reports[name] = check(name)
        except RequestError as error:
            raise RequestError(f"in {name}: {error}") from error
    return reports


def names_of(dtypes: Iterable[Any]) -> Sequence[str]:
    """The names of dtypes, which may be objects of a framework, such as `torch.float32`.

    Raises:
        RequestError: one is unknown, or there is none.
    """
    given = [dtypes] if isinstance(dtypes, str) else list(dtypes)
    if given == ["all"]:
        return DTYPES
    names = [str(getattr(each, "__name__", each)).rpartition(".")[2] for each in given]
    if unknown := [name for name in names if name not in DTYPES]:
        wrong, meant = unknown[0], did_you_mean(unknown[0], DTYPES)
        raise RequestError(f"dtypes: {wrong!r} is no dtype: {meant}expected some of {', '.join(DTYPES)}, or all")
    if not names:
        raise RequestError(f"dtypes is empty: expected some of {', '.join(DTYPES)}, or all")
    return names


def place_of(frame: FrameType) -> tuple[str, int]:
    """The file and the line of a call."""
    return frame.f_code.co_filename, frame.f_lineno


def checked_options(**options: Any) -> Settings:
    """The seed, the gate and the order of a check, as `gradcheck run` has them.

    Raises:
        RequestError: one is none.
    """
    return settings.of(options)


def as_arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a function by position, and those by keyword: a tuple, a dictionary, or a single array."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)), {}


def started(distribution: str, version: Any, threads: int | None = None) -> StartMessage:
    """The releases of this process and of its framework."""
    release = ".".join(map(str, sys.version_info[:3]))
    return StartMessage(str(version), release, {distribution: str(version)}, threads)


def check(function: Function, dtype: str, options: Settings) -> Report:
    """Evaluate a function in this process, and judge its answer.

    Args:
        function: see `Function`.
        dtype: of its inputs.
        options: the seed of the cotangents and directions, the gate, and the order, see `checked_options`.

    Raises:
        RequestError: an input is not finite.
    """
    case, gate = case_of(function, dtype, options), options.gate
    graph, wrt = function.graph, tuple(function.wrt)
    if case.order == 2:
        graph, wrt = graph.along(wrt), (*wrt, *graph.cotangents)
    known = judge.truth(tape_of(graph, wrt), case.inputs, format_of(function, dtype))
    backends: list[Backend] = []
    sources, answers = FunctionSources(case.problem, graph, function.has_reference, function.rules), {}
    for each, is_hidden in in_every_mode(function):
        if is_hidden and backends[0].verdict is not Verdict.AGREES:
            continue
        answer = with_known_steps(each.evaluate(dtype, case.inputs), known)
        judgement = diagnosed(each, case, known, answer, judge.judge(answer, known, gate))
        judgement = diagnosis.passed(judgement) if gate == "formula" else judgement
        if is_hidden and judgement.verdict is not Verdict.DIFFERS:
            continue
        answers[each.name], spec = answer, Spec(each.name)
        backends.append(assemble.answered(spec, case, answer, judgement, function.started, sources, answer.notes))
    environment = BackendEnvironment(
        python=sys.executable,
        python_version=function.started.python_version,
        packages=function.started.packages,
        threads=function.started.threads,
        device=function.device,
    )
    named = dict.fromkeys(answers, environment)
    return assemble.report(case, function.call, known, backends, answers, named, sources)


def in_every_mode(function: Function) -> Iterator[tuple[Function, bool]]:
    """The function in each of its modes, under the name that the report has for it, and whether the mode is hidden."""
    yield function, False
    for mode, evaluate in {**function.modes, **function.hidden}.items():
        yield replace(function, name=f"{function.name} {mode}", evaluate=evaluate), mode in function.hidden


def with_known_steps(answer: BackendAnswer, known: judge.Truth) -> BackendAnswer:
    """An answer without values of modules that are not those of the truth.

    The function is recorded step by step, and the module that returns a value is found by its steps. A module may also
    hand another tensor on, in an attribute. An error in the forward pass shows in the outputs in any case.
    """
    outputs = known.tape.graph.output_names.values()
    others = {
        name
        for name, value in answer.values.items()
        if name not in outputs and not is_within(value, known.analysis["value", name])
    }
    return replace(answer, values=_without(answer.values, others), adjoints=_without(answer.adjoints, others))


def is_within(got: npt.NDArray[Any], output: Output) -> bool:
    """Whether a value is within its bound everywhere."""
    with np.errstate(all="ignore"):
        error = np.abs(output.enclosure.distance(got))
        return bool((error <= output.worst + output.enclosure.radius).all())


def _without(arrays: Arrays, names: set[str]) -> Arrays:
    return {name: array for name, array in arrays.items() if name not in names}


def directions(wrt: Sequence[str]) -> dict[str, str]:
    """The names of the directions of order 2 by input."""
    return {name: f"{DIRECTION}[{name}]" for name in wrt}


def case_of(function: Function, dtype: str, options: Settings) -> Case:
    """The inputs of a function as a case, with cotangents and directions from a seed."""
    for name, array in function.inputs.items():
        if not np.isfinite(array).all():
            instead = ", or no gradient of it" if name in function.wrt and np.isinf(array).any() else ""
            raise RequestError(f"{name} holds a value that is not finite: expected finite numbers{instead}")
    stream, graph, order = Stream(options.seed), function.graph, options.order
    drawn = {name: cases.round_to(cases.cotangent(stream, shape), dtype) for name, shape in graph.cotangents.items()}
    given = {name: array for name, array in {**function.inputs, **drawn}.items() if name in graph.inputs}
    if order == 2:
        given |= {
            along: cases.round_to(cases.direction(stream, given[name]), dtype)
            for name, along in directions(function.wrt).items()
        }
    shapes = {name: array.shape for name, array in function.inputs.items()}
    problem = of_function(function.name, Path(function.file), function.evaluate, shapes, tuple(function.wrt))
    names = graph.output_names.values()
    loss = f"the loss is Σ cotangent · output of {', '.join(names)}, cotangents from the seed"
    notes = (loss, *cases.about_order(order, "the seed"))
    return Case(problem, None, options.seed, dtype, "given", 1.0, given, notes, order)


def format_of(function: Function, dtype: str) -> Format:
    """The rounding of any correct function: it may flush subnormal numbers, as compilers and kernels do."""
    engine = engines.find(function.fused)
    assert engine is not None, "it is one of ours"
    traits: dict[str, Any] = dict(engine.formats.get(dtype, {}))
    return Format.of(dtype, **{**traits, "flushes": True})


def diagnosed(
    function: Function, case: Case, known: judge.Truth, answer: BackendAnswer, judgement: judge.Judgement
) -> judge.Judgement:
    """A judgement with the cause of a difference, for which the function runs once more in another dtype."""

    def rerun(dtype: str) -> tuple[BackendAnswer, judge.Truth] | str:
        try:
            other = cases.in_dtype(case, dtype)
        except RequestError as error:
            return str(error)
        try:
            again = function.evaluate(dtype, other.inputs)
        except Exception as error:  # a kernel may lack the dtype
            kind = "" if isinstance(error, RequestError) else f"{type(error).__name__}: "
            return f"run again in {dtype}: {kind}{str(error).partition(chr(10))[0]}"
        return again, judge.truth(known.tape, other.inputs, format_of(function, dtype))

    other = functools.partial(diagnosis.other_dtype, by_hand=False, lacks=lambda _: False)
    return diagnosis.diagnose(answer, known, judgement, other, rerun)
