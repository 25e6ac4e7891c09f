"""Gradients that were computed elsewhere, judged like any backend's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.errors import RequestError
from gradcheck.execution.engines import Spec
from gradcheck.execution.environments import Building
from gradcheck.graphs.graph import DIRECTION
from gradcheck.judging import diagnosis, judge
from gradcheck.oracle import Format, Tape, tape_of
from gradcheck.problems import Problem, cases
from gradcheck.problems._guard import TIMEOUT
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import wrt_of
from gradcheck.results import Report
from gradcheck.runs import assemble
from gradcheck.runs.records import RecordFile, as_arrays, plain, read_record
from gradcheck.runs.runner import authors
from gradcheck.runs.same_loss import check_same_loss
from gradcheck.runs.sources import Sources
from gradcheck.text.escaping import as_argument, quoted
from gradcheck.text.suggestions import did_you_mean


def verify_file(
    path: Path,
    gate: str,
    *,
    problem: str | None = None,
    trust: bool = False,
    timeout: float = TIMEOUT,
    running: Callable[[str], None] = lambda text: None,
    building: Building | None = None,
) -> Report:
    """Judge the answers of a record.

    Args:
        path: of the record, .json or .npz.
        gate: "proved", "formula" or "rounding", see `gradcheck.judging.judge.judge`.
        problem: the problem's name or file if the user names it; else the one that the record names.
        trust: whether to run a file that the record names even if it does not lie beside the record.
        timeout: time limit of each call of the problem's code, in seconds.
        running: is called with a sentence before a file that the record names is run.
        building: receives the progress of the environment in which a file in an engine's own code is loaded; None if
            none may be built.

    Raises:
        RequestError: the record cannot be read, does not fit its problem, or names a file that it may not.
    """
    record = read_record(path)
    name = problem or _named_by(record, path, trust, running)
    with authors(building, timeout) as known:
        loaded = problems.load(name, timeout, known)
        return verify(record, str(path), loaded, gate, replay(path, gate, problem, trust))


def verify(record: RecordFile, path: str, loaded: Problem, gate: str, again: str) -> Report:
    """Judge the answers of a record that is read.

    Args:
        record: its problem is not loaded again.
        path: where it is from, in messages.
        loaded: its problem.
        gate: as for `verify_file`.
        again: what judges it again, in the report.

    Raises:
        RequestError: the record does not fit its problem.
    """
    inputs = as_arrays(record.inputs, f"{path}: inputs")
    k = cases.size_of(loaded, inputs, path)
    order = 2 if any(name.startswith(DIRECTION) for name in inputs.keys() - loaded.shapes(k).keys()) else 1
    dtypes = dict.fromkeys(answer.dtype for answer in record.answers.values())
    wrt, graphs = wrt_of(loaded, k), {dtype: graph_of(loaded, k, inputs, dtype) for dtype in dtypes}
    tapes = {dtype: tape_of(graph.along(wrt) if order == 2 else graph, wrt) for dtype, graph in graphs.items()}
    first = next(iter(dtypes))
    check_names(record, tapes[first], path)
    drawn = {dtype: cases.given(loaded, k, dtype, inputs, path, order) for dtype in dtypes}
    # The engine is unknown: it may flush subnormal numbers, and sum in its own dtype.
    formats = {dtype: Format.of(dtype, flushes=True) for dtype in dtypes}
    truths = {dtype: judge.truth(tapes[dtype], drawn[dtype].inputs, formats[dtype]) for dtype in dtypes}
    for dtype in dtypes:
        check_same_loss(drawn[dtype], [truths[dtype]])
    answers = {name: recorded.answer(f"{path}: {name}") for name, recorded in record.answers.items()}
    sources = Sources(loaded, tapes[first].graph, is_elsewhere=True)
    backends = [
        assemble.answered(
            Spec(name),
            drawn[recorded.dtype],
            answers[name],
            judged(answers[name], truths[recorded.dtype], gate),
            None,
            sources,
        )
        for name, recorded in record.answers.items()
    ]
    return assemble.report(drawn[first], again, truths[first], backends, answers, {}, sources)


def problem_of(loss: Callable[..., Any], inputs: Mapping[str, Any], wrt: Sequence[str] | None) -> Problem:
    """The problem of a loss that is a function, at the shapes and kinds of arrays of any framework."""
    arrays = {name: plain(array) for name, array in inputs.items()}
    whole = {name: array for name, array in arrays.items() if array.dtype.kind in "biu"}
    name, code = getattr(loss, "__name__", type(loss).__name__).strip("<>"), getattr(loss, "__code__", None)
    shapes = {each: array.shape for each, array in arrays.items()}
    found = problems.of_function(name, Path(code.co_filename if code else name), loss, shapes, tuple(wrt or ()))
    return replace(found, wrt=found.wrt or None, sample=lambda _rng: whole)


def _named_by(record: RecordFile, path: Path, trust: bool, running: Callable[[str], None]) -> str:
    """The problem that a record names: its name, or the path of its file, taken from the record's folder.

    A file is code, which runs as the user; a record is data, which may come from anywhere. So a file is run only where
    it lies in the record's own folder, or if the user trusts the record.
    """
    name = record.problem
    if not name.endswith(".py"):
        return name
    file = path.parent / name
    if Path(name).name != name and not trust:
        raise RequestError(
            f"{path}: names the file {name}, which is not beside it: expected --trust, to run that file, "
            f"or --problem with the file to run"
        )
    problems.find(str(file))
    running(f"{path}: runs {file}, which it names")
    return str(file)


def check_names(record: RecordFile, tape: Tape, path: str) -> None:
    """Refuse a gradient of a name that is not an input of the problem: it is a mistake without a truth.

    Raises:
        RequestError: with the name, and those that were expected.
    """
    for answer, recorded in record.answers.items():
        for name in recorded.gradients:
            if name not in tape.graph.inputs:
                meant = did_you_mean(name, tape.wrt)
                expected = ", ".join(tape.wrt)
                raise RequestError(f"{path}: {answer}: gradients: {name!r}: {meant}expected some of {expected}")


def replay(path: Path, gate: str, problem: str | None, trust: bool) -> str:
    """The shell command that judges the record again."""
    words = ["gradcheck", "verify", as_argument(path)]
    words += ["--problem", problem] if problem else []
    words += ["--trust"] if trust else []
    words += ["--gate", gate] if gate != "rounding" else []
    return quoted(words)


def judged(answer: BackendAnswer, known: judge.Truth, gate: str) -> judge.Judgement:
    """The judgement of one answer. Only its pattern shows the cause: no backend can run once more."""
    judgement = judge.judge(answer, known, gate)
    judgement = diagnosis.diagnose(answer, known, judgement, lambda _: None, lambda _: "")
    is_known = judgement.cause is not None and judgement.cause.kind != "unknown"
    return judgement if is_known else replace(judgement, cause=None)
